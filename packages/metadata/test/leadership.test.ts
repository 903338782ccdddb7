import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { directory, Harness } from './harness.ts'

const three = (settings: Record<string, string> = {}): Harness => {
  const harness = new Harness({ 'min.insync.replicas': '2' }).start(1, 2, 3)
  harness.topic('t', [[1, 2, 3]], settings)
  return harness
}

describe('a broker that is fenced', () => {
  test('leaves the ISR, and its leadership goes to the first in-sync replica in assignment order', () => {
    const cluster = three()
    cluster.fence(1)
    expect(cluster.partition('t')).toMatchObject({ leader: 2, leaderEpoch: 1, partitionEpoch: 1, isr: [2, 3], elr: [] })
  })

  test('that does not lead changes the partition epoch and not the leader epoch', () => {
    const cluster = three()
    cluster.fence(3)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, leaderEpoch: 0, partitionEpoch: 1, isr: [1, 2] })
  })

  test('becomes an eligible leader when it leaves fewer than the minimum in sync', () => {
    const cluster = three()
    cluster.fence(3)
    cluster.fence(1)
    expect(cluster.partition('t')).toMatchObject({ leader: 2, isr: [2], elr: [1] })
  })

  test('as the last one leaves a leaderless partition with a raised epoch, and all who may lead it', () => {
    const cluster = three()
    for (const id of [3, 1, 2]) cluster.fence(id)
    expect(cluster.partition('t')).toMatchObject({
      leader: -1,
      leaderEpoch: 2,
      isr: [],
      elr: [1, 2],
      lastKnownElr: [2],
    })
  })

  test('twice changes nothing, and an old incarnation cannot be fenced', () => {
    const cluster = three()
    const old = cluster.epoch(1)
    cluster.fence(1)
    cluster.fence(1)
    expect(cluster.records).toEqual([])
    cluster.start(1)
    expect(cluster.ask({ kind: 'fenceBroker', brokerId: 1, brokerEpoch: old }).error).toBe(ErrorCode.STALE_BROKER_EPOCH)
    expect(cluster.ask({ kind: 'fenceBroker', brokerId: 9, brokerEpoch: 1 }).error).toBe(
      ErrorCode.BROKER_ID_NOT_REGISTERED,
    )
  })
})

describe('a broker that comes back', () => {
  test('leads a leaderless partition again when it is eligible, cleanly', () => {
    const cluster = three()
    for (const id of [3, 1, 2]) cluster.fence(id)
    cluster.heartbeat(1)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, isr: [1], elr: [2], leaderRecovery: 'recovered' })
  })

  test('leads nothing when it was neither in sync nor eligible', () => {
    const cluster = three()
    for (const id of [3, 1, 2]) cluster.fence(id)
    cluster.heartbeat(3)
    expect(cluster.partition('t')).toMatchObject({ leader: -1, isr: [], elr: [1, 2] })
  })

  test('leads uncleanly where that is enabled, and everybody else loses their standing', () => {
    const cluster = three({ 'unclean.leader.election.enable': 'true' })
    for (const id of [3, 1, 2]) cluster.fence(id)
    cluster.heartbeat(3)
    expect(cluster.partition('t')).toMatchObject({
      leader: 3,
      isr: [3],
      elr: [],
      lastKnownElr: [],
      leaderRecovery: 'recovering',
    })
  })

  test('joins the ISR by its leader only', () => {
    const cluster = three()
    cluster.fence(3)
    cluster.heartbeat(3)
    expect(cluster.partition('t').isr).toEqual([1, 2])
    expect(cluster.propose('t', [1, 2, 3])).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({ isr: [1, 2, 3], leaderEpoch: 0, partitionEpoch: 2 })
  })

  test('brings the ISR back to the minimum, which clears the eligible leaders', () => {
    const cluster = three()
    for (const id of [3, 1, 2]) cluster.fence(id)
    cluster.heartbeat(1)
    cluster.heartbeat(3)
    expect(cluster.propose('t', [1, 3])).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({ isr: [1, 3], elr: [] })
  })
})

