import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { assignment, REBALANCE_MS, SESSION_MS, ShardHarness, subscription } from '../shard-harness.ts'
import type { JoinGroupResponse } from '../shapes.ts'

function completing(members: number): { harness: ShardHarness; joined: JoinGroupResponse[] } {
  const harness = new ShardHarness({ initialRebalanceDelayMs: 100 })
  const joins = Array.from({ length: members }, () => harness.joinNew())
  harness.advance(100 * (members + 1))
  return { harness, joined: joins.map(({ response }) => response) }
}

describe('a SyncGroup', () => {
  test('of a follower waits for the leader, who is the only one whose assignments count', () => {
    const { harness, joined } = completing(3)
    const [leader, second, third] = joined as [JoinGroupResponse, JoinGroupResponse, JoinGroupResponse]
    const waits = harness.sync(second, { [second.memberId]: assignment({ stolen: [1] }) })
    expect(waits.waits).toBe(true)
    const given = assignment({ t: [0, 1] })
    const led = harness.sync(leader, { [second.memberId]: given })
    expect(led.response).toMatchObject({ error: 0, protocolType: 'consumer', protocolName: 'range' })
    expect(led.response.assignment).toHaveLength(0)
    expect(waits.response).toMatchObject({ error: 0, assignment: given })
    expect(harness.sync(third).response).toMatchObject({ error: 0, assignment: new Uint8Array(0) })
    expect(harness.state).toBe('Stable')
  })

  test('of a stable group is answered with the assignment that is kept, again and again', () => {
    const harness = new ShardHarness()
    const [, follower] = harness.stable(2)
    for (let again = 0; again < 2; again++)
      expect(harness.sync(follower as never).response.assignment).toEqual(assignment({ t: [1] }))
    expect(harness.records).toEqual([])
  })

  test('is refused with another generation, an unknown id, another protocol, or while members gather', () => {
    const harness = new ShardHarness()
    const [leader] = harness.stable(2) as [JoinGroupResponse]
    const error = (said: Partial<JoinGroupResponse>, names = {}): number =>
      harness.sync({ ...leader, ...said }, {}, names).response.error
    expect(error({ generation: leader.generation - 1 })).toBe(ErrorCode.ILLEGAL_GENERATION)
    expect(error({ memberId: 'x' })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(error({}, { protocolType: 'connect' })).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    expect(error({}, { protocolName: 'sticky' })).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    expect(error({}, { protocolType: 'consumer', protocolName: 'range' })).toBe(ErrorCode.NONE)
    harness.join({ memberId: leader.memberId })
    expect(error({})).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
  })

  test('twice: the first question is told to come again, the second one counts', () => {
    const { harness, joined } = completing(2)
    const [leader, follower] = joined as [JoinGroupResponse, JoinGroupResponse]
    const first = harness.sync(follower)
    const second = harness.sync(follower)
    expect(first.response.error).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    harness.sync(leader)
    expect(second.response.error).toBe(ErrorCode.NONE)
  })

  test('that never comes costs a member its place after the rebalance timeout', () => {
    const { harness, joined } = completing(2)
    const [leader, follower] = joined as [JoinGroupResponse, JoinGroupResponse]
    harness.sync(leader)
    for (let at = 0; at < 5; at++) {
      expect(harness.heartbeat(follower)).toBe(ErrorCode.NONE)
      expect(harness.heartbeat(leader)).toBe(ErrorCode.NONE)
      harness.advance(REBALANCE_MS / 5)
    }
    expect(harness.heartbeat(follower)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.heartbeat(leader)).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
  })

  test('of a leader that brings more than a record may hold begins the rebalance again', () => {
    const { harness, joined } = completing(2)
    const [leader, follower] = joined as [JoinGroupResponse, JoinGroupResponse]
    const waits = harness.sync(follower)
    const led = harness.sync(leader, { [leader.memberId]: new Uint8Array(16 * 1024 * 1024) })
    expect([led, waits].map(({ response }) => response.error)).toEqual([-1, -1])
    expect(harness.records).toEqual([])
    expect(harness.state).toBe('PreparingRebalance')
  })
})

describe('the record of a group', () => {
  test('is written when the leader has spoken, and tells all of the generation', () => {
    const { harness, joined } = completing(1)
    const [leader] = joined as [JoinGroupResponse]
    expect(harness.log).toEqual([])
    const given = assignment({ t: [7] })
    harness.sync(leader, { [leader.memberId]: given })
    expect(harness.records).toEqual([
      {
        name: 'groupMetadata',
        key: { groupId: 'g' },
        value: {
          protocolType: 'consumer',
          generation: 1,
          protocol: 'range',
          leader: leader.memberId,
          stateMs: harness.nowMs,
          members: [
            {
              memberId: leader.memberId,
              groupInstanceId: null,
              clientId: 'client',
              clientHost: '/10.0.0.1',
              rebalanceTimeoutMs: REBALANCE_MS,
              sessionTimeoutMs: SESSION_MS,
              subscription: subscription(['t']),
              assignment: given,
            },
          ],
        },
      },
    ])
  })

  test('of an empty group has a new generation and neither protocol nor members', () => {
    const harness = new ShardHarness()
    const [only] = harness.stable(1) as [JoinGroupResponse]
    harness.leave({ memberId: only.memberId })
    expect(harness.records).toMatchObject([
      { value: { protocolType: 'consumer', generation: 2, protocol: null, leader: null, members: [] } },
    ])
    expect(harness.state).toBe('Empty')
  })
})

describe('a heartbeat', () => {
  test('keeps its member, and whose heartbeats end is removed after the session timeout', () => {
    const harness = new ShardHarness()
    const [leader, follower] = harness.stable(2) as [JoinGroupResponse, JoinGroupResponse]
    for (let at = 0; at < 4; at++) {
      harness.advance(SESSION_MS / 3)
      const expected = at < 2 ? ErrorCode.NONE : ErrorCode.REBALANCE_IN_PROGRESS
      expect(harness.heartbeat(leader)).toBe(expected)
    }
    expect(harness.heartbeat(follower)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('is refused with another generation, an unknown id, or in no group', () => {
    const harness = new ShardHarness()
    const [leader] = harness.stable(1) as [JoinGroupResponse]
    expect(harness.heartbeat({ ...leader, generation: 9 })).toBe(ErrorCode.ILLEGAL_GENERATION)
    expect(harness.heartbeat({ ...leader, memberId: 'x' })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.heartbeat({ ...leader, groupId: 'other' })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.heartbeat({ ...leader, groupId: '' })).toBe(ErrorCode.INVALID_GROUP_ID)
    harness.leave({ memberId: leader.memberId })
    expect(harness.heartbeat(leader)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('is fine while the assignment is awaited', () => {
    const { harness, joined } = completing(2)
    expect(harness.heartbeat(joined[1] as never)).toBe(ErrorCode.NONE)
  })

  test('that could not be heard while the process stood still is heard before anybody is taken for dead', () => {
    const harness = new ShardHarness()
    const [leader, silent] = harness.stable(2) as [JoinGroupResponse, JoinGroupResponse]
    harness.nowMs += SESSION_MS + 20_000
    harness.took(harness.shard.tick(harness.nowMs))
    expect(harness.state).toBe('Stable')
    expect(harness.shard.nextDueMs).toBeGreaterThan(harness.nowMs)
    expect(harness.heartbeat(leader)).toBe(ErrorCode.NONE)
    harness.advance(5000)
    expect(harness.heartbeat(silent)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.heartbeat(leader)).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
  })

  test('does not keep those for ever who are silent in a process that is always late', () => {
    const harness = new ShardHarness()
    harness.stable(1)
    for (let late = 0; late < 2; late++) {
      harness.nowMs = Math.max(harness.nowMs, harness.shard.nextDueMs) + 5000
      harness.took(harness.shard.tick(harness.nowMs))
    }
    expect(harness.state).toBe('Empty')
  })
})

describe('a LeaveGroup', () => {
  test('removes its member at once, and the others rebalance', () => {
    const harness = new ShardHarness()
    const [leader, follower] = harness.stable(2) as [JoinGroupResponse, JoinGroupResponse]
    expect(harness.leave({ memberId: leader.memberId, reason: 'closed' })).toEqual({
      error: 0,
      members: [{ memberId: leader.memberId, groupInstanceId: null, error: 0 }],
    })
    expect(harness.heartbeat(follower)).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    expect(harness.join({ memberId: follower.memberId }).response).toMatchObject({ leader: follower.memberId })
  })

  test('has an outcome for each member that it names', () => {
    const harness = new ShardHarness()
    const [member] = harness.stable(1, { groupInstanceId: 'i' }) as [JoinGroupResponse]
    const pending = harness.join().response.memberId
    const left = harness.leave(
      { memberId: 'nobody' },
      { memberId: 'other', groupInstanceId: 'i' },
      { groupInstanceId: 'unknown' },
      {},
      { memberId: pending },
      { groupInstanceId: 'i' },
      { memberId: member.memberId },
    )
    expect(left.members.map(({ error }) => error)).toEqual([
      ErrorCode.UNKNOWN_MEMBER_ID,
      ErrorCode.FENCED_INSTANCE_ID,
      ErrorCode.UNKNOWN_MEMBER_ID,
      ErrorCode.UNKNOWN_MEMBER_ID,
      ErrorCode.NONE,
      ErrorCode.NONE,
      ErrorCode.UNKNOWN_MEMBER_ID,
    ])
    expect(harness.state).toBe('Empty')
    expect(harness.rebalances.at(-1)?.causes).toMatchObject([{ reason: 'removed', memberId: member.memberId }])
  })

  test('in a group that is not there is refused as a whole', () => {
    const harness = new ShardHarness()
    expect(harness.leave({ memberId: 'm' })).toEqual({ error: ErrorCode.UNKNOWN_MEMBER_ID, members: [] })
  })

  test('of the last member that others wait for ends their wait', () => {
    const harness = new ShardHarness()
    const [leader, second, third] = harness.stable(3) as [JoinGroupResponse, JoinGroupResponse, JoinGroupResponse]
    const joins = [leader, second].map(({ memberId }) => harness.join({ memberId }))
    expect(joins.map(({ waits }) => waits)).toEqual([true, true])
    harness.leave({ memberId: third.memberId })
    expect(joins.map(({ response }) => response.error)).toEqual([0, 0])
  })

  test('of a member that waits ends its wait', () => {
    const { harness, joined } = completing(2)
    const [leader, follower] = joined as [JoinGroupResponse, JoinGroupResponse]
    const sync = harness.sync(follower)
    harness.leave({ memberId: follower.memberId })
    expect(sync.response.error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.heartbeat(leader)).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    const third = harness.joinNew()
    const id = harness.shard.group('g')?.members
    expect([third.waits, id]).toEqual([true, 2])
  })
})

describe('a static member', () => {
  test('comes back without its id: it has its place again, nobody rebalances, and its old self is fenced', () => {
    const harness = new ShardHarness()
    const leader = harness.stable(1)[0] as JoinGroupResponse
    const old = harness.join({ groupInstanceId: 'i' })
    const rejoined = harness.join({ memberId: leader.memberId }).response
    const before = old.response
    harness.sync(rejoined, { [before.memberId]: assignment({ t: [5] }) })
    harness.sync({ ...before, groupInstanceId: 'i' })
    const now = harness.join({ groupInstanceId: 'i' }).response
    expect(now).toMatchObject({ error: 0, generation: 2, leader: leader.memberId, skipAssignment: false, members: [] })
    expect(now.memberId).not.toBe(before.memberId)
    expect(harness.records).toMatchObject([{ name: 'groupMetadata', value: { generation: 2 } }])
    expect(harness.state).toBe('Stable')
    expect(harness.sync({ ...now, groupInstanceId: 'i' }).response.assignment).toEqual(assignment({ t: [5] }))
    expect(harness.heartbeat({ ...before, groupInstanceId: 'i' })).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(harness.heartbeat(before)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    harness.reload()
    expect(harness.sync({ ...now, groupInstanceId: 'i' }).response.assignment).toEqual(assignment({ t: [5] }))
  })

  test('comes back at another coordinator: it has its place again, nobody rebalances, and its old self is fenced', () => {
    const harness = new ShardHarness()
    const leader = harness.stable(1)[0] as JoinGroupResponse
    const old = harness.join({ groupInstanceId: 'i' })
    const rejoined = harness.join({ memberId: leader.memberId }).response
    harness.sync(rejoined, { [old.response.memberId]: assignment({ t: [5] }) })
    harness.sync({ ...old.response, groupInstanceId: 'i' })
    harness.reload()
    expect(harness.heartbeat({ ...old.response, groupInstanceId: 'i' })).toBe(0)
    const now = harness.join({ groupInstanceId: 'i' }).response
    expect([now.error, now.generation, harness.state]).toEqual([0, rejoined.generation, 'Stable'])
    expect(harness.sync({ ...now, groupInstanceId: 'i' }).response.assignment).toEqual(assignment({ t: [5] }))
    expect(harness.heartbeat(rejoined)).toBe(0)
    expect(harness.heartbeat({ ...old.response, groupInstanceId: 'i' })).toBe(ErrorCode.FENCED_INSTANCE_ID)
    harness.reload()
    expect(harness.heartbeat({ ...old.response, groupInstanceId: 'i' })).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(harness.heartbeat({ ...now, groupInstanceId: 'i' })).toBe(0)
  })

  test('that leads is told from version 9 on that the work is divided, and before that somebody else leads', () => {
    const harness = new ShardHarness()
    const [before] = harness.stable(1, { groupInstanceId: 'i' }) as [JoinGroupResponse]
    const now = harness.join({ groupInstanceId: 'i' }).response
    expect(now).toMatchObject({ leader: now.memberId, skipAssignment: true })
    expect(now.members).toMatchObject([{ memberId: now.memberId, groupInstanceId: 'i' }])
    const older = harness.join({ groupInstanceId: 'i', supportsSkippingAssignment: false }).response
    expect(older).toMatchObject({ leader: now.memberId, skipAssignment: false, members: [] })
    expect(older.memberId).not.toBe(now.memberId)
    expect(new Set([before, now, older].map(({ generation }) => generation)).size).toBe(1)
  })

  test('that comes back with another protocol makes the group rebalance', () => {
    const harness = new ShardHarness()
    const both = ['range', 'sticky'].map((name) => ({ name, metadata: subscription(['t']) }))
    const [member] = harness.stable(1, { groupInstanceId: 'i', protocols: both }) as [JoinGroupResponse]
    expect(member.protocolName).toBe('range')
    const now = harness.join({ groupInstanceId: 'i', protocols: both.toReversed() }).response
    expect(now).toMatchObject({ protocolName: 'sticky', generation: 2 })
    expect(harness.rebalances).toHaveLength(1)
  })

  test('that comes back while the assignment is awaited makes the rebalance begin again, and its old self is told at once', () => {
    const harness = new ShardHarness({ initialRebalanceDelayMs: 100 })
    const joins = [harness.joinNew(), harness.join({ groupInstanceId: 'i' })]
    harness.advance(300)
    const [, before] = joins.map(({ response }) => response)
    const sync = harness.sync({ ...(before as JoinGroupResponse), groupInstanceId: 'i' })
    const now = harness.join({ groupInstanceId: 'i' })
    expect(sync.response.error).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect([now.waits, harness.state]).toEqual([true, 'PreparingRebalance'])
    const twice = harness.join({ groupInstanceId: 'i' })
    expect(now.response.error).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(twice.waits).toBe(true)
  })

  test('keeps its place while it is away, until its session ends', () => {
    const harness = new ShardHarness()
    harness.stable(1, { groupInstanceId: 'i' })
    harness.advance(SESSION_MS - 1)
    expect(harness.state).toBe('Stable')
    harness.advance(1)
    expect(harness.state).toBe('Empty')
  })
})

describe('a coordinator that takes over', () => {
  test('knows members, leader, protocol and assignments of the last generation, and gives members their whole time', () => {
    const harness = new ShardHarness()
    const [leader, follower] = harness.stable(2) as [JoinGroupResponse, JoinGroupResponse]
    harness.advance(SESSION_MS - 1)
    harness.reload()
    harness.advance(SESSION_MS - 1)
    expect(harness.heartbeat(follower)).toBe(ErrorCode.NONE)
    expect(harness.sync(follower).response.assignment).toEqual(assignment({ t: [1] }))
    harness.advance(1)
    expect(harness.heartbeat(leader)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('knows who leads, be it not the first member', () => {
    const harness = new ShardHarness()
    const first = harness.join({ groupInstanceId: 'i' }).response
    const joins = harness.joinNew()
    const led = harness.join({ groupInstanceId: 'i', memberId: first.memberId }).response
    const follower = joins.response
    harness.sync({ ...led, groupInstanceId: 'i' })
    // Back under another id it comes after the other in the record.
    const { memberId } = harness.join({ groupInstanceId: 'i' }).response
    harness.reload()
    expect(harness.join({ memberId: follower.memberId }).response).toMatchObject({ leader: memberId, members: [] })
    expect(harness.state).toBe('Stable')
  })

  test('does not know who joined since: those join again', () => {
    const { harness, joined } = completing(2)
    harness.reload()
    expect(harness.sync(joined[0] as never).response.error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.state).toBe('none')
  })

  test('does not know a generation that was not written: its members learn that theirs is over', () => {
    const harness = new ShardHarness()
    const [leader] = harness.stable(1) as [JoinGroupResponse]
    const next = harness.join({ memberId: leader.memberId }).response
    expect(next.generation).toBe(2)
    harness.reload()
    expect(harness.sync(next).response.error).toBe(ErrorCode.ILLEGAL_GENERATION)
    expect(harness.join({ memberId: leader.memberId }).response.generation).toBe(2)
  })

  test('lets a group that is too large for the configuration come together anew', () => {
    const harness = new ShardHarness()
    const members = harness.stable(3)
    Object.assign(harness.config, { maxSize: 2 })
    harness.reload()
    expect(harness.heartbeat(members[2] as JoinGroupResponse)).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    const joins = members.map(({ memberId }) => harness.join({ memberId }))
    expect(joins.map(({ response }) => response.error)).toEqual([0, 0, ErrorCode.GROUP_MAX_SIZE_REACHED])
    expect(joins[0]?.response.generation).toBe((members[0]?.generation ?? 0) + 1)
  })
})

describe('a rebalance explains itself', () => {
  test('by who joined, with the reason that the client gave, its time, its members and what moved', () => {
    const harness = new ShardHarness()
    const [leader] = harness.stable(1) as [JoinGroupResponse]
    harness.rebalances = []
    harness.sync(harness.join({ memberId: leader.memberId }).response, { [leader.memberId]: assignment({ t: [0, 1] }) })
    harness.rebalances = []
    const startedMs = harness.nowMs
    const second = harness.joinNew({ clientId: 'second', reason: 'started' })
    harness.advance(2000)
    const again = harness.join({ memberId: leader.memberId }).response
    const { memberId } = second.response
    harness.sync(again, { [leader.memberId]: assignment({ t: [0] }), [memberId]: assignment({ t: [1] }) })
    expect(harness.rebalances).toEqual([
      {
        groupId: 'g',
        generation: 3,
        causes: [{ reason: 'joined', memberId, clientId: 'second', detail: 'started' }],
        startedMs,
        endedMs: startedMs + 2000,
        members: 2,
        moved: 1,
        moves: [{ topic: 't', topicId: null, partitions: [1], from: leader.memberId, to: memberId }],
      },
    ])
    expect(harness.shard.group('g')?.rebalances.at(-1)).toBe(harness.rebalances[0])
    expect([...(harness.shard.group('g')?.roster() ?? [])]).toMatchObject([
      { memberId: leader.memberId, assigned: [{ topic: 't', partitions: [0] }] },
      { memberId, clientId: 'second', assigned: [{ topic: 't', partitions: [1] }] },
    ])
  })

  test('by all that happened until it ended, and without what moved where the protocol is not the consumers', () => {
    const harness = new ShardHarness()
    const connect = { protocolType: 'connect', protocols: [{ name: 'v0', metadata: new Uint8Array(2) }] }
    const [first, second] = harness.stable(2, connect) as [JoinGroupResponse, JoinGroupResponse]
    harness.rebalances = []
    harness.joinNew(connect)
    harness.leave({ memberId: second.memberId, reason: 'gone' })
    const joined = harness.join({ ...connect, memberId: first.memberId }).response
    harness.sync(joined)
    expect(harness.rebalances).toMatchObject([
      { causes: [{ reason: 'joined' }, { reason: 'left', detail: 'gone' }], members: 2, moved: null },
    ])
  })

  test('by sessions that ended, and by the leader that asked', () => {
    const harness = new ShardHarness()
    const [leader, other] = harness.stable(2) as [JoinGroupResponse, JoinGroupResponse]
    harness.rebalances = []
    harness.advance(SESSION_MS / 2)
    harness.heartbeat(leader)
    harness.advance(SESSION_MS / 2)
    const joined = harness.join({ memberId: leader.memberId }).response
    harness.sync(joined)
    harness.sync(harness.join({ memberId: leader.memberId, reason: 'metadata' }).response)
    expect(harness.rebalances.map(({ causes }) => causes)).toMatchObject([
      [{ reason: 'session-timeout', memberId: other.memberId }],
      [{ reason: 'leader-rejoined', detail: 'metadata' }],
    ])
  })

  test('keeps the last twenty, and no more than a hundred causes of each', () => {
    const harness = new ShardHarness()
    const [leader] = harness.stable(1) as [JoinGroupResponse]
    for (let at = 0; at < 30; at++) harness.sync(harness.join({ memberId: leader.memberId }).response)
    const kept = harness.shard.group('g')?.rebalances ?? []
    expect(kept.map(({ generation }) => generation)).toEqual(Array.from({ length: 20 }, (_, at) => at + 12))
    for (let at = 0; at < 200; at++) harness.leave({ memberId: harness.joinNew().answers[0]?.memberId ?? '' })
    for (let at = 0; at < 120; at++) harness.joinNew({ reason: 'x'.repeat(1000) })
    harness.advance(SESSION_MS)
    const { causes = [] } = harness.rebalances.at(-1) ?? {}
    expect(causes.length).toBeLessThanOrEqual(100)
    expect(causes.every(({ detail }) => detail.length < 300)).toBe(true)
  })
})
