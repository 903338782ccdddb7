import { ErrorCode } from '@millrace/base'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isReassigning, neededInSync, originOf, targetOf, UNASSIGNED } from '../src/index.ts'
import { directory, Harness } from './harness.ts'

const REFUSED = ErrorCode.INVALID_REPLICA_ASSIGNMENT

/** Six brokers and a partition on the first ones. */
const six = (replicas: readonly number[] = [1, 2, 3], settings: Record<string, string> = {}): Harness => {
  const harness = new Harness({ 'min.insync.replicas': '2' }).start(1, 2, 3, 4, 5, 6)
  harness.topic('t', [replicas], settings)
  return harness
}

describe('a reassignment', () => {
  test('adds the new replicas, keeps the old ones, and lets the old leader lead', () => {
    const cluster = six()
    expect(cluster.reassign('t', [4, 5, 3])).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({
      replicas: [4, 5, 3, 1, 2],
      addingReplicas: [4, 5],
      removingReplicas: [1, 2],
      directories: [directory(4), directory(5), directory(3), directory(1), directory(2)],
      isr: [1, 2, 3],
      leader: 1,
      leaderEpoch: 0,
      partitionEpoch: 1,
    })
  })

  test('ends when the whole target is in sync, and the leader that goes hands over', () => {
    const cluster = six()
    cluster.reassign('t', [4, 5, 3])
    cluster.propose('t', [1, 2, 3, 4])
    expect(isReassigning(cluster.partition('t'))).toBe(true)
    expect(cluster.propose('t', [1, 2, 3, 4, 5])).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({
      replicas: [4, 5, 3],
      directories: [directory(4), directory(5), directory(3)],
      addingReplicas: [],
      removingReplicas: [],
      isr: [3, 4, 5],
      elr: [],
      leader: 4,
      leaderEpoch: 1,
    })
    expect([...cluster.image.partitionsOf(1)]).toEqual([])
  })

  test('under a leader that stays raises the epoch, so that nothing counts of what a removed replica acknowledged', () => {
    const cluster = six()
    cluster.reassign('t', [1, 4])
    cluster.propose('t', [1, 2, 3, 4])
    expect(cluster.partition('t')).toMatchObject({ replicas: [1, 4], isr: [1, 4], leader: 1, leaderEpoch: 1 })
  })

  test('waits for a replica of the target that is away, though it is no new one', () => {
    const cluster = six()
    cluster.fence(3)
    cluster.reassign('t', [4, 3])
    cluster.propose('t', [1, 2, 4])
    expect(isReassigning(cluster.partition('t'))).toBe(true)
    cluster.heartbeat(3)
    cluster.propose('t', [1, 2, 4, 3])
    expect(cluster.partition('t')).toMatchObject({ replicas: [4, 3], isr: [4, 3], leader: 4 })
  })

  test('that only removes, or only changes the order, is done at once', () => {
    const cluster = six()
    cluster.reassign('t', [2, 1, 3])
    expect(cluster.partition('t')).toMatchObject({ replicas: [2, 1, 3], leader: 1, leaderEpoch: 0, addingReplicas: [] })
    cluster.reassign('t', [2, 3])
    expect(cluster.partition('t')).toMatchObject({ replicas: [2, 3], isr: [2, 3], leader: 2, leaderEpoch: 1 })
  })

  test('to where the partition is changes nothing', () => {
    const cluster = six()
    expect(cluster.reassign('t', [1, 2, 3])).toBe(ErrorCode.NONE)
    expect(cluster.records).toEqual([])
  })

  test('needs no more replicas in sync than there were before it', () => {
    const cluster = six([1])
    cluster.reassign('t', [2, 3])
    expect(neededInSync(cluster.partition('t'), 2)).toBe(1)
    cluster.propose('t', [1, 2])
    cluster.propose('t', [1])
    expect(cluster.partition('t').elr).toEqual([])
    cluster.propose('t', [1, 2, 3])
    expect(cluster.partition('t')).toMatchObject({ replicas: [2, 3], isr: [2, 3] })
    expect(neededInSync(cluster.partition('t'), 2)).toBe(2)
  })

  test('goes on when the leader fails, under one of those that are in sync', () => {
    const cluster = six()
    cluster.reassign('t', [4, 5, 6])
    cluster.propose('t', [1, 2, 3, 5])
    cluster.fence(1)
    expect(cluster.partition('t')).toMatchObject({ leader: 5, isr: [2, 3, 5], replicas: [4, 5, 6, 1, 2, 3] })
    cluster.propose('t', [2, 3, 5, 4, 6])
    expect(cluster.partition('t')).toMatchObject({ leader: 5, replicas: [4, 5, 6], isr: [5, 4, 6] })
  })

  test('gives the new replica of a broker that restarts meanwhile no standing', () => {
    const cluster = six()
    cluster.reassign('t', [4, 2, 3])
    cluster.propose('t', [1, 2, 3])
    cluster.start(4)
    expect(cluster.partition('t')).toMatchObject({ isr: [1, 2, 3], addingReplicas: [4], leader: 1 })
  })

  test('elects the preferred leader, the first of the target, once it is in sync', () => {
    const cluster = six()
    cluster.reassign('t', [4, 5, 6])
    const elect = () =>
      cluster.ask({ kind: 'electLeaders', election: 'preferred', partitions: [{ topic: 't', partition: 0 }] })
    expect(elect()[0]?.error).toBe(ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE)
    expect(cluster.ask({ kind: 'balanceLeaders', limit: 9 })).toBe(0)
    cluster.propose('t', [1, 2, 3, 4])
    expect(elect()[0]?.error).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({ leader: 4, addingReplicas: [4, 5, 6] })
  })

  test('does not end with an unclean election, because the others may have what its leader lacks', () => {
    const cluster = six([1, 2, 3], { 'unclean.leader.election.enable': 'true' })
    cluster.reassign('t', [3])
    cluster.fence(3)
    cluster.reassign('t', [3])
    for (const id of [1, 2]) cluster.fence(id)
    cluster.heartbeat(3)
    expect(cluster.partition('t')).toMatchObject({ replicas: [3], leader: 3 })
    const other = six([1, 2, 3], { 'unclean.leader.election.enable': 'true' })
    other.reassign('t', [4])
    for (const id of [1, 2, 3]) other.fence(id)
    expect(other.partition('t')).toMatchObject({ leader: 4, leaderRecovery: 'recovering', replicas: [4, 1, 2, 3] })
    other.heartbeat(2)
    other.propose('t', [4, 2])
    expect(other.partition('t')).toMatchObject({ leader: 4, replicas: [4], isr: [4], leaderRecovery: 'recovered' })
  })

  test('ends with the topic', () => {
    const cluster = six()
    const { id } = cluster.image.topicByName('t') as { id: string }
    cluster.reassign('t', [4, 5, 6])
    cluster.ask({ kind: 'deleteTopics', topics: [{ name: null, topicId: id }] })
    for (const broker of [1, 2, 3, 4, 5, 6]) expect([...cluster.image.partitionsOf(broker)]).toEqual([])
    expect(cluster.ask({ kind: 'listReassignments', topics: null })).toEqual([])
  })

  test('gives new partitions as many replicas as the first one is to have', () => {
    const cluster = six()
    cluster.reassign('t', [4, 5])
    cluster.ask({
      kind: 'createPartitions',
      validateOnly: false,
      topics: [{ topic: 't', count: 2, assignments: null }],
    })
    expect(cluster.partition('t', 1).replicas.length).toBe(2)
  })
})

