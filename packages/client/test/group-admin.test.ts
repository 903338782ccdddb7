import { ErrorCode } from '@millrace/base'
import {
  APIS,
  ApiVersionsApi,
  ConsumerGroupDescribeApi,
  DeleteGroupsApi,
  DescribeGroupsApi,
  FindCoordinatorApi,
  ListGroupsApi,
  MetadataApi,
  OffsetCommitApi,
  OffsetDeleteApi,
  OffsetFetchApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import type { KafkaError } from '../src/index.ts'
import { FakeCluster } from './fake-cluster.ts'

const GROUP = 'readers'
const TOPIC = 'orders'
const ALWAYS = 1_000

/** The coordinator of every group is the broker that this function names at the time. */
function coordinate(cluster: FakeCluster, of: (groupId: string) => number): void {
  cluster.script(
    FindCoordinatorApi,
    ({ request }) => {
      const groupId = request.coordinatorKeys[0] ?? request.key
      const nodeId = of(groupId)
      const place = {
        nodeId,
        host: '127.0.0.1',
        port: cluster.ports[nodeId - 1] ?? 0,
        errorCode: 0,
        errorMessage: null,
      }
      const isNewer = request.coordinatorKeys.length > 0
      if (!isNewer) return { throttleTimeMs: 0, ...place, coordinators: [] }
      const none = { nodeId: 0, host: '', port: 0, errorCode: 0, errorMessage: null }
      return { throttleTimeMs: 0, ...none, coordinators: [{ key: groupId, ...place }] }
    },
    ALWAYS,
  )
}

function failureOf(promise: Promise<unknown>): Promise<KafkaError> {
  return promise.then(
    () => new Error('it did not fail') as KafkaError,
    (error: KafkaError) => error,
  )
}

function commitAnswer(errorCode: number): never {
  const partitions = [{ partitionIndex: 0, errorCode }]
  return { throttleTimeMs: 0, topics: [{ name: TOPIC, partitions }] } as never
}

function fetchAnswer(committed: readonly (readonly [number, number])[], errorCode = 0): never {
  const partitions = committed.map(([partitionIndex, committedOffset]) => ({
    partitionIndex,
    committedOffset,
    committedLeaderEpoch: -1,
    metadata: null,
    errorCode: 0,
  }))
  const topics = partitions.length === 0 ? [] : [{ name: TOPIC, partitions }]
  return { throttleTimeMs: 0, topics: [], errorCode: 0, groups: [{ groupId: GROUP, topics, errorCode }] } as never
}

/** Versions of these APIs as an older broker has them. */
function older(cluster: FakeCluster, versions: Readonly<Record<number, number>>): void {
  cluster.script(
    ApiVersionsApi,
    () => ({
      errorCode: 0,
      apiKeys: APIS.filter(({ key }) => versions[key] !== -1).map(({ key, advertised }) => ({
        apiKey: key,
        minVersion: advertised[0],
        maxVersion: versions[key] ?? advertised[1],
      })),
      throttleTimeMs: 0,
      supportedFeatures: [],
      finalizedFeaturesEpoch: -1,
      finalizedFeatures: [],
      zkMigrationReady: false,
    }),
    ALWAYS,
  )
}

const OFFSET = { topic: TOPIC, partition: 0, offset: 7 }

describe('the group admin', () => {
  it('asks the coordinator, and looks it up only once', async () => {
    await using cluster = await FakeCluster.start(3)
    coordinate(cluster, () => 2)
    cluster.script(
      OffsetFetchApi,
      ({ broker }) => {
        expect(broker).toBe(2)
        return fetchAnswer([
          [2, 20],
          [1, -1],
          [0, 5],
        ])
      },
      2,
    )
    const { groups } = cluster.client().admin
    const offsets = await groups.offsets(GROUP)
    expect(offsets.map(({ partition, offset }) => [partition, offset])).toEqual([
      [0, 5],
      [2, 20],
    ])
    await groups.offsets(GROUP)
    expect(cluster.count(FindCoordinatorApi)).toBe(1)
  })

  it.each([ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR])(
    'looks the coordinator up again after error %i',
    async (code) => {
      await using cluster = await FakeCluster.start(2)
      let coordinator = 1
      coordinate(cluster, () => coordinator)
      cluster.script(OffsetFetchApi, () => {
        coordinator = 2
        return fetchAnswer([], code)
      })
      cluster.script(OffsetFetchApi, ({ broker }) => fetchAnswer([[0, broker]]))
      expect(await cluster.client().admin.groups.offsets(GROUP)).toMatchObject([{ offset: 2 }])
      expect(cluster.count(FindCoordinatorApi)).toBe(2)
    },
  )

  it('looks the coordinator up again when its connection breaks', async () => {
    await using cluster = await FakeCluster.start(2)
    let coordinator = 1
    coordinate(cluster, () => coordinator)
    cluster.script(OffsetFetchApi, () => {
      coordinator = 2
      return 'close'
    })
    cluster.script(OffsetFetchApi, () => fetchAnswer([[0, 3]]))
    expect(await cluster.client().admin.groups.offsets(GROUP)).toMatchObject([{ offset: 3 }])
  })

  it('speaks with brokers that know one group a request only', async () => {
    await using cluster = await FakeCluster.start()
    older(cluster, { [FindCoordinatorApi.key]: 3, [OffsetFetchApi.key]: 7 })
    coordinate(cluster, () => 1)
    cluster.script(OffsetFetchApi, ({ request }) => {
      expect(request).toMatchObject({ groupId: GROUP, topics: null })
      const { topics } = (fetchAnswer([[0, 5]]) as { groups: { topics: unknown }[] }).groups[0] as never
      return { throttleTimeMs: 0, topics, errorCode: 0, groups: [] }
    })
    expect(await cluster.client().admin.groups.offsets(GROUP)).toEqual([
      { topic: TOPIC, partition: 0, offset: 5, leaderEpoch: -1, metadata: '' },
    ])
  })

  it('lists the groups of all brokers, each once, and knows their coordinators from then on', async () => {
    await using cluster = await FakeCluster.start(3)
    const group = (groupId: string) => ({
      groupId,
      protocolType: 'consumer',
      groupState: 'Empty',
      groupType: 'classic',
    })
    const of = (broker: number) => ({ throttleTimeMs: 0, errorCode: 0, groups: [group(`g${broker}`), group('moving')] })
    cluster.script(ListGroupsApi, () => ({
      throttleTimeMs: 0,
      errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
      groups: [],
    }))
    cluster.script(ListGroupsApi, ({ broker }) => of(broker), ALWAYS)
    cluster.script(DeleteGroupsApi, ({ broker }) => {
      expect(broker).toBe(3)
      return { throttleTimeMs: 0, results: [{ groupId: 'g3', errorCode: 0 }] }
    })
    const { groups } = cluster.client().admin
    expect((await groups.list()).map(({ groupId }) => groupId)).toEqual(['g1', 'g2', 'g3', 'moving'])
    await groups.delete('g3')
    expect(cluster.count(FindCoordinatorApi)).toBe(0)
  })

  it('describes groups of both protocols, one that does not exist as dead, and passes over bytes that are no assignment', async () => {
    await using cluster = await FakeCluster.start(2)
    coordinate(cluster, (groupId) => (groupId === 'gone' ? 2 : 1))
    const assignment = (topicPartitions: readonly (readonly [string, number[]])[]) => ({
      topicPartitions: topicPartitions.map(([topicName, partitions]) => ({
        topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
        topicName,
        partitions,
      })),
    })
    cluster.script(
      ConsumerGroupDescribeApi,
      ({ request }) => ({
        throttleTimeMs: 0,
        groups: request.groupIds.map((groupId) => ({
          errorCode: groupId === 'newer' ? 0 : ErrorCode.GROUP_ID_NOT_FOUND,
          errorMessage: null,
          groupId,
          groupState: groupId === 'newer' ? 'Stable' : 'Dead',
          groupEpoch: 4,
          assignmentEpoch: 3,
          assignorName: 'uniform',
          members:
            groupId === 'newer'
              ? [
                  {
                    memberId: 'm',
                    instanceId: 'i',
                    rackId: 'r',
                    memberEpoch: 2,
                    clientId: 'c',
                    clientHost: '/h',
                    subscribedTopicNames: ['b', 'a'],
                    subscribedTopicRegex: null,
                    assignment: assignment([
                      ['b', [1, 0]],
                      ['a', [2]],
                    ]),
                    targetAssignment: assignment([['a', [2]]]),
                    memberType: 1,
                  },
                ]
              : [],
          authorizedOperations: 0,
        })),
      }),
      ALWAYS,
    )
    const member = (memberId: string, memberAssignment: Buffer) => ({
      memberId,
      groupInstanceId: null,
      clientId: 'c',
      clientHost: '/h',
      memberMetadata: Buffer.alloc(0),
      memberAssignment,
    })
    // Version 0: one topic, "t", with partitions 1 and 0; and the same cut short.
    const bytes = Buffer.from('0000000000010001740000000200000001000000000000', 'hex')
    cluster.script(
      DescribeGroupsApi,
      ({ request }) => ({
        throttleTimeMs: 0,
        groups: request.groups.map((groupId) => ({
          errorCode: groupId === 'gone' ? ErrorCode.GROUP_ID_NOT_FOUND : 0,
          errorMessage: null,
          groupId,
          groupState: groupId === 'gone' ? 'Dead' : 'Stable',
          protocolType: 'consumer',
          protocolData: 'range',
          members:
            groupId === 'gone'
              ? []
              : [member('a', bytes), member('b', bytes.subarray(0, 12)), member('c', Buffer.alloc(0))],
          authorizedOperations: 0,
        })),
      }),
      ALWAYS,
    )
    const [newer, gone, classic] = await cluster.client().admin.groups.describe(['newer', 'gone', 'classic'])
    expect(newer).toMatchObject({
      groupId: 'newer',
      type: 'consumer',
      epoch: 4,
      assignmentEpoch: 3,
      coordinator: { id: 1 },
    })
    expect(newer?.members[0]).toMatchObject({
      newer: true,
      assignment: [
        { topic: 'a', partition: 2 },
        { topic: 'b', partition: 0 },
        { topic: 'b', partition: 1 },
      ],
      target: [{ topic: 'a', partition: 2 }],
    })
    expect(gone).toMatchObject({ groupId: 'gone', state: 'Dead', members: [], coordinator: { id: 2 } })
    expect(classic).toMatchObject({ type: 'classic', assignor: 'range', epoch: null })
    expect(classic?.members.map(({ assignment: held }) => held)).toEqual([
      [
        { topic: 't', partition: 0 },
        { topic: 't', partition: 1 },
      ],
      [],
      [],
    ])
    expect(cluster.count(ConsumerGroupDescribeApi)).toBe(2)
  })

  it('describes classic groups of brokers that do not know the newer protocol', async () => {
    await using cluster = await FakeCluster.start()
    older(cluster, { [ConsumerGroupDescribeApi.key]: -1, [DescribeGroupsApi.key]: 5 })
    coordinate(cluster, () => 1)
    const dead = { errorMessage: null, groupState: 'Dead', protocolType: '', protocolData: '', members: [] }
    cluster.script(DescribeGroupsApi, ({ request }) => ({
      throttleTimeMs: 0,
      groups: request.groups.map((groupId) => ({ errorCode: 0, groupId, ...dead, authorizedOperations: 0 })),
    }))
    expect(await cluster.client().admin.groups.describe([GROUP])).toMatchObject([{ state: 'Dead' }])
  })

  it('commits offsets as nobody’s member, and tells which partition was refused and what to do', async () => {
    await using cluster = await FakeCluster.start()
    coordinate(cluster, () => 1)
    cluster.script(OffsetCommitApi, ({ request }) => {
      expect(request).toMatchObject({ groupId: GROUP, memberId: '', generationIdOrMemberEpoch: -1 })
      expect(request.topics[0]?.partitions[0]).toMatchObject({ committedOffset: 7, committedMetadata: 'why' })
      return commitAnswer(0)
    })
    const { groups } = cluster.client().admin
    await groups.alterOffsets(GROUP, [{ ...OFFSET, metadata: 'why' }])
    cluster.script(OffsetCommitApi, () => commitAnswer(ErrorCode.UNKNOWN_MEMBER_ID))
    const active = await failureOf(groups.alterOffsets(GROUP, [OFFSET]))
    expect(active.message).toContain('topic orders partition 0')
    expect(active.fix).toContain('while it has no members')
    cluster.script(OffsetCommitApi, () => commitAnswer(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
    expect(await failureOf(groups.alterOffsets(GROUP, [OFFSET]))).toMatchObject({
      codeName: 'UNKNOWN_TOPIC_OR_PARTITION',
    })
    cluster.script(OffsetCommitApi, () => commitAnswer(0))
    const left = await failureOf(groups.alterOffsets(GROUP, [{ ...OFFSET, partition: 1 }]))
    expect(left.message).toContain('left it out')
    expect(cluster.count(OffsetCommitApi)).toBe(4)
    await expect(groups.alterOffsets(GROUP, [{ ...OFFSET, offset: -1 }])).rejects.toThrow('-1 is no offset')
  })

  it('deletes offsets, and says that somebody reads the topic', async () => {
    await using cluster = await FakeCluster.start()
    coordinate(cluster, () => 1)
    const answer = (errorCode: number, partitionError: number) => ({
      errorCode,
      throttleTimeMs: 0,
      topics: errorCode === 0 ? [{ name: TOPIC, partitions: [{ partitionIndex: 0, errorCode: partitionError }] }] : [],
    })
    const { groups } = cluster.client().admin
    cluster.script(OffsetDeleteApi, () => answer(0, 0))
    await groups.deleteOffsets(GROUP, [OFFSET])
    cluster.script(OffsetDeleteApi, () => answer(0, ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC))
    expect((await failureOf(groups.deleteOffsets(GROUP, [OFFSET]))).fix).toContain('Stop the consumers')
    cluster.script(OffsetDeleteApi, () => answer(ErrorCode.GROUP_ID_NOT_FOUND, 0))
    expect((await failureOf(groups.deleteOffsets(GROUP, [OFFSET]))).fix).toContain('millrace group list')
  })

  it('counts a group as deleted that is gone after an answer was lost, and only then', async () => {
    await using cluster = await FakeCluster.start()
    coordinate(cluster, () => 1)
    const gone = () => ({ throttleTimeMs: 0, results: [{ groupId: GROUP, errorCode: ErrorCode.GROUP_ID_NOT_FOUND }] })
    const { groups } = cluster.client().admin
    cluster.script(DeleteGroupsApi, () => 'close')
    cluster.script(DeleteGroupsApi, gone)
    await groups.delete(GROUP)
    cluster.script(DeleteGroupsApi, gone)
    expect(await failureOf(groups.delete(GROUP))).toMatchObject({ codeName: 'GROUP_ID_NOT_FOUND' })
    expect(cluster.count(DeleteGroupsApi)).toBe(3)
  })
})

describe('offsets of many partitions', () => {
  it('are null where a topic, a partition or a leader is missing, without a wait', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC, 2).partitions[1] = { leader: -1, epoch: 0, start: 0, batches: [] }
    const places = [
      { topic: TOPIC, partition: 0 },
      { topic: TOPIC, partition: 1 },
      { topic: TOPIC, partition: 9 },
      { topic: 'nowhere', partition: 0 },
    ]
    const { admin } = cluster.client({ retryTimeoutMs: 60_000 })
    expect(await admin.partitionOffsets(places, 'latest')).toEqual([0, null, null, null])
    expect(await admin.partitionOffsets(places, { timestamp: 5 })).toEqual([null, null, null, null])
    expect(await admin.partitionOffsets([], 'earliest')).toEqual([])
    expect(cluster.count(MetadataApi)).toBe(2)
  })
})