describe('an unclean leader', () => {
  test('stays marked until every replica is in sync again, also under another leader', () => {
    const cluster = three({ 'unclean.leader.election.enable': 'true' })
    for (const id of [3, 1, 2]) cluster.fence(id)
    for (const id of [3, 2, 1]) cluster.heartbeat(id)
    cluster.propose('t', [3, 2])
    cluster.fence(3)
    expect(cluster.partition('t')).toMatchObject({ leader: 2, leaderRecovery: 'recovering' })
    cluster.heartbeat(3)
    cluster.propose('t', [2, 3])
    expect(cluster.partition('t').leaderRecovery).toBe('recovering')
    cluster.propose('t', [2, 3, 1])
    expect(cluster.partition('t').leaderRecovery).toBe('recovered')
  })
})

describe('a new incarnation', () => {
  test('takes the old one out of leaderships and ISRs in the entry that registers it', () => {
    const cluster = three()
    cluster.register(1)
    expect(cluster.records.map(({ name }) => name)).toEqual(['registerBroker', 'partitionChange'])
    expect(cluster.epoch(1)).toBe(cluster.index)
    expect(cluster.image.brokers.get(1)).toMatchObject({ fenced: true, shuttingDown: false })
    expect(cluster.partition('t')).toMatchObject({ leader: 2, leaderEpoch: 1, isr: [2, 3] })
  })

  test('never leads under a leader epoch of the old one, even where it is the only replica', () => {
    const cluster = new Harness().start(1)
    cluster.topic('t', [[1]])
    cluster.start(1)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, isr: [1], leaderEpoch: 2, leaderRecovery: 'recovered' })
  })

  test('that lost its directory leaves ISR and eligibility even as the last member: nobody leads, nothing is emptied', () => {
    const cluster = new Harness().start(1, 2)
    cluster.topic('t', [[1]])
    cluster.register(1, { directories: [directory(1, 1)] })
    cluster.heartbeat(1)
    expect(cluster.partition('t')).toMatchObject({ leader: -1, isr: [], elr: [], directories: [directory(1)] })
  })

  test('whose directory is back leads again, marked as recovering', () => {
    const cluster = new Harness().start(1, 2)
    cluster.topic('t', [[1, 2]])
    cluster.fence(2)
    cluster.register(1, { directories: [directory(1, 1)] })
    cluster.heartbeat(1)
    cluster.heartbeat(2)
    expect(cluster.partition('t').leader).toBe(-1)
    cluster.start(1)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, isr: [1], leaderRecovery: 'recovering' })
  })

  test('that lost its directory gets a new one for replicas that others lead', () => {
    const cluster = three()
    cluster.register(1, { directories: [directory(1, 1)] })
    expect(cluster.partition('t')).toMatchObject({
      leader: 2,
      isr: [2, 3],
      directories: [directory(1, 1), directory(2), directory(3)],
    })
  })

  test('spreads the replicas of a lost directory over those it has', () => {
    const cluster = new Harness().start(1, 2)
    cluster.topic(
      't',
      Array.from({ length: 6 }, () => [2, 1]),
    )
    cluster.register(1, { directories: [directory(1, 1), directory(1, 2)] })
    const used = cluster.image.topicByName('t')?.partitions.map((one) => one.directories[1])
    expect(used?.filter((one) => one === directory(1, 1)).length).toBe(3)
    expect(used?.filter((one) => one === directory(1, 2)).length).toBe(3)
  })

  test('tells of damage: that replica is not eligible, and no stand-in either', () => {
    const cluster = new Harness().start(1)
    const topic = cluster.topic('t', [[1], [1]])
    cluster.register(1, {
      damaged: [
        { topicId: topic.id, partition: 0 },
        { topicId: topic.id, partition: 77 },
      ],
    })
    cluster.heartbeat(1)
    expect(cluster.partition('t', 0)).toMatchObject({ leader: -1, isr: [], elr: [], lastKnownElr: [] })
    expect(cluster.partition('t', 1)).toMatchObject({ leader: 1, leaderRecovery: 'recovered' })
  })
})