describe('a reassignment that replaces another', () => {
  test('begins where the partition was, and drops what only the first one added', () => {
    const cluster = six()
    cluster.reassign('t', [4, 5, 3])
    cluster.propose('t', [1, 2, 3, 4])
    cluster.reassign('t', [6, 4, 1])
    expect(cluster.partition('t')).toMatchObject({
      replicas: [6, 4, 1, 3, 2],
      addingReplicas: [6, 4],
      removingReplicas: [3, 2],
      isr: [1, 2, 3, 4],
      leaderEpoch: 1,
    })
    expect(cluster.partition('t').directories[0]).toBe(directory(6))
  })

  test('does not take a new replica for an old one: it ends only when that is in sync', () => {
    const cluster = six()
    cluster.reassign('t', [4, 2, 3])
    cluster.reassign('t', [4, 3])
    expect(cluster.partition('t')).toMatchObject({
      replicas: [4, 3, 2, 1],
      addingReplicas: [4],
      removingReplicas: [2, 1],
    })
  })

  test('is refused where it would drop the only copy', () => {
    const cluster = six([1])
    cluster.reassign('t', [2, 3])
    cluster.propose('t', [1, 2])
    cluster.fence(1)
    expect(cluster.partition('t')).toMatchObject({ isr: [2], leader: 2 })
    expect(cluster.reassign('t', [4])).toBe(REFUSED)
    expect(cluster.reassign('t', null)).toBe(REFUSED)
    expect(cluster.records).toEqual([])
    cluster.heartbeat(1)
    cluster.propose('t', [2, 1])
    expect(cluster.reassign('t', null)).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({ replicas: [1], isr: [1], leader: 1, leaderEpoch: 2 })
  })
})

