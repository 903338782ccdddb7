import { ErrorCode, OFFSETS_TOPIC, ZERO_UUID } from '@millrace/base'
import { decodeGroupRecord } from '@millrace/groups'
import {
  ConsumerGroupDescribeApi,
  ConsumerGroupHeartbeatApi,
  DeleteGroupsApi,
  DescribeGroupsApi,
  FindCoordinatorApi,
  HeartbeatApi,
  JoinGroupApi,
  LeaveGroupApi,
  ListGroupsApi,
  OffsetCommitApi,
  OffsetFetchApi,
  SyncGroupApi,
} from '@millrace/protocol'
import { readRecords } from '@millrace/records'
import { describe, expect, test } from 'vitest'
import { GroupCoordinator } from '../../src/groups/coordinator.ts'
import { CollectedChanges } from '../../src/image-changes.ts'
import { type Harness, harness, type TestClient } from '../kafka/harness.ts'
import { GroupReplica } from './fixture.ts'

interface Setup extends Harness {
  readonly client: TestClient
  readonly coordinator: GroupCoordinator
  readonly replica: GroupReplica
}

/** A listener whose broker coordinates all groups, with the machines that decide in production. */
function setup(properties: Readonly<Record<string, string>> = {}): Setup {
  const parts = harness({ properties: { 'group.initial.rebalance.delay.ms': '0', ...properties } })
  const { broker, world } = parts
  const coordinator = new GroupCoordinator({
    world,
    config: broker.config,
    image: broker.image,
    controller: broker.controller,
    serving: () => true,
    rebalanced: () => {},
  })
  broker.groups = coordinator
  const replica = new GroupReplica(world, broker.image.addTopic(OFFSETS_TOPIC, [{}]), 0)
  broker.topic('t', 4)
  const everything = new CollectedChanges()
  everything.all = true
  coordinator.imageChanged(everything)
  coordinator.replicaChanged(replica)
  world.time.advance(10)
  return { ...parts, coordinator, replica, client: parts.connect() }
}

const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value))

const join = (memberId: string, change: object = {}) => ({
  groupId: 'g',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 20_000,
  memberId,
  groupInstanceId: null,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: text('subscription') }],
  reason: null,
  ...change,
})

const sync = (memberId: string, generationId: number, assigned: readonly string[] = []) => ({
  groupId: 'g',
  generationId,
  memberId,
  groupInstanceId: null,
  protocolType: 'consumer',
  protocolName: 'range',
  assignments: assigned.map((id) => ({ memberId: id, assignment: text(`for ${id}`) })),
})

const commit = (memberId: string, epoch: number, offset: number) => ({
  groupId: 'g',
  generationIdOrMemberEpoch: epoch,
  memberId,
  groupInstanceId: null,
  retentionTimeMs: -1,
  topics: [
    {
      name: 't',
      topicId: ZERO_UUID,
      partitions: [{ partitionIndex: 0, committedOffset: offset, committedLeaderEpoch: 3, committedMetadata: 'note' }],
    },
  ],
})

function committed(client: TestClient): number | undefined {
  const topics = [{ name: 't', partitionIndexes: [0] }]
  const answer = client.ask(OffsetFetchApi, 7, { groupId: 'g', topics, groups: [], requireStable: false })
  expect(answer.errorCode).toBe(ErrorCode.NONE)
  return answer.topics[0]?.partitions[0]?.committedOffset
}

/** The one member of a classic group, which has its assignment. */
function oneMember(client: TestClient): string {
  const told = client.ask(JoinGroupApi, 9, join(''))
  expect(told.errorCode).toBe(ErrorCode.MEMBER_ID_REQUIRED)
  const joined = client.ask(JoinGroupApi, 9, join(told.memberId))
  expect(joined).toMatchObject({ errorCode: 0, generationId: 1, leader: told.memberId, protocolName: 'range' })
  expect(joined.members).toHaveLength(1)
  const synced = client.ask(SyncGroupApi, 5, sync(told.memberId, 1, [told.memberId]))
  expect(synced).toMatchObject({ errorCode: 0, assignment: text(`for ${told.memberId}`) })
  return told.memberId
}

/** The same broker under another leader epoch: everything that it knows comes from the log. */
function loadAnew({ coordinator, replica, world }: Setup): void {
  replica.leaderEpoch++
  coordinator.replicaChanged(replica)
  world.time.advance(50)
}

const heartbeat = (memberId: string, generationId: number) => ({
  groupId: 'g',
  generationId,
  memberId,
  groupInstanceId: null,
})