describe('a broker that acknowledges from memory', () => {
  const pagecache = { flushMode: 'pagecache' } as const
  const cluster = (): Harness => {
    const harness = new Harness({ 'min.insync.replicas': '2' })
    for (const id of [1, 2]) {
      harness.register(id, pagecache)
      harness.heartbeat(id)
    }
    harness.topic('t', [[1, 2]])
    return harness
  }

  test('is not eligible after an unclean restart', () => {
    const harness = cluster()
    harness.fence(1)
    expect(harness.partition('t').elr).toEqual([1])
    harness.register(1, pagecache)
    expect(harness.partition('t')).toMatchObject({ leader: 2, isr: [2], elr: [] })
  })

  test('is eligible after a clean one', () => {
    const harness = cluster()
    const previousBrokerEpoch = harness.epoch(1)
    harness.fence(1)
    harness.register(1, { ...pagecache, previousBrokerEpoch })
    expect(harness.partition('t')).toMatchObject({ leader: 2, isr: [2], elr: [1] })
  })

  test('is judged by how the incarnation that ended flushed, not by how the new one does', () => {
    const harness = cluster()
    harness.fence(1)
    harness.register(1, { flushMode: 'fsync' })
    expect(harness.partition('t').elr).toEqual([])
  })

  test('leads again as the last known leader when nobody is eligible, marked as recovering', () => {
    const harness = cluster()
    harness.register(2, pagecache)
    harness.register(1, pagecache)
    expect(harness.partition('t')).toMatchObject({ leader: -1, isr: [], elr: [], lastKnownElr: [1] })
    harness.heartbeat(2)
    expect(harness.partition('t').leader).toBe(-1)
    harness.heartbeat(1)
    expect(harness.partition('t')).toMatchObject({ leader: 1, isr: [1], leaderRecovery: 'recovering' })
  })
})

describe('a controlled shutdown', () => {
  test('moves leaderships and leaves ISRs without fencing, and forbids coming back', () => {
    const cluster = three()
    expect(cluster.heartbeat(1, { wantShutdown: true })).toMatchObject({ fenced: false, shuttingDown: true })
    expect(cluster.partition('t')).toMatchObject({ leader: 2, isr: [2, 3], leaderEpoch: 1 })
    expect(cluster.propose('t', [2, 3, 1])).toBe(ErrorCode.INELIGIBLE_REPLICA)
  })

  test('of the only replica leaves it eligible, and it leads again after its restart', () => {
    const cluster = new Harness().start(1)
    cluster.topic('t', [[1]])
    cluster.heartbeat(1, { wantShutdown: true })
    expect(cluster.partition('t')).toMatchObject({ leader: -1, elr: [1] })
    cluster.fence(1)
    cluster.start(1)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, leaderRecovery: 'recovered' })
  })

  test('of a fenced broker leaves it fenced', () => {
    const cluster = new Harness()
    cluster.register(1)
    expect(cluster.heartbeat(1, { wantShutdown: true })).toMatchObject({ fenced: true, shuttingDown: true })
  })
})

describe('a log directory that goes offline', () => {
  test('takes the replicas in it out of service and no others', () => {
    const cluster = new Harness().start(2)
    cluster.register(1, { directories: [directory(1), directory(1, 1)] })
    cluster.heartbeat(1)
    cluster.topic('t', [
      [1, 2],
      [1, 2],
    ])
    expect(cluster.partition('t', 1).directories[0]).toBe(directory(1, 1))
    cluster.heartbeat(1, { offlineDirectories: [directory(1)] })
    expect(cluster.partition('t', 0)).toMatchObject({
      leader: 2,
      isr: [2],
      directories: [directory(1, 1), directory(2)],
    })
    expect(cluster.partition('t', 1)).toMatchObject({ leader: 1, isr: [1, 2] })
  })

  test('as the last one fences the broker', () => {
    const cluster = three()
    expect(cluster.heartbeat(1, { offlineDirectories: [directory(1)] }).fenced).toBe(true)
    expect(cluster.heartbeat(1).fenced).toBe(true)
  })
})

describe('a broker that will not come back', () => {
  test('is unregistered with everything that it stood for', () => {
    const cluster = three()
    cluster.fence(3)
    cluster.fence(1)
    expect(cluster.ask({ kind: 'unregisterBroker', brokerId: 1 }).error).toBe(ErrorCode.NONE)
    expect(cluster.image.brokers.has(1)).toBe(false)
    expect(cluster.partition('t')).toMatchObject({ leader: 2, isr: [2], elr: [], replicas: [1, 2, 3] })
    expect(cluster.ask({ kind: 'unregisterBroker', brokerId: 1 }).error).toBe(ErrorCode.BROKER_ID_NOT_REGISTERED)
  })
})