describe('a cancelled reassignment', () => {
  test('leaves the partition where it was, also when one of the new replicas leads', () => {
    const cluster = six()
    cluster.reassign('t', [4, 5, 6])
    cluster.propose('t', [1, 2, 3, 4])
    cluster.fence(1)
    expect(cluster.partition('t').leader).toBe(4)
    expect(cluster.reassign('t', null)).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({
      replicas: [1, 2, 3],
      addingReplicas: [],
      removingReplicas: [],
      isr: [2, 3],
      leader: 2,
      leaderEpoch: 2,
    })
  })

  test('leaves nothing behind that counts: who was in sync and is added again copies anew', () => {
    const cluster = six()
    cluster.reassign('t', [4, 5, 6])
    cluster.propose('t', [1, 2, 3, 4])
    const stale = { partitionEpoch: cluster.partition('t').partitionEpoch }
    cluster.reassign('t', null)
    cluster.reassign('t', [4, 2, 3])
    expect(cluster.partition('t').isr).toEqual([1, 2, 3])
    expect(cluster.propose('t', [1, 2, 3, 4], stale)).not.toBe(ErrorCode.NONE)
  })

  test('is none where nothing was under way', () => {
    expect(six().reassign('t', null)).toBe(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
  })

  test('drops replicas that never held anything from a partition without a leader', () => {
    const cluster = six([1, 2])
    for (const id of [2, 1]) cluster.fence(id)
    cluster.reassign('t', [3, 4])
    expect(cluster.partition('t')).toMatchObject({
      leader: -1,
      directories: [UNASSIGNED, UNASSIGNED, directory(1), directory(2)],
    })
    expect(cluster.reassign('t', null)).toBe(ErrorCode.NONE)
    expect(cluster.partition('t')).toMatchObject({ replicas: [1, 2], leader: -1, elr: [1, 2] })
    cluster.heartbeat(1)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, leaderRecovery: 'recovered' })
  })
})

describe('a request for reassignments', () => {
  test.each<readonly [string, readonly number[]]>([
    ['nobody', []],
    ['a broker twice', [4, 4]],
    ['a broker that is not registered', [1, 9]],
    ['a broker that is away', [1, 6]],
  ])('that names %s is refused', (_what, replicas) => {
    const cluster = six()
    cluster.fence(6)
    expect(cluster.reassign('t', replicas)).toBe(REFUSED)
    expect(cluster.records).toEqual([])
  })

  test('may name a broker that is away where it holds the partition already', () => {
    const cluster = six()
    cluster.fence(3)
    expect(cluster.reassign('t', [3, 4])).toBe(ErrorCode.NONE)
  })

  test('for what does not exist is told so', () => {
    const cluster = six()
    expect(cluster.reassign('u', [1])).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(cluster.reassign('t', [1], { partition: 7 })).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(cluster.reassign('t', null, { partition: -1 })).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })

  test('may forbid another replication factor, counted as it is to be', () => {
    const cluster = six()
    expect(cluster.reassign('t', [4, 5], { keepFactor: true })).toBe(ErrorCode.INVALID_REPLICATION_FACTOR)
    expect(cluster.reassign('t', [4, 5, 6], { keepFactor: true })).toBe(ErrorCode.NONE)
    expect(cluster.reassign('t', [4, 5, 1], { keepFactor: true })).toBe(ErrorCode.NONE)
  })

  test('decides each partition by itself, and each once', () => {
    const cluster = six()
    const results = cluster.ask({
      kind: 'alterReassignments',
      mayChangeFactor: true,
      partitions: [
        { topic: 't', partition: 0, replicas: [4, 5] },
        { topic: 't', partition: 0, replicas: [6] },
        { topic: 'u', partition: 0, replicas: null },
      ],
    })
    expect(results.map(({ error }) => error)).toEqual([
      ErrorCode.NONE,
      ErrorCode.INVALID_REQUEST,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ])
    expect(targetOf(cluster.partition('t'))).toEqual([4, 5])
    expect(originOf(cluster.partition('t')).toSorted((a, b) => a - b)).toEqual([1, 2, 3])
  })

  test('to list tells what is under way, of all or of what is asked', () => {
    const cluster = six()
    cluster.topic('u', [[1], [2]])
    cluster.reassign('u', [2], { partition: 0 })
    cluster.reassign('u', [4], { partition: 1 })
    const list = (topics: { name: string; partitions: number[] }[] | null): string[] =>
      cluster.ask({ kind: 'listReassignments', topics }).map(({ topic, partition }) => `${topic}-${partition}`)
    expect(list(null)).toEqual(['u-0', 'u-1'])
    expect(list([{ name: 'u', partitions: [1, 1, 9, -1] }])).toEqual(['u-1'])
    expect(
      list([
        { name: 't', partitions: [0] },
        { name: 'v', partitions: [0] },
      ]),
    ).toEqual([])
    expect(list([])).toEqual([])
  })
})

