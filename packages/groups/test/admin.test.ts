import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { encodeGroupRecord } from '../src/index.ts'
import { assignment, ShardHarness, subscription } from './shard-harness.ts'
import type {
  ConsumerHeartbeatResponse,
  DescribeConsumerGroupResponse,
  DescribeGroupResponse,
  HeartbeatResponse,
  JoinGroupResponse,
  ListGroups,
} from './shapes.ts'

type Listed = Parameters<ListGroups['reply']>[0]

const describeGroup = (harness: ShardHarness, groupId = 'g'): DescribeGroupResponse =>
  harness.ask<DescribeGroupResponse>((reply) => ({ kind: 'describeGroup', groupId, reply })).response
const describeConsumer = (harness: ShardHarness, groupId = 'g'): DescribeConsumerGroupResponse =>
  harness.ask<DescribeConsumerGroupResponse>((reply) => ({ kind: 'describeConsumerGroup', groupId, reply })).response
const remove = (harness: ShardHarness, groupId = 'g'): ErrorCode =>
  harness.ask<HeartbeatResponse>((reply) => ({ kind: 'deleteGroup', groupId, reply })).response.error
const list = (harness: ShardHarness, states: string[] = [], types: string[] = []): unknown[] =>
  harness
    .ask<Listed>((reply) => ({ kind: 'listGroups', states, types, reply }))
    .response.groups.map(({ groupId, protocolType, state, type }) => [groupId, protocolType, state, type])

function beat(harness: ShardHarness, memberId: string, memberEpoch = 0): ConsumerHeartbeatResponse {
  return harness.ask<ConsumerHeartbeatResponse>((reply) => ({
    kind: 'consumerHeartbeat',
    groupId: 'g',
    memberId,
    memberEpoch,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: 60_000,
    topicNames: ['t'],
    topicRegex: null,
    serverAssignor: null,
    owned: [],
    clientId: 'c',
    clientHost: '/h',
    reply,
  })).response
}

describe('a description', () => {
  test('of a stable group tells who has what', () => {
    const harness = new ShardHarness()
    const [{ memberId }] = harness.stable(1) as [JoinGroupResponse]
    expect(describeGroup(harness)).toEqual({
      error: 0,
      state: 'Stable',
      protocolType: 'consumer',
      protocol: 'range',
      members: [
        {
          memberId,
          groupInstanceId: null,
          clientId: 'client',
          clientHost: '/10.0.0.1',
          metadata: subscription(['t']),
          assignment: assignment({ t: [0] }),
        },
      ],
    })
  })

  test('of a group that rebalances tells its members and nothing that is about to change', () => {
    const harness = new ShardHarness()
    harness.stable(1)
    harness.joinNew()
    expect(describeGroup(harness)).toMatchObject({ state: 'PreparingRebalance', protocol: '' })
    for (const { metadata, assignment: given } of describeGroup(harness).members)
      expect([metadata.length, given.length]).toEqual([0, 0])
  })

  test('of no group, or one of the other type, says that there is none', () => {
    const harness = new ShardHarness()
    const none = { error: ErrorCode.GROUP_ID_NOT_FOUND, state: 'Dead', protocolType: '', protocol: '', members: [] }
    expect(describeGroup(harness)).toEqual(none)
    expect(describeConsumer(harness)).toMatchObject({ error: ErrorCode.GROUP_ID_NOT_FOUND, members: [] })
    harness.stable(1)
    expect(describeConsumer(harness)).toMatchObject({ error: ErrorCode.GROUP_ID_NOT_FOUND, members: [] })
    harness.leave(...describeGroup(harness).members.map(({ memberId }) => ({ memberId })))
    harness.topics.set('t', 2)
    beat(harness, 'm')
    expect(describeGroup(harness)).toEqual(none)
    expect(describeConsumer(harness)).toMatchObject({ error: 0, members: [{ memberId: 'm' }] })
  })
})