describe('the minimum of in-sync replicas', () => {
  const waiting = (): Harness => {
    const cluster = three()
    cluster.fence(3)
    cluster.fence(1)
    expect(cluster.partition('t').elr).toEqual([1])
    return cluster
  }

  test('lowered for the topic takes the eligible leaders away in the same entry, because the watermark moves on', () => {
    const cluster = waiting()
    cluster.configure('topic', 't', { 'min.insync.replicas': '1' })
    expect(cluster.records.map(({ name }) => name)).toEqual(['config', 'partitionChange'])
    expect(cluster.partition('t')).toMatchObject({ leader: 2, isr: [2], elr: [], leaderEpoch: 1 })
  })

  test('lowered for the cluster does so for topics without a minimum of their own', () => {
    const cluster = waiting()
    cluster.topic('own', [[2]], { 'min.insync.replicas': '2' })
    cluster.configure('broker', '', { 'min.insync.replicas': '1' })
    expect(cluster.partition('t').elr).toEqual([])
    expect(cluster.records.length).toBe(2)
  })

  test('raised changes no partition', () => {
    const cluster = waiting()
    cluster.configure('topic', 't', { 'min.insync.replicas': '3' })
    expect(cluster.records.map(({ name }) => name)).toEqual(['config'])
    expect(cluster.partition('t').elr).toEqual([1])
  })

  test('counts as met by all replicas when there are fewer', () => {
    const cluster = new Harness({ 'min.insync.replicas': '3' }).start(1, 2)
    cluster.topic('t', [[1, 2]])
    cluster.fence(2)
    expect(cluster.partition('t').elr).toEqual([2])
    cluster.heartbeat(2)
    cluster.propose('t', [1, 2])
    expect(cluster.partition('t').elr).toEqual([])
  })

  test('comes from committed metadata, so the value of the file is written down when the cluster forms', () => {
    const cluster = new Harness({ 'min.insync.replicas': '2' })
    expect(cluster.image.configs({ kind: 'broker', name: '' }).get('min.insync.replicas')).toBe('2')
    expect(new Harness().image.configs({ kind: 'broker', name: '' }).get('min.insync.replicas')).toBe('1')
  })
})

describe('enabling unclean elections', () => {
  test('gives a leader at once to partitions that wait for one', () => {
    const cluster = three()
    for (const id of [3, 1, 2]) cluster.fence(id)
    cluster.heartbeat(3)
    cluster.configure('topic', 't', { 'unclean.leader.election.enable': 'true' })
    expect(cluster.partition('t')).toMatchObject({ leader: 3, elr: [], leaderRecovery: 'recovering' })
  })

  test('never makes a replica lead that lost its directory: only an operator may', () => {
    const cluster = new Harness().start(1)
    cluster.topic('t', [[1]], { 'unclean.leader.election.enable': 'true' })
    cluster.register(1, { directories: [directory(1, 1)] })
    cluster.heartbeat(1)
    expect(cluster.partition('t').leader).toBe(-1)
    cluster.ask({ kind: 'electLeaders', election: 'unclean', partitions: [{ topic: 't', partition: 0 }] })
    expect(cluster.partition('t')).toMatchObject({ leader: 1, isr: [1], directories: [directory(1, 1)] })
  })
})

describe('a replica in doubt', () => {
  const quarantine = (cluster: Harness, brokerId: number): number => {
    const report = { ...cluster.partition('t'), blank: false }
    const partitions = [report, report, { ...report, topicId: 'AAAAAAAAAAAAAAAAAAAABQ' }]
    return cluster.ask({ kind: 'quarantine', brokerId, brokerEpoch: cluster.epoch(brokerId), partitions }).error
  }

  test('leaves ISR, leadership and eligibility', () => {
    const cluster = three()
    cluster.fence(3)
    expect(quarantine(cluster, 1)).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({ leader: 2, isr: [2], elr: [], leaderEpoch: 1 })
  })

  test('leads nothing even as the last one, and even where unclean elections are enabled', () => {
    const cluster = new Harness().start(1)
    cluster.topic('t', [[1]], { 'unclean.leader.election.enable': 'true' })
    quarantine(cluster, 1)
    expect(cluster.partition('t')).toMatchObject({ leader: -1, isr: [], elr: [], lastKnownElr: [] })
  })

  test('comes back through its leader once it refetched', () => {
    const cluster = three()
    quarantine(cluster, 3)
    expect(cluster.partition('t').isr).toEqual([1, 2])
    expect(cluster.propose('t', [1, 2, 3])).toBe(ErrorCode.NONE)
  })

  test('is no matter of a stale incarnation or of a broker without that replica', () => {
    const cluster = three().start(4)
    quarantine(cluster, 4)
    expect(cluster.records).toEqual([])
    const answer = cluster.ask({
      kind: 'quarantine',
      brokerId: 1,
      brokerEpoch: 1,
      partitions: [{ ...cluster.partition('t'), blank: false }],
    })
    expect(answer.error).toBe(ErrorCode.STALE_BROKER_EPOCH)
  })

  test('is no matter of a report that was on its way while the partition changed', () => {
    const cluster = three()
    const old = { ...cluster.partition('t'), blank: false }
    quarantine(cluster, 3)
    cluster.propose('t', [1, 2, 3])
    cluster.ask({ kind: 'quarantine', brokerId: 3, brokerEpoch: cluster.epoch(3), partitions: [old] })
    expect(cluster.records).toEqual([])
  })
})

