import { ErrorCode, LONG_MAX } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { encodeGroupRecord } from '../../src/index.ts'
import { SESSION_MS, ShardHarness } from '../shard-harness.ts'
import type { JoinGroupResponse, OffsetCommitResponse, OffsetFetchResponse } from '../shapes.ts'

const WEEK_MS = 604_800_000
const CHECK_MS = 600_000

describe('an OffsetCommit', () => {
  test('without a member makes a group of its own that has offsets and nobody in it', () => {
    const harness = new ShardHarness()
    expect(harness.commit({ 't:0': 5, 't:1': 6 })).toEqual([0, 0])
    expect(harness.fetch()).toEqual({ 't:0': 5, 't:1': 6 })
    expect(harness.shard.group('g')).toMatchObject({ type: 'classic', state: 'Empty', protocolType: '', members: 0 })
    expect(harness.records).toEqual([])
    harness.reload()
    expect(harness.fetch(['t:1', 't:2', 'u:0'])).toEqual({ 't:1': 6, 't:2': -1, 'u:0': -1 })
  })

  test('is written as one record for each partition, with the time of the coordinator', () => {
    const harness = new ShardHarness()
    harness.commit({ 't:3': 42 })
    expect(harness.records).toMatchObject([
      {
        name: 'offsetCommit',
        key: { groupId: 'g', topic: 't', partition: 3 },
        value: { offset: 42, leaderEpoch: 3, metadata: 'm', commitMs: harness.nowMs, expireMs: -1 },
      },
    ])
  })

  test('of a member counts in its generation alone', () => {
    const harness = new ShardHarness()
    const [leader] = harness.stable(1) as [JoinGroupResponse]
    const { memberId, generation } = leader
    expect(harness.commit({ 't:0': 1 }, { memberId, generation })).toEqual([0])
    expect(harness.commit({ 't:0': 2 }, { memberId, generation: 0 })).toEqual([ErrorCode.ILLEGAL_GENERATION])
    expect(harness.commit({ 't:0': 2 }, { memberId: 'x', generation })).toEqual([ErrorCode.UNKNOWN_MEMBER_ID])
    expect(harness.commit({ 't:0': 2 })).toEqual([ErrorCode.UNKNOWN_MEMBER_ID])
    expect(harness.fetch()).toEqual({ 't:0': 1 })
    harness.leave({ memberId })
    expect(harness.commit({ 't:0': 2 }, { memberId, generation })).toEqual([ErrorCode.UNKNOWN_MEMBER_ID])
    expect(harness.commit({ 't:0': 2 })).toEqual([0])
  })

  test('of a static member that was replaced is fenced', () => {
    const harness = new ShardHarness()
    const [old] = harness.stable(1, { groupInstanceId: 'i' }) as [JoinGroupResponse]
    harness.join({ groupInstanceId: 'i' })
    const { memberId, generation } = old
    expect(harness.commit({ 't:0': 2 }, { memberId, generation, groupInstanceId: 'i' })).toEqual([
      ErrorCode.FENCED_INSTANCE_ID,
    ])
  })

  test('counts while a rebalance is prepared, and not while its assignment is awaited', () => {
    const harness = new ShardHarness()
    const [leader, follower] = harness.stable(2) as [JoinGroupResponse, JoinGroupResponse]
    const { memberId, generation } = follower
    harness.join({ memberId: leader.memberId })
    expect(harness.commit({ 't:0': 1 }, { memberId, generation })).toEqual([0])
    harness.join({ memberId })
    expect(harness.state).toBe('CompletingRebalance')
    expect(harness.commit({ 't:0': 2 }, { memberId, generation: generation + 1 })).toEqual([
      ErrorCode.REBALANCE_IN_PROGRESS,
    ])
    expect(harness.commit({ 't:0': 2 }, { memberId, generation })).toEqual([ErrorCode.ILLEGAL_GENERATION])
  })

  test('keeps its member alive', () => {
    const harness = new ShardHarness()
    const [{ memberId, generation }] = harness.stable(1) as [JoinGroupResponse]
    for (let at = 0; at < 4; at++) {
      harness.advance(SESSION_MS - 1)
      expect(harness.commit({ 't:0': at }, { memberId, generation })).toEqual([0])
    }
  })

  test('with a generation, of a group that is not there, is refused in words that its version has', () => {
    const harness = new ShardHarness()
    const said = { memberId: 'm', generation: 1 }
    expect(harness.commit({ 't:0': 1 }, said)).toEqual([ErrorCode.GROUP_ID_NOT_FOUND])
    expect(harness.commit({ 't:0': 1 }, { ...said, knowsMemberEpochs: false })).toEqual([ErrorCode.ILLEGAL_GENERATION])
    expect([...harness.shard.groups()]).toEqual([])
  })

  test('of a group without a name is refused', () => {
    const harness = new ShardHarness()
    expect(harness.commit({ 't:0': 1 }, { groupId: '' })).toEqual([ErrorCode.INVALID_GROUP_ID])
  })

  test('with metadata that is too large is refused for that partition alone', () => {
    const harness = new ShardHarness({ maxMetadataBytes: 4 })
    const partition = { offset: 1, leaderEpoch: -1 }
    const partitions = [
      { ...partition, partition: 0, metadata: '12345' },
      { ...partition, partition: 1, metadata: '1234' },
    ]
    const topics = [{ name: 't', id: 'AAAAAAAAAAAAAAAAAAAAAA', partitions }]
    expect(harness.commit({}, { topics })).toEqual([ErrorCode.OFFSET_METADATA_TOO_LARGE, 0])
    expect(harness.fetch()).toEqual({ 't:1': 1 })
  })

  test.each([LONG_MAX, -1, 0])('with the offset %d is kept as it is', (offset) => {
    const harness = new ShardHarness()
    harness.commit({ 't:0': offset })
    harness.reload()
    expect(harness.fetch()).toEqual({ 't:0': offset })
  })
})

