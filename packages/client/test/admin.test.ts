import { ErrorCode, ZERO_UUID } from '@millrace/base'
import {
  CreatePartitionsApi,
  CreateTopicsApi,
  DeleteRecordsApi,
  DeleteTopicsApi,
  DescribeClusterApi,
  DescribeConfigsApi,
  IncrementalAlterConfigsApi,
  ListOffsetsApi,
  MetadataApi,
} from '@millrace/protocol'
import { encodeBatch } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import { createClient, KafkaError } from '../src/index.ts'
import { FakeCluster } from './fake-cluster.ts'

const TOPIC = 'orders'

function created(errorCode: number, errorMessage: string | null = null): never {
  return {
    throttleTimeMs: 0,
    topics: [
      {
        name: TOPIC,
        topicId: ZERO_UUID,
        errorCode,
        errorMessage,
        topicConfigErrorCode: 0,
        numPartitions: 1,
        replicationFactor: 1,
        configs: [],
      },
    ],
  } as never
}

function failureOf(promise: Promise<unknown>): Promise<KafkaError> {
  return promise.then(
    () => new Error('it did not fail') as KafkaError,
    (error: KafkaError) => error,
  )
}

describe('the admin', () => {
  it('creates a topic and waits until every broker tells of it', async () => {
    await using cluster = await FakeCluster.start(3)
    cluster.script(CreateTopicsApi, ({ request }) => {
      expect(request.topics[0]).toMatchObject({ name: TOPIC, numPartitions: 2, replicationFactor: -1 })
      expect(request.validateOnly).toBe(false)
      setTimeout(() => cluster.topic(TOPIC, 2), 120)
      return created(0)
    })
    const { admin } = cluster.client()
    await admin.createTopic({ name: TOPIC, partitions: 2 })
    expect((await admin.describeTopic(TOPIC)).partitions).toHaveLength(2)
  })

  it('only validates where it is told so', async () => {
    await using cluster = await FakeCluster.start()
    cluster.script(CreateTopicsApi, ({ request }) => {
      expect(request.validateOnly).toBe(true)
      return created(0)
    })
    await cluster.client().admin.createTopic({ name: TOPIC }, { validateOnly: true })
    expect(cluster.topics.size).toBe(0)
  })

  it('tells why a topic is refused, and what to do', async () => {
    await using cluster = await FakeCluster.start()
    cluster.script(CreateTopicsApi, () => created(ErrorCode.INVALID_REPLICATION_FACTOR, 'there is 1 broker'))
    const error = await failureOf(cluster.client().admin.createTopic({ name: TOPIC, replicationFactor: 3 }))
    expect(error).toBeInstanceOf(KafkaError)
    expect(error.codeName).toBe('INVALID_REPLICATION_FACTOR')
    expect(error.message).toBe('topic orders: there is 1 broker')
    expect(error.fix).toContain('no more replicas than there are brokers')
    expect(cluster.count(CreateTopicsApi)).toBe(1)
  })

  it('counts a creation as done when its answer was lost and the next try finds the topic', async () => {
    await using cluster = await FakeCluster.start()
    cluster.script(CreateTopicsApi, () => {
      cluster.topic(TOPIC)
      return 'close'
    })
    cluster.script(CreateTopicsApi, () => created(ErrorCode.TOPIC_ALREADY_EXISTS))
    await cluster.client().admin.createTopic({ name: TOPIC })
    cluster.script(CreateTopicsApi, () => created(ErrorCode.TOPIC_ALREADY_EXISTS))
    const error = await failureOf(cluster.client().admin.createTopic({ name: TOPIC }))
    expect(error.codeName).toBe('TOPIC_ALREADY_EXISTS')
  })

  it('looks for the controller again when the one it knew is gone or is none any more', async () => {
    await using cluster = await FakeCluster.start(2)
    const { admin } = cluster.client()
    await admin.listTopics()
    cluster.script(CreateTopicsApi, () => {
      cluster.controller = 2
      return created(ErrorCode.NOT_CONTROLLER)
    })
    cluster.script(CreateTopicsApi, ({ broker }) => {
      expect(broker).toBe(2)
      cluster.hidden.add(2)
      cluster.controller = 1
      return 'close'
    })
    cluster.script(CreateTopicsApi, ({ broker }) => {
      expect(broker).toBe(1)
      cluster.topic(TOPIC)
      return created(0)
    })
    await admin.createTopic({ name: TOPIC })
    expect(cluster.count(CreateTopicsApi)).toBe(3)
  })

  it('deletes a topic, and says so when there is none', async () => {
    await using cluster = await FakeCluster.start()
    const answer = (errorCode: number) => ({
      throttleTimeMs: 0,
      responses: [{ name: TOPIC, topicId: ZERO_UUID, errorCode, errorMessage: null }],
    })
    cluster.script(DeleteTopicsApi, () => answer(0))
    cluster.script(DeleteTopicsApi, () => answer(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
    const { admin } = cluster.client()
    await admin.deleteTopic(TOPIC)
    const started = performance.now()
    expect((await failureOf(admin.deleteTopic(TOPIC))).message).toBe('topic orders: there is no such topic')
    expect(performance.now() - started).toBeLessThan(500)
    cluster.script(DeleteTopicsApi, () => 'close')
    cluster.script(DeleteTopicsApi, () => answer(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
    await admin.deleteTopic(TOPIC)
  })

  it('raises the number of partitions, also when the answer was lost', async () => {
    await using cluster = await FakeCluster.start()
    const topic = cluster.topic(TOPIC)
    const answer = (errorCode: number) => ({
      throttleTimeMs: 0,
      results: [{ name: TOPIC, errorCode, errorMessage: null }],
    })
    cluster.script(CreatePartitionsApi, () => {
      topic.partitions.push({ leader: 1, epoch: 0, start: 0, batches: [] })
      return 'close'
    })
    cluster.script(CreatePartitionsApi, () => answer(ErrorCode.INVALID_PARTITIONS), 2)
    const { admin } = cluster.client()
    await admin.createPartitions(TOPIC, 2)
    expect((await failureOf(admin.createPartitions(TOPIC, 2))).codeName).toBe('INVALID_PARTITIONS')
  })

  it('reads and changes settings', async () => {
    await using cluster = await FakeCluster.start()
    cluster.script(DescribeConfigsApi, () => 'close')
    cluster.script(DescribeConfigsApi, () => ({
      throttleTimeMs: 0,
      results: [
        {
          errorCode: 0,
          errorMessage: null,
          resourceType: 2,
          resourceName: TOPIC,
          configs: [
            {
              name: 'retention.ms',
              value: '1000',
              readOnly: false,
              configSource: 1,
              isSensitive: false,
              synonyms: [],
              configType: 5,
              documentation: 'How long.',
            },
          ],
        },
      ],
    }))
    const { admin } = cluster.client()
    expect(await admin.topicConfigs(TOPIC)).toEqual([
      { name: 'retention.ms', value: '1000', source: 'topic', readOnly: false, documentation: 'How long.' },
    ])
    cluster.script(IncrementalAlterConfigsApi, ({ request }) => {
      expect(request.resources[0]?.configs).toEqual([
        { name: 'retention.ms', configOperation: 0, value: '5' },
        { name: 'cleanup.policy', configOperation: 1, value: null },
      ])
      return {
        throttleTimeMs: 0,
        responses: [{ errorCode: ErrorCode.INVALID_CONFIG, errorMessage: 'no', resourceType: 2, resourceName: TOPIC }],
      }
    })
    const error = await failureOf(admin.alterTopicConfigs(TOPIC, { 'retention.ms': '5', 'cleanup.policy': null }))
    expect(error.codeName).toBe('INVALID_CONFIG')
  })

  it('finds offsets by time in every partition, and tells where there is none', async () => {
    await using cluster = await FakeCluster.start(2)
    cluster.topic(TOPIC, 3)
    const batch = (timestamp: number): Uint8Array => encodeBatch([{ timestamp, key: null, value: null }])
    for (const time of [1_000, 2_000, 3_000]) cluster.append(TOPIC, 0, batch(time))
    cluster.append(TOPIC, 2, batch(500))
    const { admin } = cluster.client()
    expect((await admin.offsetsAt(TOPIC, 1_500)).map((found) => found?.offset ?? null)).toEqual([1, null, null])
    expect(await admin.offsets(TOPIC, 0)).toEqual({ earliest: 0, latest: 3 })
    expect((await failureOf(admin.offsets(TOPIC, 7))).message).toContain('partitions 0 to 2')
    expect((await failureOf(admin.offsetsAt('nowhere', 5))).message).toContain('no such topic')
    expect((await failureOf(admin.offsetsAt(TOPIC, Number.NaN))).message).toContain('not a time')
  })

  it('asks again for offsets that are not available yet, and only for those', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC, 2)
    const counts: number[] = []
    const answer = (index: number, errorCode: number) => ({
      partitionIndex: index,
      errorCode,
      timestamp: -1,
      offset: errorCode === 0 ? 40 + index : -1,
      leaderEpoch: 0,
    })
    cluster.script(
      ListOffsetsApi,
      ({ request }) => {
        const asked = request.topics[0]?.partitions ?? []
        counts.push(asked.length)
        const code = counts.length < 3 ? ErrorCode.OFFSET_NOT_AVAILABLE : 0
        const partitions = asked.map(({ partitionIndex }) => answer(partitionIndex, partitionIndex === 1 ? code : 0))
        return { throttleTimeMs: 0, topics: [{ name: TOPIC, partitions }] }
      },
      10,
    )
    expect((await cluster.client().admin.offsetsAt(TOPIC, 5)).map((found) => found?.offset)).toEqual([40, 41])
    expect(counts).toEqual([2, 1, 1])
  })

  it('deletes records up to an offset, at the leader', async () => {
    await using cluster = await FakeCluster.start(2)
    const topic = cluster.topic(TOPIC)
    const { admin } = cluster.client()
    await admin.describeTopic(TOPIC)
    const answer = (errorCode: number) => ({
      throttleTimeMs: 0,
      topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0, lowWatermark: 5, errorCode }] }],
    })
    cluster.script(DeleteRecordsApi, () => {
      Object.assign(topic.partitions[0] as object, { leader: 2, epoch: 1 })
      return answer(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    })
    cluster.script(DeleteRecordsApi, ({ broker }) => answer(broker === 2 ? 0 : -1))
    expect(await admin.deleteRecords(TOPIC, 0, 5)).toBe(5)
  })

  it('lists topics by name and describes the cluster', async () => {
    await using cluster = await FakeCluster.start(2)
    const { admin } = cluster.client()
    expect(await admin.listTopics()).toEqual([])
    for (const name of ['b', 'a', 'c']) cluster.topic(name)
    expect((await admin.listTopics()).map(({ name }) => name)).toEqual(['a', 'b', 'c'])
    expect((await failureOf(admin.describeTopic('nowhere'))).message).toContain('no such topic')
    cluster.script(DescribeClusterApi, () => ({
      throttleTimeMs: 0,
      errorCode: 0,
      errorMessage: null,
      endpointType: 1,
      clusterId: 'fake',
      controllerId: 1,
      brokers: [
        { brokerId: 2, host: 'b', port: 2, rack: null, isFenced: false },
        { brokerId: 1, host: 'a', port: 1, rack: 'r', isFenced: false },
      ],
      clusterAuthorizedOperations: 0,
    }))
    expect((await admin.describeCluster()).brokers.map(({ id }) => id)).toEqual([1, 2])
  })

  it('describes a topic that exists beside one in trouble', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(MetadataApi, ({ request }) => {
      const answer = cluster.metadata(request)
      return {
        ...answer,
        topics: answer.topics.map((topic) => ({ ...topic, errorCode: ErrorCode.LEADER_NOT_AVAILABLE })),
      }
    })
    expect((await cluster.client().admin.describeTopic(TOPIC)).name).toBe(TOPIC)
  })
})