describe('a proposal of the leader', () => {
  test('equal to the state is a success and changes nothing, also with an old partition epoch', () => {
    const cluster = three()
    cluster.propose('t', [1, 2])
    expect(cluster.propose('t', [2, 1])).toBe(ErrorCode.NONE)
    expect(cluster.propose('t', [1, 2], { partitionEpoch: 0 })).toBe(ErrorCode.NONE)
    expect(cluster.records).toEqual([])
  })

  test('that shrinks below the minimum keeps those who leave eligible', () => {
    const cluster = three()
    expect(cluster.propose('t', [1])).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({ isr: [1], elr: [2, 3], leaderEpoch: 0 })
  })

  test('with an old partition epoch is refused', () => {
    const cluster = three()
    cluster.propose('t', [1, 2])
    expect(cluster.propose('t', [1], { partitionEpoch: 0 })).toBe(ErrorCode.INVALID_UPDATE_VERSION)
  })

  test('with an old leader epoch is refused, and one with a newer epoch belongs to a newer controller', () => {
    const cluster = three()
    cluster.fence(1)
    expect(cluster.propose('t', [2], { leaderEpoch: 0 })).toBe(ErrorCode.FENCED_LEADER_EPOCH)
    expect(cluster.propose('t', [2], { leaderEpoch: 7 })).toBe(ErrorCode.NOT_CONTROLLER)
    expect(cluster.propose('t', [2], { partitionEpoch: 7 })).toBe(ErrorCode.NOT_CONTROLLER)
  })

  test('without the leader, with a stranger or with somebody twice is none', () => {
    const cluster = three().start(4)
    expect(cluster.propose('t', [2, 3])).toBe(ErrorCode.INVALID_REQUEST)
    expect(cluster.propose('t', [1, 4])).toBe(ErrorCode.INVALID_REQUEST)
    expect(cluster.propose('t', [1, 1])).toBe(ErrorCode.INVALID_REQUEST)
    expect(cluster.propose('t', [])).toBe(ErrorCode.INVALID_REQUEST)
  })

  test('of somebody who does not lead is none', () => {
    const cluster = three()
    const { topicId, leaderEpoch, partitionEpoch } = cluster.partition('t')
    const isr = [{ brokerId: 2, brokerEpoch: cluster.epoch(2) }]
    const items = [{ topicId, partition: 0, requestId: 4, leaderEpoch, partitionEpoch, isr }]
    const [answer] = cluster.ask({ kind: 'alterPartitions', brokerId: 2, brokerEpoch: cluster.epoch(2), items })
    expect(answer).toMatchObject({ error: ErrorCode.INVALID_REQUEST, requestId: 4, isr: [1, 2, 3] })
  })

  test('may not admit a fenced broker or one of another incarnation', () => {
    const cluster = three()
    const old = cluster.epoch(3)
    cluster.fence(3)
    expect(cluster.propose('t', [1, 2, 3])).toBe(ErrorCode.INELIGIBLE_REPLICA)
    cluster.start(3)
    const isr = [1, 2, 3].map((brokerId) => ({ brokerId, brokerEpoch: brokerId === 3 ? old : cluster.epoch(brokerId) }))
    expect(cluster.propose('t', [], { isr })).toBe(ErrorCode.INELIGIBLE_REPLICA)
    expect(cluster.propose('t', [1, 2, 3])).toBe(ErrorCode.NONE)
  })

  test('about an unknown partition or from a stale incarnation is refused by itself', () => {
    const cluster = three()
    const unknown = {
      topicId: 'AAAAAAAAAAAAAAAAAAAABQ',
      partition: 0,
      requestId: 1,
      leaderEpoch: 0,
      partitionEpoch: 0,
      isr: [],
    }
    const ask = (brokerEpoch: number): number | undefined =>
      cluster.ask({ kind: 'alterPartitions', brokerId: 1, brokerEpoch, items: [unknown] })[0]?.error
    expect(ask(cluster.epoch(1))).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(ask(1)).toBe(ErrorCode.STALE_BROKER_EPOCH)
  })

  test('twice for one partition in a message counts once', () => {
    const cluster = three()
    const { topicId, leaderEpoch, partitionEpoch } = cluster.partition('t')
    const item = (ids: readonly number[]) => ({
      topicId,
      partition: 0,
      requestId: 1,
      leaderEpoch,
      partitionEpoch,
      isr: ids.map((brokerId) => ({ brokerId, brokerEpoch: cluster.epoch(brokerId) })),
    })
    const answers = cluster.ask({
      kind: 'alterPartitions',
      brokerId: 1,
      brokerEpoch: cluster.epoch(1),
      items: [item([1, 2]), item([1, 3])],
    })
    expect(answers.map(({ error }) => error)).toEqual([0, ErrorCode.INVALID_REQUEST])
    expect(cluster.partition('t').isr).toEqual([1, 2])
  })
})