test('an OffsetFetch of what was never committed is no error, and says so in every field', () => {
  const harness = new ShardHarness()
  const asked = harness.ask<OffsetFetchResponse>((reply) => ({
    kind: 'offsetFetch',
    groupId: 'unknown',
    memberId: 'm',
    memberEpoch: 3,
    topics: [{ name: 't', partitions: [0] }],
    reply,
  }))
  const partition = { partition: 0, offset: -1, leaderEpoch: -1, metadata: '', error: 0 }
  expect(asked.response).toEqual({ error: 0, topics: [{ name: 't', partitions: [partition] }] })
  expect(harness.fetch(null, 'unknown')).toEqual({})
})

describe('an OffsetDelete', () => {
  const remove = (harness: ShardHarness, ...ats: string[]): unknown =>
    harness.ask<OffsetCommitResponse & { readonly error: ErrorCode }>((reply) => ({
      kind: 'offsetDelete',
      groupId: 'g',
      topics: ats.map((at) => ({ name: at.split(':')[0] ?? '', partitions: [Number(at.split(':')[1])] })),
      reply,
    })).response

  test('removes offsets, and with the last one a group that nobody ever joined', () => {
    const harness = new ShardHarness()
    harness.commit({ 't:0': 1, 't:1': 1 })
    expect(remove(harness, 't:0', 'u:9')).toMatchObject({
      error: 0,
      topics: [{ partitions: [{ error: 0 }] }, { name: 'u' }],
    })
    expect(harness.fetch()).toEqual({ 't:1': 1 })
    expect(harness.records).toEqual([])
    remove(harness, 't:1')
    expect(harness.records).toMatchObject([{ name: 'offsetCommit', value: null }])
    expect(harness.state).toBe('none')
    harness.reload()
    expect(harness.state).toBe('none')
  })

  test('of a topic that members read is refused, of another one not', () => {
    const harness = new ShardHarness()
    harness.commit({ 't:0': 1, 'u:0': 1 })
    harness.stable(1)
    expect(remove(harness, 't:0', 'u:0')).toMatchObject({
      error: 0,
      topics: [
        { name: 't', partitions: [{ error: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC }] },
        { name: 'u', partitions: [{ error: 0 }] },
      ],
    })
    expect(harness.fetch()).toEqual({ 't:0': 1 })
  })

  test('of a topic is refused when a consumer says what it reads in bytes that are not understood', () => {
    const harness = new ShardHarness()
    harness.commit({ 't:0': 1 })
    harness.stable(1, { protocols: [{ name: 'range', metadata: new Uint8Array([0, 1, 0x7f]) }] })
    expect(remove(harness, 't:0')).toMatchObject({
      topics: [{ partitions: [{ error: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC }] }],
    })
  })

  test('of a group that is not there, or whose members are no consumers, is refused', () => {
    const harness = new ShardHarness()
    expect(remove(harness, 't:0')).toEqual({ error: ErrorCode.GROUP_ID_NOT_FOUND, topics: [] })
    harness.stable(1, { protocolType: 'connect' })
    expect(remove(harness, 't:0')).toEqual({ error: ErrorCode.NON_EMPTY_GROUP, topics: [] })
  })
})

