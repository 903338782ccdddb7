import { ErrorCode, OFFSETS_TOPIC } from '@millrace/base'
import type { GroupRequest, Reply } from '@millrace/groups'
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
  OffsetDeleteApi,
  OffsetFetchApi,
  OPERATIONS_NOT_ASKED,
  SyncGroupApi,
} from '@millrace/protocol'
import type { OffsetFetchResponse } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import type { GroupQuestion, Groups, ListedGroups } from '../../src/seams.ts'
import { idOf } from './fake-broker.ts'
import { type Answer, type Harness, harness, type TestClient } from './harness.ts'

type Kind = GroupRequest['kind']
type Of<K extends Kind> = Extract<GroupRequest, { kind: K }>

/** Coordinates nothing itself: the test answers what is asked. */
class AskedGroups implements Groups {
  readonly asked: GroupRequest[] = []
  listed: ListedGroups | ErrorCode = []
  error: ErrorCode = ErrorCode.NONE
  dropped = 0

  ask<R>(question: GroupQuestion<R>): () => void {
    if (this.error === ErrorCode.NONE) this.asked.push(question.request((response) => question.answered(response)))
    else question.failed(this.error)
    return () => void this.dropped++
  }

  homeOf(): null {
    return null
  }

  list(): ListedGroups | ErrorCode {
    return this.listed
  }

  view(): ErrorCode {
    return ErrorCode.NOT_COORDINATOR
  }

  views(): [] {
    return []
  }

  /** The oldest request that was not answered, which must be of this kind. */
  next<K extends Kind>(kind: K): Of<K> {
    const asked = this.asked.shift()
    if (asked?.kind !== kind) throw new Error(`asked for ${asked?.kind}, not ${kind}`)
    return asked as Of<K>
  }

  answer<K extends Kind>(kind: K, response: Parameters<Of<K>['reply']>[0]): Of<K> {
    const asked = this.next(kind)
    const reply = asked.reply as Reply<typeof response>
    reply(response)
    return asked
  }
}

interface Setup extends Harness {
  readonly groups: AskedGroups
  readonly client: TestClient
}

function setup(): Setup {
  const parts = harness()
  const groups = new AskedGroups()
  parts.broker.groups = groups
  parts.broker.topic('t', 3)
  return { ...parts, groups, client: parts.connect() }
}

const OK = { error: ErrorCode.NONE }
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

function joinRequest(change: { groupId?: string; memberId?: string } = {}) {
  return {
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    memberId: 'm',
    groupInstanceId: null,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: bytes('topics') }],
    reason: null,
    ...change,
  }
}

const JOINED = {
  error: ErrorCode.NONE,
  generation: 7,
  protocolType: 'consumer',
  protocolName: 'range',
  leader: 'm',
  skipAssignment: true,
  memberId: 'm',
  members: [{ memberId: 'm', groupInstanceId: null, metadata: bytes('topics') }],
}