describe('an election that an operator asks for', () => {
  const elect = (cluster: Harness, election: 'preferred' | 'unclean', partition = 0): number | undefined =>
    cluster.ask({ kind: 'electLeaders', election, partitions: [{ topic: 't', partition }] })[0]?.error

  test('of the preferred replica moves the leadership when that is in sync', () => {
    const cluster = three()
    cluster.fence(1)
    cluster.heartbeat(1)
    expect(elect(cluster, 'preferred')).toBe(ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE)
    cluster.propose('t', [2, 3, 1])
    expect(elect(cluster, 'preferred')).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, leaderEpoch: 2 })
    expect(elect(cluster, 'preferred')).toBe(ErrorCode.ELECTION_NOT_NEEDED)
  })

  test('that is unclean takes whoever is alive, and nobody when nobody is', () => {
    const cluster = three()
    expect(elect(cluster, 'unclean')).toBe(ErrorCode.ELECTION_NOT_NEEDED)
    for (const id of [3, 1, 2]) cluster.fence(id)
    expect(elect(cluster, 'unclean')).toBe(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE)
    cluster.heartbeat(3)
    expect(elect(cluster, 'unclean')).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({ leader: 3, leaderRecovery: 'recovering' })
  })

  test('of everything answers only what happened', () => {
    const cluster = three()
    cluster.topic('u', [[2, 1]])
    cluster.fence(1)
    cluster.heartbeat(1)
    const results = cluster.ask({ kind: 'electLeaders', election: 'preferred', partitions: null })
    expect(results).toMatchObject([{ topic: 't', partition: 0, error: ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE }])
  })

  test('of an unknown partition, or of one twice, is refused', () => {
    const cluster = three()
    expect(elect(cluster, 'preferred', 5)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    const twice = [0, 0].map((partition) => ({ topic: 't', partition }))
    const results = cluster.ask({ kind: 'electLeaders', election: 'preferred', partitions: twice })
    expect(results[1]?.error).toBe(ErrorCode.INVALID_REQUEST)
  })
})

describe('balancing', () => {
  test('moves leaderships back in portions and stops when all are where they belong', () => {
    const cluster = three()
    cluster.topic(
      'many',
      Array.from({ length: 5 }, () => [1, 2]),
    )
    cluster.fence(1)
    cluster.heartbeat(1)
    cluster.propose('t', [2, 3, 1])
    for (const one of cluster.image.topicByName('many')?.partitions ?? []) {
      const isr = [2, 1].map((brokerId) => ({ brokerId, brokerEpoch: cluster.epoch(brokerId) }))
      const { topicId, partition, leaderEpoch, partitionEpoch } = one
      const items = [{ topicId, partition, requestId: 1, leaderEpoch, partitionEpoch, isr }]
      cluster.ask({ kind: 'alterPartitions', brokerId: 2, brokerEpoch: cluster.epoch(2), items })
    }
    const moved = [4, 4, 4].map((limit) => cluster.ask({ kind: 'balanceLeaders', limit }))
    expect(moved).toEqual([4, 2, 0])
    expect([...cluster.image.partitionsOf(1)].every(({ leader }) => leader === 1)).toBe(true)
  })
})
