import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { Cluster, FakeBroker, uuidOf } from './cluster.ts'

describe('a controller that does not lead', () => {
  test('names the leader it knows and closes the stream', () => {
    const cluster = new Cluster()
    cluster.quorum.follow(7)
    const broker = cluster.broker(1)
    expect(broker.open()).toBeNull()
    cluster.time.pass(10)
    expect(broker.frames).toEqual([{ kind: 'notLeader', leaderId: 7, term: 1 }])
    expect(broker.closed).not.toBeNull()
  })

  test('says -1 when it knows of none', () => {
    const cluster = new Cluster()
    const broker = cluster.broker(1)
    broker.open()
    cluster.time.pass(10)
    expect(broker.frames).toEqual([{ kind: 'notLeader', leaderId: -1, term: 0 }])
  })
})

describe('a stream', () => {
  test('of another cluster is refused, one that knows no cluster yet is not', () => {
    const { cluster } = Cluster.led()
    expect(cluster.broker(1).open({ clusterId: 'another' })).toContain('the-cluster')
    expect(cluster.broker(1).open({ clusterId: '' })).toBeNull()
  })

  test('for replication or of an unknown protocol version is refused', () => {
    const { cluster } = Cluster.led()
    expect(cluster.broker(1).open({ purpose: 'replication' })).toContain('replication')
    expect(cluster.broker(1).open({ version: 0 })).toContain('protocol')
  })

  test('is closed at a frame that is none, and at one before the registration', () => {
    const { cluster } = Cluster.led()
    const garbled = cluster.broker(1)
    garbled.open()
    garbled.raw(new Uint8Array([255, 255, 255, 1, 2, 3]))
    cluster.time.pass(5)
    expect(garbled.closed).toContain('frame')
    const early = cluster.broker(2)
    early.open()
    early.heartbeat()
    expect(early.closed).toContain('before the registration')
  })

  test('is closed at a second registration and at one of somebody else', () => {
    const { cluster, brokers } = Cluster.led([1])
    brokers[0]?.register()
    cluster.time.pass(5)
    expect(brokers[0]?.closed).toContain('second registration')
    const impostor = cluster.broker(2)
    impostor.open()
    impostor.register({ brokerId: 3 })
    cluster.time.pass(5)
    expect(impostor.closed).toContain('somebody else')
  })
})

describe('a registration', () => {
  test('is answered once it is committed, with the index of its entry as the epoch', () => {
    const { cluster } = Cluster.led()
    cluster.quorum.delayMs = null
    const broker = cluster.broker(1).join()
    expect(broker.frames).toEqual([])
    cluster.quorum.commit()
    cluster.time.pass(5)
    expect(broker.frames[0]).toEqual({
      kind: 'registered',
      brokerEpoch: cluster.quorum.index,
      clusterId: 'the-cluster',
      term: 1,
    })
  })

  test('has an entry of its own even when other decisions of the turn came before', () => {
    const { cluster, brokers } = Cluster.led([1])
    const before = cluster.quorum.index
    const [first] = brokers as [FakeBroker]
    const second = cluster.broker(2)
    second.open()
    cluster.time.turn(() => {
      first.createTopic('early', [[1]])
      second.register()
      first.createTopic('late', [[1]])
    })
    cluster.time.pass(20)
    expect(cluster.quorum.index).toBe(before + 3)
    expect(second.epoch).toBe(before + 2)
    expect(cluster.controller.image.topics.size).toBe(2)
  })

  test('is followed by the metadata, which holds it', () => {
    const { cluster } = Cluster.led()
    const broker = cluster.broker(1).join()
    expect(broker.frames.map(({ kind }) => kind)).toEqual(['registered', 'snapshot'])
    expect(broker.image.brokers.get(1)).toMatchObject({ epoch: broker.epoch, fenced: true })
    expect(broker.image.clusterId).toBe('the-cluster')
  })

  test('leads to service once the broker has applied it, and not before', () => {
    const { cluster } = Cluster.led()
    const broker = cluster.broker(1).join()
    expect(broker.heartbeat({ appliedIndex: broker.epoch - 1 })).toMatchObject({ fenced: true, error: 0 })
    expect(broker.heartbeat()).toMatchObject({ fenced: false, error: 0, committedIndex: cluster.quorum.index })
    expect(broker.image.brokers.get(1)?.fenced).toBe(false)
  })

  test('that cannot be is refused for good, with the reason', () => {
    const { cluster } = Cluster.led()
    const broker = cluster.broker(1).join({ directories: [] })
    expect(broker.frames).toMatchObject([
      { kind: 'registrationRefused', error: ErrorCode.INVALID_REGISTRATION, retriable: false },
    ])
    expect(broker.closed).not.toBeNull()
  })

  test('of a second process with the same id is refused while the first one is alive, and may try again', () => {
    const { cluster, brokers } = Cluster.led([1])
    const second = cluster.broker(1)
    second.port = 9999
    second.join()
    expect(second.frames).toMatchObject([
      { kind: 'registrationRefused', error: ErrorCode.DUPLICATE_BROKER_REGISTRATION, retriable: true },
    ])
    expect(brokers[0]?.heartbeat()).toMatchObject({ fenced: false, error: 0 })
  })

  test('of a second process waits for the first one even before that one is committed', () => {
    const { cluster } = Cluster.led()
    cluster.quorum.delayMs = null
    cluster.broker(1).join()
    const second = cluster.broker(1).join()
    cluster.quorum.commit()
    cluster.time.pass(5)
    expect(second.frames).toMatchObject([{ error: ErrorCode.DUPLICATE_BROKER_REGISTRATION }])
  })

  test('of the same incarnation over a new stream keeps its epoch and its standing', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    const { epoch } = broker
    const { index } = cluster.quorum
    broker.break()
    broker.join()
    expect(broker.epoch).toBe(epoch)
    expect(cluster.quorum.index).toBe(index)
    expect(broker.heartbeat()?.fenced).toBe(false)
  })

  test('over a newer stream closes an older one that is still open', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    const twin = new FakeBroker(cluster, 1, broker.incarnationId).join()
    expect(broker.closed).toContain('newer')
    expect(twin.epoch).toBe(broker.epoch)
    cluster.time.pass(400)
    expect(cluster.controller.image.brokers.get(1)?.fenced).toBe(false)
  })

  test('after a restart at the same address is accepted at once, the old incarnation being gone', () => {
    const { cluster, brokers } = Cluster.led([1])
    brokers[0]?.break()
    const restarted = cluster.broker(1).join()
    expect(restarted.epoch).toBeGreaterThan(brokers[0]?.epoch as number)
    expect(restarted.heartbeat()?.fenced).toBe(false)
  })

  test('after a restart at another address waits until the old incarnation is known to be gone', () => {
    const { cluster, brokers } = Cluster.led([1])
    brokers[0]?.break()
    const moved = cluster.broker(1)
    moved.port = 9999
    moved.join()
    expect(moved.last('registrationRefused')?.error).toBe(ErrorCode.DUPLICATE_BROKER_REGISTRATION)
    cluster.dials.answers.set('b1:9000', 'refused')
    cluster.time.pass(600)
    moved.join()
    expect(moved.last('registered')?.brokerEpoch).toBe(moved.epoch)
  })
})