describe('whatever happens to a partition that moves', () => {
  const brokers = [1, 2, 3, 4, 5]
  const someone = fc.constantFrom(...brokers)
  const step = fc.oneof(
    fc.record({ do: fc.constant('move' as const), to: fc.uniqueArray(someone, { minLength: 1, maxLength: 3 }) }),
    fc.record({ do: fc.constantFrom('fence' as const, 'back' as const, 'restart' as const), who: someone }),
    fc.record({ do: fc.constantFrom('cancel' as const, 'elect' as const, 'unclean' as const) }),
    fc.record({ do: fc.constant('isr' as const), of: fc.uniqueArray(someone, { maxLength: 5 }) }),
  )

  test('the leader is in sync, those in sync are replicas, and all that was acknowledged stays where it can be found', () => {
    const run = (steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[], minIsr: number): void => {
      const cluster = new Harness({ 'min.insync.replicas': String(minIsr) }).start(...brokers)
      cluster.topic('t', [[1, 2, 3]])
      /** Who holds everything that was acknowledged. Something is acknowledged after every step in which the leader may. */
      let holders = new Set([1, 2, 3])
      for (const one of steps) {
        const before = cluster.partition('t')
        let joined: readonly number[] = []
        if (one.do === 'move') cluster.reassign('t', one.to)
        else if (one.do === 'cancel') cluster.reassign('t', null)
        else if (one.do === 'fence') cluster.fence(one.who)
        else if (one.do === 'back') cluster.heartbeat(one.who)
        else if (one.do === 'restart') cluster.register(one.who)
        else if (one.do === 'isr') {
          const isr = before.replicas.filter((id) => id === before.leader || one.of.includes(id))
          if (before.leader !== -1 && cluster.propose('t', isr) === ErrorCode.NONE) joined = isr
        } else {
          const election = one.do === 'elect' ? 'preferred' : 'unclean'
          // An unclean election gives up on what was acknowledged: that is asked for, not a loss.
          cluster.ask({ kind: 'electLeaders', election, partitions: null })
        }
        const now = cluster.partition('t')
        for (const id of joined) holders.add(id)
        holders = new Set([...holders].filter((id) => now.replicas.includes(id)))
        const { leader, isr, replicas } = now
        expect(isr.every((id) => replicas.includes(id))).toBe(true)
        expect(leader === -1 ? isr : [leader]).toEqual(leader === -1 ? [] : [isr.find((id) => id === leader)])
        if (now.leader !== before.leader && leader !== -1 && one.do === 'unclean') holders = new Set(isr)
        expect(holders.size).toBeGreaterThan(0)
        for (const id of [...isr, ...now.elr]) expect(holders).toContain(id)
        if (leader !== -1 && now.elr.length === 0 && isr.length >= neededInSync(now, minIsr)) holders = new Set(isr)
      }
    }
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 3 }), (steps, minIsr) =>
        run(steps, minIsr),
      ),
      { numRuns: 300 },
    )
  }, 60_000)
})