describe('JoinGroup', () => {
  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])('in version %i says who joins and hears what came of it', (version) => {
    const { client, groups } = setup()
    client.send(JoinGroupApi, version, joinRequest())
    expect(client.receive()).toEqual([])
    const asked = groups.answer('joinGroup', JOINED)
    expect(asked).toMatchObject({
      groupId: 'g',
      memberId: 'm',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: version === 0 ? 10_000 : 60_000,
      requireKnownMemberId: version >= 4,
      supportsSkippingAssignment: version >= 9,
      clientId: 'test',
      clientHost: '/test',
      protocols: [{ name: 'range', metadata: bytes('topics') }],
    })
    const [answer] = client.receive()
    expect(answer?.value).toMatchObject({
      errorCode: ErrorCode.NONE,
      generationId: 7,
      protocolName: 'range',
      leader: 'm',
      memberId: 'm',
      skipAssignment: version >= 9,
    })
  })

  test.each([0, 6, 7, 9])('in version %i has no null that its clients can not read', (version) => {
    const { client, groups } = setup()
    groups.error = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    const answer = client.ask(JoinGroupApi, version, joinRequest())
    expect(answer).toMatchObject({ errorCode: groups.error, generationId: -1, leader: '', memberId: 'm', members: [] })
    expect(answer.protocolName).toBe(version >= 7 ? null : '')
  })

  test('keeps what a member says of itself, and not the request that said it', () => {
    const { client, groups } = setup()
    const frame = client.frame(JoinGroupApi, 5, joinRequest())
    client.end.send(frame)
    frame.fill(0)
    const [protocol] = groups.next('joinGroup').protocols
    expect(protocol?.metadata).toEqual(bytes('topics'))
    expect(protocol?.metadata.buffer.byteLength).toBe(6)
  })

  test('without a group is refused', () => {
    const { client, groups } = setup()
    expect(client.ask(JoinGroupApi, 5, joinRequest({ groupId: '' })).errorCode).toBe(ErrorCode.INVALID_GROUP_ID)
    expect(groups.asked).toEqual([])
  })

  test('that waits holds up the answers of its own connection only, which then come in their order', () => {
    const { client, groups, connect } = setup()
    const other = connect()
    client.send(JoinGroupApi, 5, joinRequest())
    client.send(HeartbeatApi, 0, { groupId: 'h', generationId: 1, memberId: 'm', groupInstanceId: null })
    other.send(HeartbeatApi, 0, { groupId: 'o', generationId: 1, memberId: 'm', groupInstanceId: null })
    const join = groups.next('joinGroup')
    groups.answer('heartbeat', OK)
    groups.answer('heartbeat', OK)
    expect(client.receive()).toEqual([])
    expect(other.receive()).toHaveLength(1)
    join.reply(JOINED)
    expect(client.receive()).toHaveLength(2)
  })

  test('of a client that goes away is dropped, and its answer is nobody’s', () => {
    const { client, groups } = setup()
    client.send(JoinGroupApi, 5, joinRequest())
    client.end.hangUp()
    expect(groups.dropped).toBe(1)
    groups.answer('joinGroup', JOINED)
    expect(client.end.written).toEqual([])
  })
})

describe('SyncGroup', () => {
  test.each([0, 1, 2, 3, 4, 5])('in version %i hands assignments in and gets the own', (version) => {
    const { client, groups } = setup()
    client.send(SyncGroupApi, version, {
      groupId: 'g',
      generationId: 7,
      memberId: 'm',
      groupInstanceId: null,
      protocolType: version >= 5 ? 'consumer' : null,
      protocolName: version >= 5 ? 'range' : null,
      assignments: [{ memberId: 'm', assignment: bytes('mine') }],
    })
    const asked = groups.answer('syncGroup', {
      ...OK,
      protocolType: 'consumer',
      protocolName: 'range',
      assignment: bytes('mine'),
    })
    expect(asked).toMatchObject({ generation: 7, assignments: [{ memberId: 'm', assignment: bytes('mine') }] })
    const [answer] = client.receive()
    expect(answer?.value).toMatchObject({ errorCode: 0, protocolName: version >= 5 ? 'range' : null })
  })

  test('that its coordinator can not answer has an empty assignment', () => {
    const { client, groups } = setup()
    groups.error = ErrorCode.NOT_COORDINATOR
    const request = {
      groupId: 'g',
      generationId: 7,
      memberId: 'm',
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      assignments: [],
    }
    const answer = client.ask(SyncGroupApi, 5, request)
    expect(answer).toMatchObject({ errorCode: ErrorCode.NOT_COORDINATOR, protocolName: null })
    expect(answer.assignment).toHaveLength(0)
  })
})

test('Heartbeat says what the group says', () => {
  const { client, groups } = setup()
  client.send(HeartbeatApi, 3, { groupId: 'g', generationId: 2, memberId: 'm', groupInstanceId: 'i' })
  const asked = groups.answer('heartbeat', { error: ErrorCode.REBALANCE_IN_PROGRESS })
  expect(asked).toMatchObject({ groupId: 'g', generation: 2, memberId: 'm', groupInstanceId: 'i' })
  expect(client.receive()[0]?.value).toMatchObject({ errorCode: ErrorCode.REBALANCE_IN_PROGRESS })
})