describe('offsets end', () => {
  test('of consumers in no group: when the retention time has passed since each was committed', () => {
    const harness = new ShardHarness()
    harness.commit({ 't:0': 1 })
    harness.advance(WEEK_MS / 2)
    harness.commit({ 't:1': 1 })
    harness.advance(WEEK_MS / 2 + CHECK_MS)
    expect(harness.fetch()).toEqual({ 't:1': 1 })
    harness.advance(WEEK_MS / 2)
    expect(harness.state).toBe('none')
    harness.reload()
    expect(harness.state).toBe('none')
  })

  test('of a group that became empty: when the retention time has passed since then, and the group with them', () => {
    const harness = new ShardHarness()
    const [{ memberId, generation }] = harness.stable(1) as [JoinGroupResponse]
    harness.commit({ 't:0': 1 }, { memberId, generation })
    for (let at = 0; at < 3000; at++) {
      harness.heartbeat({ memberId, generation })
      harness.advance(SESSION_MS / 2)
    }
    const emptySinceMs = harness.nowMs
    harness.leave({ memberId })
    harness.advance(WEEK_MS - 1)
    expect(harness.fetch()).toEqual({ 't:0': 1 })
    harness.advance(CHECK_MS + 1)
    expect(harness.nowMs - emptySinceMs).toBe(WEEK_MS + CHECK_MS)
    expect(harness.state).toBe('none')
    expect(harness.log.slice(-2).map(({ value }) => value)).toEqual([null, null])
    harness.reload()
    expect(harness.state).toBe('none')
  })

  test('of a stable group of consumers: of topics that nobody reads any more', () => {
    const harness = new ShardHarness({ offsetsRetentionMs: 20_000, offsetsCheckMs: 1000 })
    harness.commit({ 't:0': 1, 'u:0': 1 })
    const [{ memberId, generation }] = harness.stable(1) as [JoinGroupResponse]
    for (let at = 0; at < 5; at++) {
      harness.advance(SESSION_MS / 2)
      harness.heartbeat({ memberId, generation })
    }
    expect(harness.fetch()).toEqual({ 't:0': 1 })
  })

  test('not while the group rebalances', () => {
    const harness = new ShardHarness({ offsetsRetentionMs: 20_000, offsetsCheckMs: 1000 })
    harness.commit({ 'u:0': 1 })
    const [{ memberId }] = harness.stable(1) as [JoinGroupResponse]
    harness.join()
    harness.join({ memberId, sessionTimeoutMs: 100_000 })
    for (let at = 0; at < 10; at++) {
      harness.join()
      harness.advance(SESSION_MS / 2)
    }
    expect([harness.state, harness.fetch()]).toEqual(['CompletingRebalance', { 'u:0': 1 }])
  })

  test('of a group that is written and that nobody ever joined: by the time of each commit', () => {
    const harness = new ShardHarness()
    harness.commit({ 't:0': 1 })
    const stateMs = harness.nowMs - 2 * WEEK_MS
    const value = { protocolType: '', generation: 0, protocol: null, leader: null, stateMs, members: [] }
    harness.reload([...harness.log, encodeGroupRecord({ name: 'groupMetadata', key: { groupId: 'g' }, value })])
    harness.advance(CHECK_MS)
    expect(harness.fetch()).toEqual({ 't:0': 1 })
  })

  test('and groups without any stay while somebody is in them', () => {
    const harness = new ShardHarness({ offsetsCheckMs: 1000 })
    harness.stable(1)
    harness.advance(SESSION_MS - 1)
    expect(harness.state).toBe('Stable')
    harness.advance(1000)
    expect(harness.state).toBe('none')
  })

  test('not when the members are no consumers', () => {
    const harness = new ShardHarness({ offsetsRetentionMs: 20_000, offsetsCheckMs: 1000 })
    harness.commit({ 't:0': 1 })
    const connect = { protocolType: 'connect' }
    const [{ memberId, generation }] = harness.stable(1, connect) as [JoinGroupResponse]
    for (let at = 0; at < 10; at++) {
      harness.advance(SESSION_MS / 2)
      harness.heartbeat({ memberId, generation })
    }
    expect(harness.fetch()).toEqual({ 't:0': 1 })
  })

  test('at the time that the commit asked for, in versions that could', () => {
    const harness = new ShardHarness({ offsetsCheckMs: 1000 })
    harness.commit({ 't:0': 1 }, { retentionMs: 5000 })
    harness.commit({ 't:1': 1 }, { retentionMs: LONG_MAX })
    harness.commit({ 't:2': 1 }, { retentionMs: -9 })
    harness.reload()
    harness.advance(4000)
    expect(harness.fetch()).toEqual({ 't:0': 1, 't:1': 1 })
    harness.advance(1000)
    expect(harness.fetch()).toEqual({ 't:1': 1 })
    harness.nowMs += 10 * WEEK_MS
    harness.advance(1000)
    expect(harness.fetch()).toEqual({ 't:1': 1 })
  })

  test('of very many a part at a time, and all of them', () => {
    const harness = new ShardHarness()
    for (let group = 0; group < 5; group++)
      for (let at = 0; at < 700; at++) harness.commit({ [`t:${at}`]: 1 }, { groupId: `g${group}` })
    const written = harness.log.length
    harness.nowMs += WEEK_MS + CHECK_MS
    const turns: number[] = []
    while (harness.shard.nextDueMs <= harness.nowMs) {
      harness.took(harness.shard.tick(harness.nowMs))
      turns.push(harness.records.length)
    }
    expect(Math.max(...turns)).toBeLessThanOrEqual(1000)
    expect(harness.log.length - written).toBe(3500)
    expect([...harness.shard.groups()]).toEqual([])
  })

  test('with their topic, whoever committed them', () => {
    const harness = new ShardHarness()
    harness.commit({ 't:0': 1, 't:1': 1, 'u:0': 1 })
    harness.commit({ 't:0': 1 }, { groupId: 'other' })
    harness.took(harness.shard.topicsDeleted([{ name: 't', id: 'AAAAAAAAAAAAAAAAAAAAAA' }], harness.nowMs))
    expect(harness.records).toHaveLength(3)
    expect(harness.fetch()).toEqual({ 'u:0': 1 })
    expect([...harness.shard.groups()].map(({ groupId }) => groupId)).toEqual(['g'])
  })
})
