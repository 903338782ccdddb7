import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { REBALANCE_MS, SESSION_MS, ShardHarness, subscription } from '../shard-harness.ts'

const protocol = (name: string, topics = ['t']): { name: string; metadata: Uint8Array } => ({
  name,
  metadata: subscription(topics),
})

describe('a JoinGroup is refused', () => {
  test.each([
    ['with a session timeout below the least', { sessionTimeoutMs: 5999 }, ErrorCode.INVALID_SESSION_TIMEOUT],
    ['with a session timeout above the most', { sessionTimeoutMs: 1_800_001 }, ErrorCode.INVALID_SESSION_TIMEOUT],
    ['without a group id', { groupId: '' }, ErrorCode.INVALID_GROUP_ID],
    ['without a protocol type', { protocolType: '' }, ErrorCode.INCONSISTENT_GROUP_PROTOCOL],
    ['without protocols', { protocols: [] }, ErrorCode.INCONSISTENT_GROUP_PROTOCOL],
    ['with an id of a group that is not there', { memberId: 'somebody' }, ErrorCode.UNKNOWN_MEMBER_ID],
  ])('%s', (_, said, error) => {
    const harness = new ShardHarness()
    expect(harness.join(said).response).toMatchObject({ error, generation: -1, leader: '', protocolName: null })
    expect([...harness.shard.groups()]).toEqual([])
    expect(harness.log).toEqual([])
  })

  test('without a protocol that all members have, or with another protocol type', () => {
    const harness = new ShardHarness()
    harness.stable(1)
    const { INCONSISTENT_GROUP_PROTOCOL } = ErrorCode
    expect(harness.join({ protocols: [protocol('sticky')] }).response.error).toBe(INCONSISTENT_GROUP_PROTOCOL)
    expect(harness.join({ protocolType: 'connect' }).response.error).toBe(INCONSISTENT_GROUP_PROTOCOL)
    expect(harness.state).toBe('Stable')
  })

  test('with an id that the group does not know', () => {
    const harness = new ShardHarness()
    harness.stable(1)
    expect(harness.join({ memberId: 'somebody' }).response.error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('with an instance id that is mapped to another member', () => {
    const harness = new ShardHarness()
    harness.stable(1, { groupInstanceId: 'i' })
    const said = { memberId: 'other', groupInstanceId: 'i' }
    expect(harness.join(said).response.error).toBe(ErrorCode.FENCED_INSTANCE_ID)
  })

  test('when the group is as large as it may be', () => {
    const harness = new ShardHarness({ maxSize: 2 })
    const members = harness.stable(2)
    expect(harness.join().response).toMatchObject({ error: ErrorCode.GROUP_MAX_SIZE_REACHED, memberId: '' })
    expect(harness.heartbeat(members[1] as never)).toBe(ErrorCode.NONE)
  })
})

describe('a member without an id', () => {
  test('is told one, and waits to be known by it', () => {
    const harness = new ShardHarness()
    const first = harness.join({ clientId: 'reader' }).response
    expect(first.error).toBe(ErrorCode.MEMBER_ID_REQUIRED)
    expect(first.memberId).toMatch(/^reader-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const joined = harness.join({ memberId: first.memberId }).response
    expect(joined).toMatchObject({ error: ErrorCode.NONE, generation: 1, leader: first.memberId })
  })

  test('is forgotten when it does not come back within its session timeout', () => {
    const harness = new ShardHarness()
    const { memberId } = harness.join().response
    harness.advance(SESSION_MS)
    expect(harness.join({ memberId }).response.error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect([...harness.shard.groups()]).toEqual([])
    expect(harness.shard.nextDueMs).toBeGreaterThan(harness.nowMs + SESSION_MS)
  })

  test('is forgotten sooner when very many others ask and never come', () => {
    const harness = new ShardHarness()
    const ids = Array.from({ length: 10_001 }, () => harness.join().response.memberId)
    expect(harness.join({ memberId: ids[0] ?? '' }).response.error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.join({ memberId: ids[1] ?? '' }).response.error).toBe(ErrorCode.NONE)
  })

  test('joins at once before version 4', () => {
    const harness = new ShardHarness()
    expect(harness.join({ requireKnownMemberId: false }).response).toMatchObject({ error: 0, generation: 1 })
  })

  test('joins at once with an instance id, which its id begins with', () => {
    const harness = new ShardHarness()
    const joined = harness.join({ groupInstanceId: 'rack-7' }).response
    expect(joined).toMatchObject({ error: 0, generation: 1 })
    expect(joined.memberId).toMatch(/^rack-7-/)
    expect(joined.members).toMatchObject([{ groupInstanceId: 'rack-7' }])
  })

  test('is told an id that fits into a string, however long its client id is', () => {
    const harness = new ShardHarness()
    const clientId = `${'x'.repeat(254)}${'\u{1F600}'.repeat(8000)}`
    const { memberId } = harness.join({ clientId }).response
    expect(memberId.length).toBeLessThan(300)
    expect(memberId.isWellFormed()).toBe(true)
    harness.sync(harness.join({ memberId, clientId: 'x' }).response)
    expect(harness.state).toBe('Stable')
  })
})

describe('the first rebalance of a group', () => {
  test('waits for the initial delay, and as long again while members come, up to the rebalance timeout', () => {
    const harness = new ShardHarness({ initialRebalanceDelayMs: 3000 })
    const first = harness.joinNew({ rebalanceTimeoutMs: 8000 })
    harness.advance(2999)
    const second = harness.joinNew({ rebalanceTimeoutMs: 8000 })
    harness.advance(1)
    expect(first.waits).toBe(true)
    harness.advance(2000)
    const third = harness.joinNew({ rebalanceTimeoutMs: 8000 })
    harness.advance(2999)
    expect([first, second, third].map(({ waits }) => waits)).toEqual([true, true, true])
    harness.advance(1)
    expect([first, second, third].map(({ response }) => response.generation)).toEqual([1, 1, 1])
    expect(harness.nowMs).toBe(1_008_000)
  })

  test('does not end sooner because somebody left', () => {
    const harness = new ShardHarness({ initialRebalanceDelayMs: 3000 })
    const first = harness.joinNew()
    const { memberId } = harness.join().response
    const second = harness.join({ memberId })
    harness.leave({ memberId })
    expect([first.waits, second.response.error]).toEqual([true, ErrorCode.UNKNOWN_MEMBER_ID])
  })

  test('ends after the delay when nobody else came', () => {
    const harness = new ShardHarness({ initialRebalanceDelayMs: 3000 })
    const only = harness.joinNew()
    harness.advance(2999)
    expect(only.waits).toBe(true)
    harness.advance(1)
    expect(only.response.members).toHaveLength(1)
  })
})

describe('when all members joined', () => {
  test('the generation rises, one of them leads, and the leader alone is told who the members are', () => {
    const harness = new ShardHarness({ initialRebalanceDelayMs: 100 })
    const joins = [harness.joinNew({ topics: ['a'] }), harness.joinNew({ topics: ['b'] })]
    harness.advance(200)
    const [leader, follower] = joins.map(({ response }) => response)
    expect(leader?.leader).toBe(leader?.memberId)
    expect(leader?.members.map(({ memberId, metadata }) => [memberId, metadata])).toEqual([
      [leader?.memberId, subscription(['a'])],
      [follower?.memberId, subscription(['b'])],
    ])
    expect(follower).toMatchObject({ leader: leader?.memberId, members: [], generation: 1, protocolType: 'consumer' })
  })

  test('the protocol is the one that all support and most prefer', () => {
    const harness = new ShardHarness({ initialRebalanceDelayMs: 100 })
    const wants = [
      ['a', 'b', 'c'],
      ['c', 'b', 'a'],
      ['x', 'c', 'b'],
    ]
    const joins = wants.map((names) => harness.joinNew({ protocols: names.map((name) => protocol(name)) }))
    harness.advance(500)
    // Of b and c, which all have, the first prefers b and the others c.
    expect(joins.map(({ response }) => response.protocolName)).toEqual(['c', 'c', 'c'])
  })
})

describe('a member that is known joins', () => {
  test('a stable group as a follower with nothing new: it is told the generation again', () => {
    const harness = new ShardHarness()
    const [leader, follower] = harness.stable(2)
    const again = harness.join({ memberId: follower?.memberId ?? '' }).response
    expect(again).toMatchObject({ error: 0, generation: leader?.generation, members: [], leader: leader?.memberId })
    expect(harness.state).toBe('Stable')
  })

  test('a stable group as its leader: the group rebalances', () => {
    const harness = new ShardHarness()
    const [leader, follower] = harness.stable(2)
    const again = harness.join({ memberId: leader?.memberId ?? '', reason: 'topics changed' })
    expect(again.waits).toBe(true)
    expect(harness.heartbeat(follower as never)).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    harness.join({ memberId: follower?.memberId ?? '' })
    expect(again.response.generation).toBe((leader?.generation ?? 0) + 1)
    expect(again.response.members).toHaveLength(2)
  })

  test('a stable group with another subscription: the group rebalances', () => {
    const harness = new ShardHarness()
    const [, follower] = harness.stable(2)
    expect(harness.join({ memberId: follower?.memberId ?? '', topics: ['u'] }).waits).toBe(true)
    expect(harness.state).toBe('PreparingRebalance')
  })

  test('while the assignment is awaited, with nothing new: it is told the generation again, the leader its members too', () => {
    const harness = new ShardHarness({ initialRebalanceDelayMs: 100 })
    const joins = [harness.joinNew(), harness.joinNew()]
    harness.advance(200)
    for (const { response } of joins) expect(harness.join({ memberId: response.memberId }).response).toEqual(response)
    expect(harness.state).toBe('CompletingRebalance')
  })

  test('while the assignment is awaited, with another subscription: the rebalance begins again, and those who wait for it too', () => {
    const harness = new ShardHarness({ initialRebalanceDelayMs: 100 })
    const joins = [harness.joinNew(), harness.joinNew()]
    harness.advance(200)
    const [leader, follower] = joins.map(({ response }) => response)
    const sync = harness.sync(follower as never)
    expect(harness.join({ memberId: leader?.memberId ?? '', topics: ['u'] }).waits).toBe(true)
    expect(sync.response.error).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    expect(harness.state).toBe('PreparingRebalance')
  })

  test('twice: the first question is told to come again, the second one counts', () => {
    const harness = new ShardHarness()
    const [leader, follower] = harness.stable(2)
    const first = harness.join({ memberId: leader?.memberId ?? '' })
    const second = harness.join({ memberId: leader?.memberId ?? '' })
    expect(first.response.error).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    harness.join({ memberId: follower?.memberId ?? '' })
    expect(second.response.error).toBe(ErrorCode.NONE)
  })
})

describe('members that do not join a rebalance', () => {
  test('are removed after the longest rebalance timeout of all, and another leads', () => {
    const harness = new ShardHarness()
    const [leader, follower] = harness.stable(2)
    const third = harness.joinNew({ rebalanceTimeoutMs: 45_000 })
    const joined = harness.join({ memberId: follower?.memberId ?? '' })
    for (let at = 0; at < 9; at++) {
      harness.advance(4999)
      expect(harness.heartbeat(leader as never)).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    }
    expect(joined.waits).toBe(true)
    harness.advance(9)
    expect(joined.response.leader).not.toBe(leader?.memberId)
    expect([joined, third].flatMap(({ response }) => response.members)).toHaveLength(2)
    expect(harness.heartbeat(leader as never)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('are waited for once more when they are static and nobody else came, until their sessions end', () => {
    const harness = new ShardHarness()
    const members = [
      harness.join({ groupInstanceId: 'a', sessionTimeoutMs: 100_000 }).response,
      harness.join({ groupInstanceId: 'b', sessionTimeoutMs: 100_000 }),
    ]
    expect(members).toHaveLength(2)
    harness.advance(REBALANCE_MS)
    // The second one alone came: the first, static, stays a member of the new generation.
    expect(harness.shard.group('g')).toMatchObject({ members: 2, generation: 2 })
    harness.advance(REBALANCE_MS)
    expect(harness.state).toBe('Empty')
  })

  test('hold up a group that wants to grow only as long as an id that was told is not used', () => {
    const harness = new ShardHarness()
    const [leader] = harness.stable(1)
    harness.join()
    const again = harness.join({ memberId: leader?.memberId ?? '' })
    expect(again.waits).toBe(true)
    harness.advance(SESSION_MS)
    expect(again.response.members).toHaveLength(1)
  })
})

test('a new member that waits is given up after five minutes, an old one is not', () => {
  const harness = new ShardHarness()
  const long = { rebalanceTimeoutMs: 1_000_000, sessionTimeoutMs: 1_800_000 }
  const [leader] = harness.stable(1, long)
  const second = harness.joinNew(long)
  harness.advance(5 * 60_000)
  expect(second.response).toMatchObject({ error: ErrorCode.UNKNOWN_MEMBER_ID, memberId: '' })
  expect(harness.shard.group('g')?.members).toBe(1)
  const waits = harness.join({ memberId: leader?.memberId ?? '' })
  expect(waits.response.generation).toBe(2)
})

test('what a request brought is kept when its buffer is used for something else', () => {
  const harness = new ShardHarness()
  const buffer = subscription(['t'])
  const joined = harness.joinNew({ protocols: [{ name: 'range', metadata: buffer }] }).response
  buffer.fill(0)
  const given = new Uint8Array([1, 2, 3])
  harness.sync(joined, { [joined.memberId]: given })
  given.fill(0)
  expect(harness.records).toMatchObject([{ value: { members: [{ subscription: subscription(['t']) }] } }])
  expect(harness.sync(joined).response.assignment).toEqual(new Uint8Array([1, 2, 3]))
  harness.reload()
  expect(harness.sync(joined).response.assignment).toEqual(new Uint8Array([1, 2, 3]))
})

test('metadata that no consumer would send is carried as it is', () => {
  const harness = new ShardHarness()
  const odd = new Uint8Array([0xff, 0xff, 1])
  const joined = harness.joinNew({ protocolType: 'sr', protocols: [{ name: 'v0', metadata: odd }] }).response
  expect(joined).toMatchObject({ error: 0, protocolType: 'sr', protocolName: 'v0' })
  expect(joined.members[0]?.metadata).toEqual(odd)
})