describe('LeaveGroup', () => {
  const left = { ...OK, members: [{ memberId: 'm', groupInstanceId: null, error: ErrorCode.UNKNOWN_MEMBER_ID }] }

  test('up to version 2 is one member, whose error is the answer’s', () => {
    const { client, groups } = setup()
    client.send(LeaveGroupApi, 2, { groupId: 'g', memberId: 'm', members: [] })
    expect(groups.answer('leaveGroup', left).members).toEqual([{ memberId: 'm', groupInstanceId: null, reason: null }])
    expect(client.receive()[0]?.value).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID })
  })

  test('from version 3 on is several, each with its error', () => {
    const { client, groups } = setup()
    const members = [{ memberId: 'm', groupInstanceId: null, reason: 'done' }]
    client.send(LeaveGroupApi, 5, { groupId: 'g', memberId: '', members })
    expect(groups.answer('leaveGroup', left).members).toEqual(members)
    expect(client.receive()[0]?.value).toMatchObject({
      errorCode: ErrorCode.NONE,
      members: [{ memberId: 'm', errorCode: ErrorCode.UNKNOWN_MEMBER_ID }],
    })
  })
})

function commitRequest(topics: readonly [name: string, ...partitions: number[]][], groupId = 'g') {
  return {
    groupId,
    generationIdOrMemberEpoch: 3,
    memberId: 'm',
    groupInstanceId: null,
    retentionTimeMs: -1,
    topics: topics.map(([name, ...partitions]) => ({
      name,
      topicId: idOf(name),
      partitions: partitions.map((partitionIndex) => ({
        partitionIndex,
        committedOffset: 40 + partitionIndex,
        committedLeaderEpoch: -1,
        committedMetadata: null,
      })),
    })),
  }
}

