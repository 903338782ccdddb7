import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { commitProblem, fetchProblem } from '../../src/consumer/offset-claims.ts'
import { claim, Consumer, GroupHarness, SESSION_MS } from './harness.ts'

function settled(): { readonly group: GroupHarness; readonly a: Consumer; readonly b: Consumer } {
  const group = new GroupHarness()
  group.topics.set('t', 4)
  const a = new Consumer(group, 'a', ['t'])
  const b = new Consumer(group, 'b', ['t'])
  for (let round = 0; round < 3; round++) for (const one of [a, b]) one.beat()
  return { group, a, b }
}

describe('a group that is read back from its log', () => {
  test('is as it was, and its members go on without noticing', () => {
    const { group, a, b } = settled()
    const before = group.group.describe()
    group.reload()
    expect(group.group.describe()).toEqual(before)
    expect(a.shortBeat()).toMatchObject({ error: ErrorCode.NONE, memberEpoch: a.epoch, assignment: null })
    expect(b.shortBeat().error).toBe(ErrorCode.NONE)
    expect(group.records).toEqual([])
  })

  test('gives its members their whole session from then on', () => {
    const { group } = settled()
    group.nowMs += SESSION_MS * 3
    group.reload()
    expect(group.group.dueMs).toBe(group.nowMs)
    group.tick()
    expect(group.group.dueMs).toBe(group.nowMs + SESSION_MS)
    group.tick(SESSION_MS - 1)
    expect(group.group.members).toBe(2)
    group.tick(1)
    expect(group.group.members).toBe(0)
  })

  test('still waits for partitions to be given up, for the rebalance timeout from then on', () => {
    const { group, a, b } = settled()
    const c = new Consumer(group, 'c', ['t'])
    c.beat()
    for (const one of [a, b]) one.shortBeat()
    group.nowMs += 30_000
    group.reload()
    for (const afterMs of [20_000, 20_000, 19_999]) {
      group.tick(afterMs)
      for (const one of [a, b, c]) one.shortBeat()
    }
    expect(group.group.members).toBe(3)
    expect(group.group.dueMs).toBeLessThanOrEqual(group.nowMs + 1)
    group.tick(1)
    expect(group.group.members).toBe(2)
    expect(group.rebalances.flatMap(({ causes }) => causes)).not.toContainEqual(
      expect.objectContaining({ reason: 'session-timeout' }),
    )
  })

  test('sees that topics changed meanwhile', () => {
    const { group, a } = settled()
    group.topics.set('t', 8)
    group.reload()
    group.tick()
    expect(a.shortBeat().memberEpoch).toBeGreaterThan(3)
    expect(group.rebalances.at(-1)?.causes ?? []).not.toContainEqual(
      expect.objectContaining({ reason: 'session-timeout' }),
    )
  })

  test('is the same when compaction left the last record of each key', () => {
    const { group, a, b } = settled()
    a.beat()
    group.say({ memberId: 'b', memberEpoch: b.epoch, rackId: 'moved' })
    const before = group.group.describe()
    const last = new Map(group.log.map((record, at) => [Buffer.from(record.key).toString('hex'), at]))
    const compacted = group.log.filter((record, at) => last.get(Buffer.from(record.key).toString('hex')) === at)
    expect(compacted.length).toBeLessThan(group.log.length)
    group.log.splice(0, group.log.length, ...compacted)
    group.reload()
    const byId = (one: typeof before) => [...one.members].sort((x, y) => (x.memberId < y.memberId ? -1 : 1))
    expect(byId(group.group.describe())).toEqual(byId(before))
    expect(a.shortBeat().error).toBe(ErrorCode.NONE)
  })

  test('is gone after its tombstones', () => {
    const { group } = settled()
    group.say({ memberId: 'a', memberEpoch: -1 })
    group.say({ memberId: 'b', memberEpoch: -1 })
    expect(group.group.exists).toBe(true)
    group.remove()
    expect(group.group.exists).toBe(false)
    group.reload()
    expect(group.group.exists).toBe(false)
    expect(group.log.at(-1)?.value).toBeNull()
    expect(group.join('n', ['t']).memberEpoch).toBe(2)
  })
})

