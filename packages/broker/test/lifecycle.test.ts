import { type DirEntry, ErrorCode, IoError } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { Cluster, eventually, sleep, type TestBroker } from './cluster.ts'

const { NONE, NOT_LEADER_OR_FOLLOWER } = ErrorCode

const CLEAN_MARKER = '.kafka_cleanshutdown'

function folders(broker: TestBroker, path = '/data'): Promise<readonly DirEntry[]> {
  return new Promise((resolve, reject) =>
    broker.disk.list(path, (error, entries) => (error === null ? resolve(entries) : reject(error))),
  )
}

describe('a broker', () => {
  it('serves nothing before its own registration is applied', async () => {
    await using cluster = new Cluster('before', 1)
    cluster.controller.mute = true
    const starting = cluster.broker(1).start()
    await sleep(100)
    expect(cluster.broker(1).running.context.replicas.find('t', 0)).toBe(NOT_LEADER_OR_FOLLOWER)
    expect(cluster.broker(1).running.status()).toMatchObject({ phase: 'starting', serving: false, brokerEpoch: -1 })
    cluster.controller.mute = false
    await starting
    expect(cluster.broker(1).running.status()).toMatchObject({ phase: 'running', serving: true, fenced: false })
    expect(cluster.broker(1).running.context.replicas.find('t', 0)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })

  it('keeps its records over a clean stop, and proves that it was clean', async () => {
    await using cluster = await Cluster.started('clean', 1)
    await cluster.topic('t', [1])
    for (const value of ['a', 'b']) await cluster.broker(1).produce('t', [value])
    const epoch = cluster.broker(1).running.status().brokerEpoch
    await cluster.broker(1).stop()
    await cluster.broker(1).start()
    const registers = cluster.controller.received.filter((frame) => frame.kind === 'register')
    expect(registers.at(-1)?.previousBrokerEpoch).toBe(epoch)
    await eventually(async () => expect(await cluster.broker(1).read('t')).toEqual(['a', 'b']))
    expect(await cluster.broker(1).produce('t', ['c'])).toMatchObject({ error: NONE, baseOffset: 2 })
  })

  it('says that nobody is answered any more when it stops, once all are who waited, and before its logs are closed', async () => {
    await using cluster = await Cluster.started('silent', 1)
    await cluster.topic('t', [1])
    const broker = cluster.broker(1)
    const order: string[] = []
    const isClean = async (): Promise<boolean> => (await folders(broker)).some(({ name }) => name === CLEAN_MARKER)
    const answered = broker.produce('t', ['last']).then(() => order.push('answered'))
    await new Promise<void>((resolve) => {
      const silent = (): void => void isClean().then((clean) => order.push(`silent, clean ${clean}`))
      broker.running.stop(() => resolve(), silent)
    })
    order.push(`stopped, clean ${await isClean()}`)
    await answered
    expect(order).toEqual(['answered', 'silent, clean false', 'stopped, clean true'])
  })

  it('keeps what it acknowledged over a kill, and does not call that clean', async () => {
    await using cluster = await Cluster.started('killed', 1)
    await cluster.topic('t', [1])
    for (const value of ['a', 'b']) await cluster.broker(1).produce('t', [value])
    cluster.broker(1).kill()
    await cluster.broker(1).start()
    const registers = cluster.controller.received.filter((frame) => frame.kind === 'register')
    expect(registers.at(-1)?.previousBrokerEpoch).toBe(-1)
    await eventually(async () => expect(await cluster.broker(1).read('t')).toEqual(['a', 'b']))
  })

  it('hands its leaderships over before it stops', async () => {
    await using cluster = await Cluster.started('handover', 3)
    await cluster.topic('t', [1, 2, 3], { 'min.insync.replicas': '2' })
    const acked: string[] = []
    const until = new AbortController()
    const producer = (async () => {
      for (let at = 0; !until.signal.aborted; at++) {
        const value = `v${at}`
        const { leader } = cluster.controller.partition('t')
        const { error } =
          leader === -1 || cluster.broker(leader).broker === null
            ? { error: 6 }
            : await cluster.broker(leader).produce('t', [value])
        if (error === NONE) acked.push(value)
        else await sleep(2)
      }
    })()
    await sleep(50)
    await cluster.broker(1).stop()
    expect(cluster.broker(1).log.lines.some(({ event }) => event === 'leaderships handed over')).toBe(true)
    expect(cluster.controller.partition('t').leader).not.toBe(1)
    await sleep(50)
    until.abort()
    await producer
    const values = new Set(await cluster.leader('t').read('t'))
    for (const value of acked) expect(values.has(value)).toBe(true)
    await cluster.broker(1).start()
    await cluster.isr('t', [1, 2, 3])
  })

  it('stops within the timeout when no controller lets it go, and at any time of its start', async () => {
    await using cluster = await Cluster.started('stubborn', 1, { controlledShutdownTimeoutMs: 150 })
    cluster.controller.mute = true
    await cluster.broker(1).stop()
    const starting = cluster.broker(1).start()
    await sleep(50)
    await cluster.broker(1).stop()
    await Promise.race([starting, sleep(10)])
    expect(cluster.broker(1).log.lines.at(-1)?.event).toBe('broker stopped')
  })

  it('fails to start with the reason when it belongs to another cluster', async () => {
    await using cluster = new Cluster('foreign', 1)
    await expect(cluster.broker(1).start({ clusterId: 'AAAAAAAAAAAAAAAAAAAABA' })).rejects.toThrow('belongs to cluster')
  })

  it('has two incarnations of one topic name apart', async () => {
    await using cluster = await Cluster.started('recreated', 2)
    for (let round = 0; round < 5; round++) {
      const id = await cluster.topic('t', [1, 2])
      await eventually(() => expect(cluster.leader('t').replica('t').topicId).toBe(id))
      await eventually(async () =>
        expect((await cluster.leader('t').produce('t', [`round-${round}`])).error).toBe(NONE),
      )
      expect(await cluster.leader('t').read('t')).toEqual([`round-${round}`])
      cluster.controller.deleteTopic('t')
    }
    await eventually(() => expect(cluster.broker(1).running.status().partitions.serving).toBe(0))
    const id = await cluster.topic('t', [1, 2])
    cluster.broker(1).kill()
    await cluster.broker(1).start()
    await eventually(() => expect(cluster.broker(1).replica('t').topicId).toBe(id))
  })

  it('removes the folders of a deleted topic after the delay that the topic was given', async () => {
    await using cluster = await Cluster.started('delays', 1)
    await cluster.topic('quick', [1], { 'file.delete.delay.ms': '1' })
    await cluster.topic('slow', [1])
    for (const topic of ['slow', 'quick']) cluster.controller.deleteTopic(topic)
    await eventually(async () =>
      expect((await folders(cluster.broker(1))).filter(({ name }) => name.startsWith('quick-0'))).toEqual([]),
    )
    expect((await folders(cluster.broker(1))).filter(({ name }) => name.startsWith('slow-0.'))).toHaveLength(1)
  })

  it('moves folders aside that no partition of the cluster claims', async () => {
    await using cluster = await Cluster.started('stray', 1)
    await cluster.topic('t', [1])
    await cluster.broker(1).produce('t', ['a'])
    cluster.broker(1).kill()
    cluster.controller.deleteTopic('t')
    await cluster.broker(1).start()
    await eventually(async () =>
      expect((await folders(cluster.broker(1))).some(({ name }) => name === 't-0')).toBe(false),
    )
    await eventually(async () => expect((await folders(cluster.broker(1), '/data/stray')).length).toBe(1))
    await cluster.topic('t', [1])
    expect(await cluster.broker(1).produce('t', ['b'])).toMatchObject({ error: NONE, baseOffset: 0 })
  })

  it('makes a topic anew that was deleted and made again while it was down', async () => {
    await using cluster = await Cluster.started('recreated-down', 2)
    await cluster.topic('t', [1, 2])
    await cluster.leader('t').produce('t', ['old'])
    cluster.broker(2).kill()
    cluster.controller.deleteTopic('t')
    const id = cluster.controller.createTopic('t', [[1, 2]])
    await eventually(async () => expect((await cluster.broker(1).produce('t', ['new'], 1)).error).toBe(NONE))
    await cluster.broker(2).start()
    await eventually(() => expect(cluster.broker(2).replica('t').topicId).toBe(id))
    await cluster.isr('t', [1, 2])
    await eventually(async () => expect(await cluster.leader('t').read('t')).toEqual(['new']))
    expect((await folders(cluster.broker(2), '/data/stray')).length).toBe(1)
    expect(cluster.broker(2).fatal).toBeNull()
  })

  it('does not count when its folder is gone, and never leads with nothing where others have records', async () => {
    await using cluster = await Cluster.started('folder-gone', 2)
    await cluster.topic('t', [1, 2], { 'min.insync.replicas': '2' })
    for (const value of ['a', 'b']) await cluster.leader('t').produce('t', [value])
    for (const id of [1, 2]) cluster.broker(id).kill()
    await new Promise<void>((resolve) => cluster.broker(1).disk.remove('/data/t-0', () => resolve()))
    await cluster.broker(1).start()
    await eventually(() =>
      expect(cluster.broker(1).log.lines.some(({ event }) => event === 'replica quarantined')).toBe(true),
    )
    await eventually(() => expect(cluster.controller.partition('t')).toMatchObject({ isr: [2], elr: [] }))
    await cluster.broker(2).start()
    await cluster.isr('t', [1, 2])
    cluster.controller.force('t', { leader: 1 })
    await eventually(async () => expect(await cluster.broker(1).read('t')).toEqual(['a', 'b']))
  })

  it('waits for room where a folder cannot be made, and serves what it has meanwhile', async () => {
    await using cluster = await Cluster.started('no-room', 1)
    await cluster.topic('t', [1])
    const broker = cluster.broker(1)
    broker.faults.mkdir = new IoError('ENOSPC', '/data', 'no space left')
    cluster.controller.createTopic('other', [[1]])
    await eventually(() =>
      expect(broker.log.lines.some(({ event }) => event === 'folder cannot be changed')).toBe(true),
    )
    expect((await broker.produce('t', ['a'])).error).toBe(NONE)
    expect((await broker.produce('other', ['a'])).error).toBe(NOT_LEADER_OR_FOLLOWER)
    broker.faults.mkdir = null
    await eventually(async () => expect((await broker.produce('other', ['a'])).error).toBe(NONE))
    expect(broker.fatal).toBeNull()
  })

  it('opens a thousand partitions quickly, new ones and those of its last life', async () => {
    await using cluster = await Cluster.started('thousand', 1)
    cluster.controller.createTopic(
      't',
      Array.from({ length: 1000 }, () => [1]),
    )
    await eventually(
      () =>
        expect(cluster.broker(1).running.status().partitions).toMatchObject({
          serving: 1000,
          leaders: 1000,
          creating: 0,
        }),
      25_000,
    )
    expect((await cluster.broker(1).produce('t', ['a'], -1, 999)).error).toBe(NONE)
    await cluster.broker(1).stop()
    await cluster.broker(1).start()
    await eventually(() => expect(cluster.broker(1).running.status().partitions.leaders).toBe(1000), 25_000)
    expect(await cluster.broker(1).read('t', 0, 999)).toEqual(['a'])
  }, 60_000)
})

describe('a node that slept', () => {
  it('answers NOT_LEADER until a controller confirmed its epoch', async () => {
    await using cluster = await Cluster.started('slept', 1)
    await cluster.topic('t', [1])
    const broker = cluster.broker(1)
    await broker.produce('t', ['a'])
    cluster.network.cut('b1', 'c0', 'silent')
    broker.clock.jump(1_100)
    expect((await broker.produce('t', ['b'])).error).toBe(NOT_LEADER_OR_FOLLOWER)
    expect(broker.running.context.replicas.find('t', 0)).toBe(NOT_LEADER_OR_FOLLOWER)
    expect(broker.running.status()).toMatchObject({ serving: false, sleeps: 1 })
    cluster.network.heal('b1', 'c0')
    await eventually(async () => expect((await broker.produce('t', ['c'])).error).toBe(NONE))
    expect(await broker.read('t')).toEqual(['a', 'c'])
  })

  it('that was replaced meanwhile serves nothing of its old epoch, and follows the new leader', async () => {
    await using cluster = await Cluster.started('slept-replaced', 3)
    await cluster.topic('t', [1, 2, 3])
    const broker = cluster.broker(1)
    const staged = broker.replica('t')
    cluster.network.cut('b1', 'c0', 'silent')
    cluster.network.cut('b1', 'b2', 'silent')
    cluster.network.cut('b1', 'b3', 'silent')
    cluster.controller.fence(1)
    await eventually(async () => expect((await cluster.leader('t').produce('t', ['new'])).error).toBe(NONE))
    const queued = new Promise((resolve) => staged.append(new Uint8Array(0), 1, resolve))
    broker.clock.jump(1_100)
    expect(staged.fetchState(0, { maxBytes: 1, currentLeaderEpoch: -1, isolation: 0 }).error).toBe(
      NOT_LEADER_OR_FOLLOWER,
    )
    expect(await queued).toBe(NOT_LEADER_OR_FOLLOWER)
    for (const other of ['c0', 'b2', 'b3']) cluster.network.heal('b1', other)
    await cluster.isr('t', [1, 2, 3])
    expect(await cluster.leader('t').read('t')).toEqual(['new'])
  })
})

describe('a broker whose epoch is over', () => {
  it('stops serving, registers anew, and replicates under its new epoch', async () => {
    await using cluster = await Cluster.started('epoch-over', 3)
    await cluster.topic('t', [1, 2, 3])
    await cluster.leader('t').produce('t', ['a'])
    const before = cluster.broker(2).running.status().brokerEpoch
    cluster.controller.decide({ kind: 'unregisterBroker', brokerId: 2 })
    await eventually(() => expect(cluster.broker(2).running.status().brokerEpoch).toBeGreaterThan(before))
    await cluster.isr('t', [1, 2, 3])
    expect((await cluster.leader('t').produce('t', ['b'])).error).toBe(NONE)
    expect(cluster.broker(2).fatal).toBeNull()
  })

  it('that led leads again in a later epoch only', async () => {
    await using cluster = await Cluster.started('epoch-over-leader', 1)
    await cluster.topic('t', [1])
    await cluster.broker(1).produce('t', ['a'])
    const { leaderEpoch } = cluster.controller.partition('t')
    cluster.controller.decide({
      kind: 'fenceBroker',
      brokerId: 1,
      brokerEpoch: cluster.broker(1).running.status().brokerEpoch,
    })
    await eventually(async () => expect((await cluster.broker(1).produce('t', ['b'])).error).toBe(NONE))
    expect(cluster.controller.partition('t').leaderEpoch).toBeGreaterThan(leaderEpoch)
    expect(await cluster.broker(1).read('t')).toEqual(['a', 'b'])
  })
})

describe('ISR changes', () => {
  it('of many partitions travel in one message, and are asked again of the next controller', async () => {
    await using cluster = await Cluster.started('alters', 2)
    cluster.controller.createTopic(
      't',
      Array.from({ length: 50 }, () => [1, 2]),
    )
    await eventually(() => expect(cluster.broker(1).running.status().partitions.leaders).toBe(50))
    cluster.controller.onAlter = () => 'ignore'
    cluster.broker(2).kill()
    // A follower that is gone lags only where something was written since.
    for (let at = 0; at < 50; at++) expect((await cluster.broker(1).produce('t', ['a'], 1, at)).error).toBe(NONE)
    await eventually(() =>
      expect(cluster.controller.received.some(({ kind }) => kind === 'alterPartitions')).toBe(true),
    )
    await sleep(300)
    const asked = cluster.controller.received.filter((frame) => frame.kind === 'alterPartitions')
    expect(asked.flatMap(({ items }) => items).length).toBe(50)
    expect(asked.length).toBeLessThan(20)
    cluster.controller.onAlter = null
    cluster.controller.dropAll()
    await eventually(() =>
      expect([...cluster.controller.image.partitionsOf(1)].every(({ isr }) => isr.length === 1)).toBe(true),
    )
  })
})