describe('a client that looks for its cluster', () => {
  it('passes a dead bootstrap server by, and one that hangs', async () => {
    await using cluster = await FakeCluster.start(2)
    cluster.topic(TOPIC)
    cluster.script(MetadataApi, () => 'silence')
    const bootstrap = ['127.0.0.1:1', ...cluster.ports.map((port) => `127.0.0.1:${port}`)]
    const client = cluster.client({ bootstrap, requestTimeoutMs: 300 })
    expect((await client.admin.listTopics()).map(({ name }) => name)).toEqual([TOPIC])
  })

  it('asks those last that failed lately', async () => {
    await using cluster = await FakeCluster.start(2)
    const client = cluster.client({ requestTimeoutMs: 200 })
    cluster.script(MetadataApi, () => 'silence')
    await client.admin.listTopics()
    const started = performance.now()
    cluster.script(MetadataApi, ({ broker }) => (broker === 1 ? 'silence' : 'pass'))
    await client.admin.listTopics()
    expect(performance.now() - started).toBeLessThan(150)
  })

  it('finds the bootstrap servers again when every broker that it knew is gone', async () => {
    await using cluster = await FakeCluster.start(2)
    const client = cluster.client()
    await client.admin.listTopics()
    cluster.cut()
    expect(await client.admin.listTopics()).toEqual([])
  })

  it('names an IPv6 address as people write it', async () => {
    const client = createClient({ bootstrap: ['[::1]:1'], retryTimeoutMs: 0, connectTimeoutMs: 500 })
    const error = await failureOf(client.admin.listTopics())
    expect(error.message).toContain('[::1]:1')
    expect(error.fix).toContain('Check that the cluster')
    await client.close()
  })

  it('refuses an empty bootstrap list', () => {
    expect(() => createClient({ bootstrap: [] })).toThrow('no bootstrap address')
  })

  it('shares one connection among all who ask at once', async () => {
    await using cluster = await FakeCluster.start()
    const client = cluster.client()
    await Promise.all(Array.from({ length: 20 }, () => client.admin.listTopics()))
    expect(cluster.connections).toBe(1)
  })

  it('speaks to a broker that knows only an old ApiVersions', async () => {
    const { ApiVersionsApi } = await import('@millrace/protocol')
    await using cluster = await FakeCluster.start()
    cluster.script(ApiVersionsApi, () => {
      const old = Buffer.alloc(4 + 4 + 2 + 4 + 6)
      old.writeInt32BE(old.length - 4, 0)
      old.writeInt32BE(1, 4)
      old.writeInt16BE(ErrorCode.UNSUPPORTED_VERSION, 8)
      old.writeInt32BE(1, 10)
      old.writeInt16BE(18, 14)
      old.writeInt16BE(0, 16)
      old.writeInt16BE(2, 18)
      return old
    })
    expect(await cluster.client().admin.listTopics()).toEqual([])
    expect(cluster.count(ApiVersionsApi)).toBe(2)
  })
})