describe('a commit of a member', () => {
  const topic = (group: GroupHarness): string => group.topics.byName('t')?.id ?? ''

  test('is taken in its epoch, and in an older one for partitions that it had in it', () => {
    const { group, a, b } = settled()
    const own = a.owned[0]?.partitions[0] as number
    const other = b.owned[0]?.partitions[0] as number
    const { epoch } = a
    const check = (memberId: string, at: number, partition: number): ErrorCode =>
      commitProblem(group.group.durable, claim(memberId, at), topic(group), partition)
    expect(check('a', epoch, own)).toBe(ErrorCode.NONE)
    expect(check('a', epoch, other), 'in the current epoch the coordinator does not ask').toBe(ErrorCode.NONE)
    group.topics.set('t', 6)
    a.beat()
    expect(a.epoch).toBe(epoch + 1)
    expect(check('a', epoch, own)).toBe(ErrorCode.NONE)
    expect(check('a', epoch, other)).toBe(ErrorCode.STALE_MEMBER_EPOCH)
    const fresh = a.owned[0]?.partitions.find((partition) => partition >= 4) as number
    expect(check('a', epoch, fresh), 'given in the newer epoch').toBe(ErrorCode.STALE_MEMBER_EPOCH)
    expect(check('a', epoch + 2, own)).toBe(ErrorCode.STALE_MEMBER_EPOCH)
    expect(check('a', -1, own)).toBe(ErrorCode.STALE_MEMBER_EPOCH)
    expect(check('nobody', epoch, own)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    group.reload()
    expect(check('a', epoch, own), 'after the coordinator moved').toBe(ErrorCode.NONE)
    expect(check('a', epoch, fresh)).toBe(ErrorCode.STALE_MEMBER_EPOCH)
  })

  test('that is fenced can not commit', () => {
    const { group, a, b } = settled()
    const own = a.owned[0]?.partitions[0] as number
    group.tick(SESSION_MS - 1)
    b.shortBeat()
    group.tick(1)
    expect(commitProblem(group.group.durable, claim('a', a.epoch), topic(group), own)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('and a fetch of offsets are checked by the epoch', () => {
    const { group, a } = settled()
    expect(fetchProblem(group.group.durable, 'a', a.epoch)).toBe(ErrorCode.NONE)
    expect(fetchProblem(group.group.durable, 'a', a.epoch - 1)).toBe(ErrorCode.STALE_MEMBER_EPOCH)
    expect(fetchProblem(group.group.durable, 'nobody', 1)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })
})

describe('a rebalance tells', () => {
  test('why it was, how long it took and what moved', () => {
    const group = new GroupHarness()
    group.topics.set('t', 4)
    const a = new Consumer(group, 'a', ['t'], { clientId: 'app-1' })
    const b = new Consumer(group, 'b', ['t'], { clientId: 'app-2' })
    a.beat()
    expect(group.rebalances).toEqual([
      {
        groupId: 'g',
        generation: 2,
        causes: [{ reason: 'joined', memberId: 'a', clientId: 'app-1', detail: '' }],
        startedMs: group.nowMs,
        endedMs: group.nowMs,
        members: 1,
        moved: 4,
        moves: [{ topic: null, topicId: group.topics.byName('t')?.id, partitions: [0, 1, 2, 3], from: null, to: 'a' }],
      },
    ])
    const startedMs = group.nowMs
    b.beat()
    group.nowMs += 100
    a.beat()
    a.beat()
    group.nowMs += 50
    b.beat()
    expect(group.rebalances[1]).toEqual({
      groupId: 'g',
      generation: 3,
      causes: [{ reason: 'joined', memberId: 'b', clientId: 'app-2', detail: '' }],
      startedMs,
      endedMs: startedMs + 150,
      members: 2,
      moved: 2,
      moves: [{ topic: null, topicId: group.topics.byName('t')?.id, partitions: [0, 2], from: 'a', to: 'b' }],
    })
    expect([...group.group.roster()]).toMatchObject([
      { memberId: 'a', clientId: 'app-1', assigned: [{ topic: 't', partitions: [1, 3] }] },
      { memberId: 'b', clientId: 'app-2', assigned: [{ topic: 't', partitions: [0, 2] }] },
    ])
    group.say({ memberId: 'a', memberEpoch: -1 })
    b.beat()
    expect(group.rebalances[2]).toMatchObject({
      causes: [{ reason: 'left', memberId: 'a', clientId: 'app-1' }],
      moved: 2,
    })
    group.tick(SESSION_MS)
    expect(group.rebalances[3]).toMatchObject({
      causes: [{ reason: 'session-timeout', memberId: 'b' }],
      members: 0,
      moved: 0,
    })
    expect(group.group.rebalances).toEqual(group.rebalances)
  })

  test('no more than the last twenty', () => {
    const group = new GroupHarness()
    group.topics.set('t', 1)
    const a = new Consumer(group, 'a', ['t'])
    for (let partitions = 1; partitions <= 30; partitions++) {
      group.topics.set('t', partitions)
      a.beat()
    }
    expect(group.rebalances).toHaveLength(30)
    expect(group.group.rebalances).toEqual(group.rebalances.slice(-20))
  })
})