describe('a classic group over the wire', () => {
  test('joins, is assigned, lives, commits, is described, leaves and is deleted', () => {
    const { client } = setup()
    expect(client.ask(FindCoordinatorApi, 3, { key: 'g', keyType: 0, coordinatorKeys: [] })).toMatchObject({
      nodeId: 1,
    })
    const member = oneMember(client)
    expect(client.ask(HeartbeatApi, 4, heartbeat(member, 1)).errorCode).toBe(0)
    expect(committed(client)).toBe(-1)
    expect(client.ask(OffsetCommitApi, 9, commit(member, 1, 42)).topics[0]?.partitions[0]?.errorCode).toBe(0)
    expect(committed(client)).toBe(42)
    const described = client.ask(DescribeGroupsApi, 6, { groups: ['g', 'none'], includeAuthorizedOperations: false })
    expect(described.groups).toMatchObject([
      { groupState: 'Stable', protocolData: 'range', members: [{ memberId: member, clientHost: '/test' }] },
      { groupState: 'Dead', errorCode: ErrorCode.GROUP_ID_NOT_FOUND },
    ])
    expect(client.ask(DeleteGroupsApi, 2, { groupsNames: ['g'] }).results[0]?.errorCode).toBe(ErrorCode.NON_EMPTY_GROUP)
    const members = [{ memberId: member, groupInstanceId: null, reason: 'done' }]
    expect(client.ask(LeaveGroupApi, 5, { groupId: 'g', memberId: '', members }).members[0]?.errorCode).toBe(0)
    expect(client.ask(ListGroupsApi, 5, { statesFilter: ['empty'], typesFilter: ['classic'] }).groups).toHaveLength(1)
    expect(client.ask(DeleteGroupsApi, 2, { groupsNames: ['g'] }).results[0]?.errorCode).toBe(0)
    expect(client.ask(ListGroupsApi, 5, { statesFilter: [], typesFilter: [] }).groups).toEqual([])
    expect(committed(client)).toBe(-1)
  })

  test('has its members, generation and offsets at the next coordinator, and goes on without a rebalance', () => {
    const parts = setup()
    const { client, coordinator } = parts
    const member = oneMember(client)
    client.ask(OffsetCommitApi, 9, commit(member, 1, 42))
    loadAnew(parts)
    expect(committed(client)).toBe(42)
    expect(client.ask(HeartbeatApi, 4, heartbeat(member, 1)).errorCode).toBe(0)
    expect(client.ask(SyncGroupApi, 5, sync(member, 1))).toMatchObject({ assignment: text(`for ${member}`) })
    expect([...coordinator.views()]).toMatchObject([{ groupId: 'g', state: 'Stable', generation: 1, members: 1 }])
  })

  test('loses a member that is silent, in a log line that says why', () => {
    const { client, connect, world } = setup()
    const first = oneMember(client)
    const other = connect()
    const told = other.ask(JoinGroupApi, 9, join(''))
    other.send(JoinGroupApi, 9, join(told.memberId))
    expect(other.receive()).toEqual([])
    expect(client.ask(HeartbeatApi, 4, heartbeat(first, 1)).errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    world.time.advance(11_000)
    expect(other.receive()[0]?.value).toMatchObject({ errorCode: 0, generationId: 2, leader: told.memberId })
    expect(client.ask(HeartbeatApi, 4, heartbeat(first, 1)).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    const sent = other.ask(SyncGroupApi, 5, sync(told.memberId, 2, [told.memberId]))
    expect(sent.errorCode).toBe(0)
    const lines = world.log.lines.filter(({ event }) => event === 'group rebalanced')
    expect(lines.at(-1)?.fields).toMatchObject({ group: 'g', generation: 2, members: 1 })
    expect(JSON.stringify(lines.at(-1)?.fields['causes'])).toContain(first)
  })

  test('keeps its members through a stall of the whole process', () => {
    const { client, world, coordinator } = setup()
    const member = oneMember(client)
    // Time goes on without anybody being heard: no timer runs, as in a process that stands still.
    world.time.skip(60_000)
    world.time.advance(10)
    expect(client.ask(HeartbeatApi, 4, heartbeat(member, 1)).errorCode).toBe(0)
    expect([...coordinator.views()]).toMatchObject([{ state: 'Stable', members: 1 }])
    world.time.advance(30_000)
    expect([...coordinator.views()]).toMatchObject([{ state: 'Empty', members: 0 }])
  })

  test('does not lose members to a wall clock that jumps', () => {
    const { client, world, coordinator } = setup()
    const member = oneMember(client)
    world.time.jumpWall(3_600_000)
    world.time.advance(5000)
    expect(client.ask(HeartbeatApi, 4, heartbeat(member, 1)).errorCode).toBe(0)
    expect([...coordinator.views()]).toMatchObject([{ state: 'Stable' }])
  })

  test('of a thousand members that say much of themselves is written, though no topic likes such a record', () => {
    const { connect, world, replica } = setup({ 'group.initial.rebalance.delay.ms': '1000' })
    const protocols = [{ name: 'range', metadata: new Uint8Array(2000) }]
    const members = Array.from({ length: 1000 }, () => connect())
    for (const one of members) one.send(JoinGroupApi, 3, join('', { protocols }))
    world.time.advance(3000)
    const joined = members.map((one) => one.receive()[0]?.value as { memberId: string; leader: string })
    const at = joined.findIndex(({ memberId, leader }) => memberId === leader)
    const ids = joined.map(({ memberId }) => memberId)
    expect(members[at]?.ask(SyncGroupApi, 3, sync(ids[at] ?? '', 1, ids)).errorCode).toBe(0)
    expect(replica.batches.some(({ length }) => length > replica.maxMessageBytes)).toBe(true)
  })
})

describe('a consumer group (KIP-848) over the wire', () => {
  const beat = (memberId: string, memberEpoch: number, change: object = {}) => ({
    groupId: 'g',
    memberId,
    memberEpoch,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: memberEpoch === 0 ? 10_000 : -1,
    subscribedTopicNames: memberEpoch === 0 ? ['t'] : null,
    subscribedTopicRegex: null,
    serverAssignor: null,
    topicPartitions: memberEpoch === 0 ? [] : null,
    ...change,
  })

  test('is assigned by the broker, commits with its epoch, is described, and survives its coordinator', () => {
    const parts = setup()
    const { client, replica } = parts
    const joined = client.ask(ConsumerGroupHeartbeatApi, 1, beat('m1', 0))
    expect(joined).toMatchObject({ errorCode: 0, memberId: 'm1', heartbeatIntervalMs: 3000 })
    expect(joined.assignment?.topicPartitions.flatMap(({ partitions }) => partitions)).toEqual([0, 1, 2, 3])
    const epoch = joined.memberEpoch
    expect(client.ask(OffsetCommitApi, 9, commit('m1', epoch, 7)).topics[0]?.partitions[0]?.errorCode).toBe(0)
    expect(client.ask(OffsetCommitApi, 9, commit('m1', epoch + 1, 8)).topics[0]?.partitions[0]?.errorCode).toBe(
      ErrorCode.STALE_MEMBER_EPOCH,
    )
    const owned = joined.assignment?.topicPartitions ?? null
    loadAnew(parts)
    expect(committed(client)).toBe(7)
    const next = client.ask(ConsumerGroupHeartbeatApi, 1, beat('m1', epoch, { topicPartitions: owned }))
    expect(next).toMatchObject({ errorCode: 0, memberEpoch: epoch })
    const asked = { groupIds: ['g', 'none'], includeAuthorizedOperations: false }
    expect(client.ask(ConsumerGroupDescribeApi, 1, asked).groups).toMatchObject([
      { errorCode: 0, groupState: 'Stable', assignorName: 'uniform', members: [{ memberId: 'm1', memberType: 1 }] },
      { errorCode: ErrorCode.GROUP_ID_NOT_FOUND },
    ])
    expect(client.ask(ConsumerGroupHeartbeatApi, 1, beat('m1', -1)).errorCode).toBe(0)
    expect(client.ask(ListGroupsApi, 5, { statesFilter: [], typesFilter: [] }).groups).toMatchObject([
      { groupId: 'g', groupState: 'Empty', groupType: 'consumer' },
    ])
    const names = replica.batches.flatMap((batch) =>
      [...readRecords(batch, 0)].map(({ key, value }) => decodeGroupRecord(key ?? new Uint8Array(), value)?.name),
    )
    expect(names).not.toContain(undefined)
  })

  test('has the pace that was set for it, from the next heartbeat on', () => {
    const { client, broker, world } = setup()
    const heart = (memberEpoch: number) => client.ask(ConsumerGroupHeartbeatApi, 1, beat('m1', memberEpoch))
    const { memberEpoch, heartbeatIntervalMs } = heart(0)
    expect(heartbeatIntervalMs).toBe(3000)
    broker.image.set({ kind: 'group', name: 'g' }, 'consumer.heartbeat.interval.ms', '7000')
    broker.image.set({ kind: 'group', name: 'g' }, 'consumer.session.timeout.ms', '8000')
    expect(heart(memberEpoch).heartbeatIntervalMs).toBe(7000)
    world.time.advance(7000)
    expect(heart(memberEpoch).errorCode).toBe(0)
    world.time.advance(9000)
    expect(heart(memberEpoch).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('gives the partitions of a topic that grows to its members', () => {
    const { client, broker, coordinator, world } = setup()
    const joined = client.ask(ConsumerGroupHeartbeatApi, 1, beat('m1', 0))
    const before = broker.image.topicByName('t')!
    const more = { ...before.partitions[0]!, partition: 4 }
    const topic = { ...before, partitions: [...before.partitions, more] }
    broker.image.topics.set(topic.id, topic)
    const changes = new CollectedChanges()
    changes.add({ all: false, partitions: [more], createdTopics: [], deletedTopics: [], brokers: [], configs: [] })
    coordinator.imageChanged(changes)
    // Assignments are made at most once a second.
    world.time.advance(1100)
    const grown = client.ask(ConsumerGroupHeartbeatApi, 1, beat('m1', joined.memberEpoch))
    expect(grown.memberEpoch).toBeGreaterThan(joined.memberEpoch)
    expect(grown.assignment?.topicPartitions.flatMap(({ partitions }) => partitions)).toEqual([0, 1, 2, 3, 4])
  })
})