describe('a heartbeat', () => {
  test('of another epoch is answered as stale', () => {
    const { brokers } = Cluster.led([1])
    expect(brokers[0]?.heartbeat({ brokerEpoch: 1 })).toMatchObject({ error: ErrorCode.STALE_BROKER_EPOCH })
  })

  test('that asks for it fences, and one that no longer does unfences', () => {
    const { brokers } = Cluster.led([1])
    expect(brokers[0]?.heartbeat({ wantFence: true })?.fenced).toBe(true)
    expect(brokers[0]?.heartbeat()?.fenced).toBe(false)
  })

  test('that tells of a directory gone offline takes its replicas out of service', () => {
    const { cluster, brokers } = Cluster.led([1, 2])
    brokers[0]?.createTopic('t', [[1, 2]])
    brokers[0]?.heartbeat({ offlineDirectories: [uuidOf(1001)] })
    expect(cluster.partition('t')).toMatchObject({ leader: 2, isr: [2] })
  })
})

describe('a broker that leaves in good order', () => {
  test('may go once its leaderships have moved and the others were told', () => {
    const { cluster, brokers } = Cluster.led([1, 2])
    const [leaving, staying] = brokers as [FakeBroker, FakeBroker]
    leaving.createTopic('t', [[1, 2]])
    staying.stalled = true
    // Enough waits in the other one's stream that nothing more is put into it.
    for (let i = 0; i < 40; i++) leaving.createTopic(`fill${i}`, [[1], ...Array.from({ length: 120 }, () => [2])])
    expect(leaving.heartbeat({ wantShutdown: true })).toMatchObject({ mayShutDown: false, fenced: false })
    expect(cluster.partition('t')).toMatchObject({ leader: 2, isr: [2] })
    staying.flow()
    cluster.time.pass(30)
    staying.flow()
    leaving.heartbeat({ wantShutdown: true })
    expect(leaving.last('heartbeatReply')).toMatchObject({ mayShutDown: true, fenced: true })
    expect(cluster.controller.image.brokers.get(1)).toMatchObject({ fenced: true, shuttingDown: true })
  })

  test('may go at once when it is alone or was fenced', () => {
    const { brokers } = Cluster.led([1])
    expect(brokers[0]?.heartbeat({ wantShutdown: true })?.mayShutDown).toBe(true)
    const { cluster } = Cluster.led()
    expect(cluster.broker(1).join().heartbeat({ wantShutdown: true, appliedIndex: 0 })?.mayShutDown).toBe(true)
  })

  test('is clean when it comes back with that epoch, even if it kept data in memory only', () => {
    const { cluster, brokers } = Cluster.led([])
    const broker = cluster.broker(1).join({ flushMode: 'pagecache' })
    broker.heartbeat()
    broker.createTopic('t', [[1]])
    broker.heartbeat({ wantShutdown: true })
    broker.break()
    const back = cluster.broker(1)
    back.join({ flushMode: 'pagecache', previousBrokerEpoch: broker.epoch }).heartbeat()
    expect(cluster.partition('t')).toMatchObject({ leader: 1, leaderRecovery: 'recovered', leaderEpoch: 2 })
    expect(brokers).toEqual([])
  })
})