describe('OffsetCommit', () => {
  test('asks about the topics that are there, and answers in the order of the request', () => {
    const { client, groups } = setup()
    client.send(
      OffsetCommitApi,
      6,
      commitRequest([
        ['none', 0],
        ['t', 2, 0],
        ['gone', 1],
      ]),
    )
    const topics = [
      {
        name: 't',
        partitions: [
          { partition: 2, error: ErrorCode.NONE },
          { partition: 0, error: ErrorCode.OFFSET_METADATA_TOO_LARGE },
        ],
      },
    ]
    const asked = groups.answer('offsetCommit', { topics })
    expect(asked).toMatchObject({ generation: 3, memberId: 'm', knowsMemberEpochs: false })
    expect(asked.topics).toMatchObject([
      {
        name: 't',
        partitions: [
          { partition: 2, offset: 42, metadata: '' },
          { partition: 0, offset: 40 },
        ],
      },
    ])
    expect(client.receive()[0]?.value).toMatchObject({
      topics: [
        { name: 'none', partitions: [{ partitionIndex: 0, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }] },
        {
          name: 't',
          partitions: [
            { partitionIndex: 2, errorCode: 0 },
            { partitionIndex: 0, errorCode: ErrorCode.OFFSET_METADATA_TOO_LARGE },
          ],
        },
        { name: 'gone', partitions: [{ partitionIndex: 1, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }] },
      ],
    })
  })

  test('in version 10 names topics by id; one that is not there is UNKNOWN_TOPIC_ID', () => {
    const { client, groups } = setup()
    client.send(
      OffsetCommitApi,
      10,
      commitRequest([
        ['none', 0],
        ['t', 2],
      ]),
    )
    const topics = [{ name: 't', partitions: [{ partition: 2, error: ErrorCode.NONE }] }]
    const asked = groups.answer('offsetCommit', { topics })
    expect(asked).toMatchObject({ knowsMemberEpochs: true, topics: [{ name: 't', id: idOf('t') }] })
    expect(client.receive()[0]?.value).toMatchObject({
      topics: [
        { topicId: idOf('none'), partitions: [{ partitionIndex: 0, errorCode: ErrorCode.UNKNOWN_TOPIC_ID }] },
        { topicId: idOf('t'), partitions: [{ partitionIndex: 2, errorCode: 0 }] },
      ],
    })
  })

  test('of unknown topics alone asks nobody', () => {
    const { client, groups } = setup()
    const answer = client.ask(OffsetCommitApi, 2, commitRequest([['none', 0]]))
    expect(answer.topics[0]?.partitions[0]?.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(groups.asked).toEqual([])
  })

  test('tells why there is no coordinator for each partition that is there', () => {
    const { client, groups } = setup()
    groups.error = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    const { topics } = client.ask(
      OffsetCommitApi,
      9,
      commitRequest([
        ['t', 0],
        ['none', 0],
      ]),
    )
    expect(topics.map(({ partitions }) => partitions[0]?.errorCode)).toEqual([14, 3])
  })

  test('without a group name is refused, or Kafka’s own tools would stumble over it', () => {
    const { client } = setup()
    const { topics } = client.ask(OffsetCommitApi, 9, commitRequest([['t', 0]], ''))
    expect(topics[0]?.partitions[0]?.errorCode).toBe(ErrorCode.INVALID_GROUP_ID)
  })
})

describe('OffsetFetch', () => {
  const fetched = {
    ...OK,
    topics: [
      { name: 't', partitions: [{ partition: 1, offset: 42, leaderEpoch: 3, metadata: 'x', error: ErrorCode.NONE }] },
    ],
  }
  const one = (topics: { name: string; partitionIndexes: number[] }[] | null) => ({
    groupId: 'g',
    topics,
    groups: [],
    requireStable: false,
  })

  test.each([1, 2, 3, 4, 5, 6, 7])('in version %i asks about one group', (version) => {
    const { client, groups } = setup()
    client.send(OffsetFetchApi, version, one([{ name: 't', partitionIndexes: [1] }]))
    const asked = groups.answer('offsetFetch', fetched)
    expect(asked).toMatchObject({ groupId: 'g', topics: [{ name: 't', partitions: [1] }], memberEpoch: -1 })
    expect(client.receive()[0]?.value).toMatchObject({
      topics: [{ name: 't', partitions: [{ partitionIndex: 1, committedOffset: 42, metadata: 'x', errorCode: 0 }] }],
    })
  })

  test('of all topics is null, from version 2 on', () => {
    const { client, groups } = setup()
    client.send(OffsetFetchApi, 2, one(null))
    expect(groups.next('offsetFetch').topics).toBe(null)
  })

  test('never says that there is no offset when the coordinator does not know', () => {
    const { client, groups } = setup()
    groups.error = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    const ask = (version: number) => client.ask(OffsetFetchApi, version, one([{ name: 't', partitionIndexes: [1] }]))
    expect(ask(1).topics[0]?.partitions[0]?.errorCode).toBe(14)
    for (const version of [2, 7]) expect(ask(version)).toMatchObject({ errorCode: 14, topics: [] })
  })

  test('from version 8 on asks about several groups, each with its error, in their order', () => {
    const { client, groups } = setup()
    const asked = ['a', 'b'].map((groupId) => ({ groupId, memberId: null, memberEpoch: -1, topics: null }))
    client.send(OffsetFetchApi, 9, { groupId: '', topics: [], groups: asked, requireStable: true })
    const first = groups.next('offsetFetch')
    groups.answer('offsetFetch', { error: ErrorCode.STALE_MEMBER_EPOCH, topics: [] })
    expect(client.receive()).toEqual([])
    first.reply(fetched)
    expect(client.receive()[0]?.value).toMatchObject({
      groups: [
        {
          groupId: 'a',
          errorCode: 0,
          topics: [{ name: 't', partitions: [{ committedOffset: 42, committedLeaderEpoch: 3 }] }],
        },
        { groupId: 'b', errorCode: ErrorCode.STALE_MEMBER_EPOCH, topics: [] },
      ],
    })
  })

  test('in version 10 names topics by id; one that is not there is UNKNOWN_TOPIC_ID, and not among all', () => {
    const { client, groups } = setup()
    const named = ['none', 't'].map((name) => ({ name: '', topicId: idOf(name), partitionIndexes: [1] }))
    const asked = [
      { groupId: 'a', memberId: 'm', memberEpoch: 3, topics: named },
      { groupId: 'b', memberId: null, memberEpoch: -1, topics: null },
    ]
    client.send(OffsetFetchApi, 10, { groupId: '', topics: [], groups: asked, requireStable: true })
    const first = groups.next('offsetFetch')
    expect(first).toMatchObject({ memberId: 'm', memberEpoch: 3, topics: [{ name: 't', partitions: [1] }] })
    const deleted = [{ name: 'deleted', partitions: [] }]
    groups.answer('offsetFetch', { ...OK, topics: [...deleted, ...fetched.topics] })
    first.reply(fetched)
    const unknown = { committedOffset: -1, metadata: '', errorCode: ErrorCode.UNKNOWN_TOPIC_ID }
    const known = { topicId: idOf('t'), partitions: [{ partitionIndex: 1, committedOffset: 42, errorCode: 0 }] }
    const [answer] = client.receive() as [Answer<OffsetFetchResponse>]
    expect(answer.value.groups).toMatchObject([
      { groupId: 'a', topics: [{ topicId: idOf('none'), partitions: [unknown] }, known] },
      { groupId: 'b', topics: [known] },
    ])
    expect(answer.value.groups[1]?.topics).toHaveLength(1)
  })
})

describe('FindCoordinator', () => {
  function withLeader(leader: number) {
    const parts = setup()
    parts.broker.image.addBroker(2)
    const topic = parts.broker.image.addTopic(OFFSETS_TOPIC, [{ leader }])
    parts.groups.homeOf = () => topic.partitions[0] as never
    return parts
  }

  test.each([0, 1, 2, 3])('in version %i names the leader of the group’s partition', (version) => {
    const { client } = withLeader(2)
    const answer = client.ask(FindCoordinatorApi, version, { key: 'g', keyType: 0, coordinatorKeys: [] })
    expect(answer).toMatchObject({ errorCode: 0, nodeId: 2, host: 'host-2', port: 9092 })
  })

  test('from version 4 on names those of several groups', () => {
    const { client } = withLeader(1)
    const { coordinators } = client.ask(FindCoordinatorApi, 5, { key: '', keyType: 0, coordinatorKeys: ['a', 'b'] })
    expect(coordinators).toMatchObject([
      { key: 'a', nodeId: 1, errorCode: 0 },
      { key: 'b', nodeId: 1, errorCode: 0 },
    ])
  })

  test('says COORDINATOR_NOT_AVAILABLE while there is no topic or no leader, and refuses transactions for good', () => {
    const { client } = setup()
    const none = { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, nodeId: -1, host: '', port: -1 }
    expect(client.ask(FindCoordinatorApi, 2, { key: 'g', keyType: 0, coordinatorKeys: [] })).toMatchObject(none)
    expect(client.ask(FindCoordinatorApi, 2, { key: 'g', keyType: 1, coordinatorKeys: [] })).toMatchObject({
      ...none,
      errorCode: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    })
    const leaderless = withLeader(-1).client
    expect(
      leaderless.ask(FindCoordinatorApi, 4, { key: '', keyType: 0, coordinatorKeys: ['g'] }).coordinators,
    ).toMatchObject([none])
    expect(client.ask(FindCoordinatorApi, 2, { key: 'g', keyType: 7, coordinatorKeys: [] }).errorCode).toBe(
      ErrorCode.INVALID_REQUEST,
    )
  })
})

describe('DescribeGroups', () => {
  const gone = { error: ErrorCode.GROUP_ID_NOT_FOUND, state: 'Dead', protocolType: '', protocol: '', members: [] }

  test('says that a group is not there by its state, and by an error from version 6 on', () => {
    for (const version of [0, 5, 6]) {
      const { client, groups } = setup()
      client.send(DescribeGroupsApi, version, { groups: ['g'], includeAuthorizedOperations: false })
      groups.answer('describeGroup', gone)
      const error = version === 6 ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.NONE
      expect(client.receive()[0]?.value).toMatchObject({
        groups: [{ groupId: 'g', groupState: 'Dead', errorCode: error, authorizedOperations: OPERATIONS_NOT_ASKED }],
      })
    }
  })

  test('tells the members, and what may be done when asked', () => {
    const { client, groups } = setup()
    client.send(DescribeGroupsApi, 5, { groups: ['g'], includeAuthorizedOperations: true })
    const member = {
      memberId: 'm',
      groupInstanceId: 'i',
      clientId: 'c',
      clientHost: '/h',
      metadata: bytes('a'),
      assignment: bytes('b'),
    }
    groups.answer('describeGroup', {
      ...OK,
      state: 'Stable',
      protocolType: 'consumer',
      protocol: 'range',
      members: [member],
    })
    const answers = (client.receive()[0]?.value as { groups: { authorizedOperations: number }[] } | undefined)?.groups
    expect(answers).toMatchObject([
      {
        groupState: 'Stable',
        protocolType: 'consumer',
        protocolData: 'range',
        members: [{ memberId: 'm', groupInstanceId: 'i', clientHost: '/h' }],
      },
    ])
    expect(answers?.[0]?.authorizedOperations).toBeGreaterThan(0)
  })
})

test('ListGroups lists groups, or says why it can not', () => {
  const { client, groups } = setup()
  groups.listed = [{ groupId: 'g', protocolType: 'consumer', state: 'Stable', type: 'classic' }]
  const answer = client.ask(ListGroupsApi, 5, { statesFilter: [], typesFilter: [] })
  expect(answer.groups).toMatchObject([{ groupId: 'g', groupState: 'Stable', groupType: 'classic' }])
  groups.listed = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
  expect(client.ask(ListGroupsApi, 0, { statesFilter: [], typesFilter: [] })).toMatchObject({
    errorCode: 14,
    groups: [],
  })
})

test('DeleteGroups asks each coordinator, once for each group', () => {
  const { client, groups } = setup()
  client.send(DeleteGroupsApi, 2, { groupsNames: ['a', 'b', 'a'] })
  groups.answer('deleteGroup', OK)
  groups.answer('deleteGroup', { error: ErrorCode.NON_EMPTY_GROUP })
  expect(client.receive()[0]?.value).toMatchObject({
    results: [
      { groupId: 'a', errorCode: 0 },
      { groupId: 'b', errorCode: ErrorCode.NON_EMPTY_GROUP },
    ],
  })
})

test('OffsetDelete asks about the topics that are there', () => {
  const { client, groups } = setup()
  const topics = ['none', 't'].map((name) => ({ name, partitions: [{ partitionIndex: 0 }] }))
  client.send(OffsetDeleteApi, 0, { groupId: 'g', topics })
  const partitions = [{ partition: 0, error: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC }]
  expect(groups.answer('offsetDelete', { ...OK, topics: [{ name: 't', partitions }] }).topics).toHaveLength(1)
  expect(client.receive()[0]?.value).toMatchObject({
    errorCode: 0,
    topics: [
      { name: 'none', partitions: [{ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }] },
      { name: 't', partitions: [{ errorCode: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC }] },
    ],
  })
})

describe('ConsumerGroupHeartbeat', () => {
  const topicId = 'tAAAAAAAAAAAAAAAAAAAAA'
  const request = (change: object = {}) => ({
    groupId: 'g',
    memberId: 'm',
    memberEpoch: 0,
    instanceId: null,
    rackId: 'r',
    rebalanceTimeoutMs: 1000,
    subscribedTopicNames: ['t'],
    subscribedTopicRegex: null,
    serverAssignor: null,
    topicPartitions: [],
    ...change,
  })

  test('passes everything on, and nothing that did not change', () => {
    const { client, groups } = setup()
    client.send(ConsumerGroupHeartbeatApi, 1, request())
    const assignment = [{ topicId, partitions: [0, 1] }]
    const asked = groups.answer('consumerHeartbeat', {
      ...OK,
      message: null,
      memberId: 'm',
      memberEpoch: 2,
      heartbeatIntervalMs: 5000,
      assignment,
    })
    expect(asked).toMatchObject({
      memberEpoch: 0,
      rackId: 'r',
      topicNames: ['t'],
      topicRegex: null,
      owned: [],
      clientHost: '/test',
    })
    expect(client.receive()[0]?.value).toMatchObject({
      memberEpoch: 2,
      heartbeatIntervalMs: 5000,
      assignment: { topicPartitions: assignment },
    })
    client.send(
      ConsumerGroupHeartbeatApi,
      1,
      request({ topicPartitions: null, subscribedTopicNames: null, rebalanceTimeoutMs: -1 }),
    )
    const next = groups.answer('consumerHeartbeat', {
      ...OK,
      message: null,
      memberId: 'm',
      memberEpoch: 2,
      heartbeatIntervalMs: 5000,
      assignment: null,
    })
    expect(next).toMatchObject({ owned: null, topicNames: null, rebalanceTimeoutMs: -1 })
    expect(client.receive()[0]?.value).toMatchObject({ assignment: null })
  })

  test('without a group, and from version 1 on without a member, is INVALID_REQUEST', () => {
    const { client, groups } = setup()
    expect(client.ask(ConsumerGroupHeartbeatApi, 0, request({ groupId: '' })).errorCode).toBe(ErrorCode.INVALID_REQUEST)
    expect(client.ask(ConsumerGroupHeartbeatApi, 1, request({ memberId: '' })).errorCode).toBe(
      ErrorCode.INVALID_REQUEST,
    )
    client.send(ConsumerGroupHeartbeatApi, 0, request({ memberId: '' }))
    expect(groups.next('consumerHeartbeat').memberId).toBe('')
  })
})

test('ConsumerGroupDescribe tells epochs and assignments, and why a group is none of its kind', () => {
  const { client, groups } = setup()
  client.send(ConsumerGroupDescribeApi, 1, { groupIds: ['g', 'classic'], includeAuthorizedOperations: false })
  const assignment = [{ topicId: 'tAAAAAAAAAAAAAAAAAAAAA', topic: 't', partitions: [0] }]
  const member = {
    memberId: 'm',
    instanceId: null,
    rackId: null,
    memberEpoch: 2,
    clientId: 'c',
    clientHost: '/h',
    topicNames: ['t'],
    topicRegex: '',
    assignment,
    targetAssignment: [],
    memberType: 1,
  }
  const described = {
    ...OK,
    message: null,
    state: 'Stable',
    epoch: 2,
    assignmentEpoch: 2,
    assignor: 'uniform',
    members: [member],
  }
  groups.answer('describeConsumerGroup', described)
  groups.answer('describeConsumerGroup', {
    ...described,
    error: ErrorCode.GROUP_ID_NOT_FOUND,
    message: 'no',
    members: [],
  })
  expect(client.receive()[0]?.value).toMatchObject({
    groups: [
      {
        groupId: 'g',
        groupEpoch: 2,
        assignorName: 'uniform',
        members: [{ memberId: 'm', memberType: 1, assignment: { topicPartitions: [{ topicName: 't' }] } }],
      },
      { groupId: 'classic', errorCode: ErrorCode.GROUP_ID_NOT_FOUND, errorMessage: 'no' },
    ],
  })
})