test('a list tells groups of both types, by state and type as far as asked, without regard to case', () => {
  const harness = new ShardHarness()
  harness.topics.set('t', 2)
  harness.commit({ 't:0': 1 }, { groupId: 'simple' })
  beat(harness, 'm')
  harness.join({ groupId: 'classic', requireKnownMemberId: false, protocolType: 'connect' })
  const simple = ['simple', '', 'Empty', 'classic']
  const consumer = ['g', 'consumer', 'Stable', 'consumer']
  const classic = ['classic', 'connect', 'CompletingRebalance', 'classic']
  expect(list(harness)).toEqual([simple, consumer, classic])
  expect(list(harness, ['eMPTY', 'completingrebalance'])).toEqual([simple, classic])
  expect(list(harness, [], ['Consumer'])).toEqual([consumer])
  expect(list(harness, ['Empty'], ['consumer'])).toEqual([])
})

describe('a group is deleted', () => {
  test('with its offsets, when nobody is in it, and for good', () => {
    const harness = new ShardHarness()
    const [{ memberId, generation }] = harness.stable(1) as [JoinGroupResponse]
    harness.commit({ 't:0': 1, 'u:1': 2 }, { memberId, generation })
    expect(remove(harness)).toBe(ErrorCode.NON_EMPTY_GROUP)
    harness.leave({ memberId })
    expect(remove(harness)).toBe(ErrorCode.NONE)
    expect(harness.records.map(({ name, value }) => [name, value])).toEqual([
      ['offsetCommit', null],
      ['offsetCommit', null],
      ['groupMetadata', null],
    ])
    expect(harness.fetch()).toEqual({})
    expect(remove(harness)).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    harness.reload()
    expect([...harness.shard.groups()]).toEqual([])
  })

  test('of the newer protocol too', () => {
    const harness = new ShardHarness()
    harness.topics.set('t', 2)
    beat(harness, 'm')
    expect(remove(harness)).toBe(ErrorCode.NON_EMPTY_GROUP)
    beat(harness, 'm', -1)
    harness.commit({ 't:0': 1 })
    expect(remove(harness)).toBe(ErrorCode.NONE)
    expect(harness.state).toBe('none')
    harness.reload()
    expect([...harness.shard.groups()]).toEqual([])
  })

  test('and ids that were told for it are forgotten', () => {
    const harness = new ShardHarness()
    const { memberId } = harness.join().response
    expect(remove(harness)).toBe(ErrorCode.NONE)
    expect(harness.join({ memberId }).response.error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.log).toEqual([])
  })
})

describe('a group changes its type', () => {
  test('to the newer one with its first member when it is empty, and keeps its offsets', () => {
    const harness = new ShardHarness()
    harness.topics.set('t', 2)
    const [{ memberId, generation }] = harness.stable(1) as [JoinGroupResponse]
    harness.commit({ 't:0': 9 }, { memberId, generation })
    harness.leave({ memberId })
    expect(beat(harness, 'm', 5)).toMatchObject({ error: ErrorCode.GROUP_ID_NOT_FOUND })
    expect(harness.shard.group('g')?.type).toBe('classic')
    expect(beat(harness, 'm')).toMatchObject({ error: 0 })
    expect(harness.shard.group('g')).toMatchObject({ type: 'consumer', members: 1 })
    expect(harness.records.at(-1)).toMatchObject({ name: 'groupMetadata', value: null })
    harness.reload()
    expect(harness.shard.group('g')).toMatchObject({ type: 'consumer', members: 1 })
    expect(harness.fetch()).toEqual({ 't:0': 9 })
  })

  test('to the classic one with its first member when it is empty, and keeps its offsets', () => {
    const harness = new ShardHarness()
    harness.topics.set('t', 2)
    beat(harness, 'm')
    beat(harness, 'm', -1)
    harness.commit({ 't:0': 9 })
    expect(harness.join({ protocols: [] }).response.error).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    expect(harness.join({ memberId: 'x' }).response.error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.shard.group('g')?.type).toBe('consumer')
    harness.stable(1)
    expect(harness.shard.group('g')).toMatchObject({ type: 'classic', state: 'Stable' })
    harness.reload()
    expect(harness.shard.group('g')).toMatchObject({ type: 'classic', state: 'Stable' })
    expect(harness.fetch()).toEqual({ 't:0': 9 })
  })

  test('and the questions of the other protocol find no member', () => {
    const harness = new ShardHarness()
    harness.topics.set('t', 2)
    beat(harness, 'm')
    const claim = { memberId: 'm', generation: 1 }
    expect(harness.heartbeat(claim)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.sync(claim).response.error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(harness.shard.group('g')?.members).toBe(1)
  })

  test('but for LeaveGroup, by which operators remove members of either', () => {
    const harness = new ShardHarness()
    harness.topics.set('t', 2)
    beat(harness, 'm')
    expect(harness.leave({ memberId: 'm' }, { memberId: 'x' }).members.map(({ error }) => error)).toEqual([
      ErrorCode.NONE,
      ErrorCode.UNKNOWN_MEMBER_ID,
    ])
    expect(harness.shard.group('g')?.members).toBe(0)
  })
})

describe('a member of a group of the newer protocol', () => {
  test('commits and reads offsets in its own epoch', () => {
    const harness = new ShardHarness()
    harness.topics.set('t', 2)
    const { memberEpoch } = beat(harness, 'm')
    const said = { memberId: 'm', generation: memberEpoch }
    expect(harness.commit({ 't:0': 4 }, said)).toEqual([0])
    expect(harness.commit({ 't:0': 5 }, { ...said, generation: memberEpoch + 1 })).toEqual([
      ErrorCode.STALE_MEMBER_EPOCH,
    ])
    expect(harness.commit({ 't:0': 5 }, { ...said, memberId: 'x' })).toEqual([ErrorCode.UNKNOWN_MEMBER_ID])
    expect(harness.commit({ 't:0': 5 })).toEqual([ErrorCode.UNKNOWN_MEMBER_ID])
    expect(harness.commit({ 't:0': 5 }, { ...said, knowsMemberEpochs: false })).toEqual([ErrorCode.UNSUPPORTED_VERSION])
    const fetch = (memberId: string | null, epoch: number): unknown =>
      harness.ask<{ error: ErrorCode; topics: readonly unknown[] }>((reply) => ({
        kind: 'offsetFetch',
        groupId: 'g',
        memberId,
        memberEpoch: epoch,
        topics: null,
        reply,
      })).response
    expect(fetch('m', memberEpoch)).toMatchObject({ error: 0, topics: [{ partitions: [{ offset: 4 }] }] })
    expect(fetch(null, -1)).toMatchObject({ error: 0, topics: [{ partitions: [{ offset: 4 }] }] })
    expect(fetch('m', memberEpoch - 1)).toEqual({ error: ErrorCode.STALE_MEMBER_EPOCH, topics: [] })
    expect(fetch('x', memberEpoch)).toEqual({ error: ErrorCode.UNKNOWN_MEMBER_ID, topics: [] })
  })

  test('learns of topics that changed when the clock ticks', () => {
    const harness = new ShardHarness()
    harness.topics.set('t', 1)
    const { memberEpoch } = beat(harness, 'm')
    harness.topics.set('t', 3)
    expect(harness.shard.nextDueMs).toBe(0)
    harness.advance(0)
    expect(harness.shard.nextDueMs).toBeGreaterThan(0)
    expect(harness.shard.group('g')?.generation).toBeGreaterThan(memberEpoch)
  })
})

test('offsets that a log tells after the end of their group are kept, of a group that nobody ever joined', () => {
  const harness = new ShardHarness()
  const [{ memberId, generation }] = harness.stable(1) as [JoinGroupResponse]
  harness.commit({ 't:0': 9 }, { memberId, generation })
  const end = encodeGroupRecord({ name: 'groupMetadata', key: { groupId: 'g' }, value: null })
  harness.reload([...harness.log, end])
  expect(harness.shard.group('g')).toMatchObject({ type: 'classic', state: 'Empty', generation: 0, protocolType: '' })
  expect(harness.fetch()).toEqual({ 't:0': 9 })
})
