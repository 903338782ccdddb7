import { ErrorCode, ZERO_UUID } from '@millrace/base'
import {
  AlterConfigsApi,
  CreatePartitionsApi,
  CreateTopicsApi,
  DeleteRecordsApi,
  DeleteTopicsApi,
  DescribeClusterApi,
  DescribeLogDirsApi,
  DescribeQuorumApi,
  DescribeTopicPartitionsApi,
  ElectLeadersApi,
  IncrementalAlterConfigsApi,
  ListPartitionReassignmentsApi,
  ProduceApi,
  UnregisterBrokerApi,
  UpdateFeaturesApi,
} from '@millrace/protocol'
import type { Api, DescribeTopicPartitionsResponse } from '@millrace/protocol'
import { encodeToBytes } from '@millrace/schema'
import { describe, expect, test } from 'vitest'
import { batch, harness, produceRequest } from './harness.ts'
import type { Harness } from './harness.ts'

const RESOURCE = { resourceType: 2, resourceName: 't' }

/** One request and one answer of every API that the controller decides. */
const FORWARDED: readonly { api: Api<never, never>; request: unknown; answer: unknown; failed: unknown }[] = [
  {
    api: CreateTopicsApi as never,
    request: {
      topics: [{ name: 't', numPartitions: 3, replicationFactor: 1, assignments: [], configs: [] }],
      timeoutMs: 5000,
      validateOnly: false,
    },
    answer: {
      throttleTimeMs: 0,
      topics: [
        {
          name: 't',
          topicId: ZERO_UUID,
          errorCode: 36,
          errorMessage: 'there',
          topicConfigErrorCode: 0,
          numPartitions: -1,
          replicationFactor: -1,
          configs: [],
        },
      ],
    },
    failed: { topics: [{ name: 't', errorCode: 41 }] },
  },
  {
    api: DeleteTopicsApi as never,
    request: { topics: [], topicNames: [], timeoutMs: 5000 },
    answer: { throttleTimeMs: 0, responses: [] },
    failed: { responses: [] },
  },
  {
    api: CreatePartitionsApi as never,
    request: { topics: [{ name: 't', count: 5, assignments: null }], timeoutMs: 5000, validateOnly: true },
    answer: { throttleTimeMs: 0, results: [{ name: 't', errorCode: 37, errorMessage: 'no' }] },
    failed: { results: [{ name: 't', errorCode: 41 }] },
  },
  {
    api: AlterConfigsApi as never,
    request: { resources: [{ ...RESOURCE, configs: [{ name: 'a', value: null }] }], validateOnly: false },
    answer: { throttleTimeMs: 0, responses: [{ ...RESOURCE, errorCode: 40, errorMessage: 'bad' }] },
    failed: { responses: [{ ...RESOURCE, errorCode: 41 }] },
  },
  {
    api: IncrementalAlterConfigsApi as never,
    request: { resources: [{ ...RESOURCE, configs: [] }], validateOnly: false },
    answer: { throttleTimeMs: 0, responses: [{ ...RESOURCE, errorCode: 0, errorMessage: null }] },
    failed: { responses: [{ ...RESOURCE, errorCode: 41 }] },
  },
  {
    api: ElectLeadersApi as never,
    request: { electionType: 0, topicPartitions: [{ topic: 't', partitions: [0] }], timeoutMs: 5000 },
    answer: { throttleTimeMs: 0, errorCode: 0, replicaElectionResults: [] },
    failed: { replicaElectionResults: [{ topic: 't', partitionResult: [{ partitionId: 0, errorCode: 41 }] }] },
  },
  {
    api: ListPartitionReassignmentsApi as never,
    request: { timeoutMs: 5000, topics: null },
    answer: { throttleTimeMs: 0, errorCode: 0, errorMessage: null, topics: [] },
    failed: { errorCode: 41 },
  },
  {
    api: DescribeQuorumApi as never,
    request: { topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }] },
    answer: { errorCode: 0, errorMessage: null, topics: [], nodes: [] },
    failed: { errorCode: 41 },
  },
  {
    api: UpdateFeaturesApi as never,
    request: {
      timeoutMs: 5000,
      featureUpdates: [{ feature: 'a', maxVersionLevel: 1, allowDowngrade: false, upgradeType: 1 }],
      validateOnly: false,
    },
    answer: { throttleTimeMs: 0, errorCode: 95, errorMessage: 'no', results: [] },
    failed: { errorCode: 41, results: [] },
  },
  {
    api: UnregisterBrokerApi as never,
    request: { brokerId: 7 },
    answer: { throttleTimeMs: 0, errorCode: 102, errorMessage: 'no' },
    failed: { errorCode: 41 },
  },
]

const VERSIONS = FORWARDED.flatMap(({ api, ...rest }) => {
  const [min, max] = api.versions
  return Array.from({ length: max - min + 1 }, (_, at) => ({ name: api.name, version: min + at, api, ...rest }))
})

describe('what the controller decides', () => {
  test.each(VERSIONS)(
    '$name $version goes there and comes back as the same bytes',
    ({ api, version, request, answer }) => {
      const { broker, connect } = harness()
      const body = encodeToBytes(api.response, version, answer as never)
      broker.controller.answer = () => ({ error: ErrorCode.NONE, body })
      const client = connect()
      const received: unknown = client.ask(api, version, request as never)
      expect(encodeToBytes(api.response, version, received as never)).toEqual(body)
      const [sent] = broker.controller.requests
      expect(sent).toMatchObject({ apiKey: api.key, apiVersion: version, clientId: 'test' })
      expect(Buffer.from(sent?.body ?? []).equals(encodeToBytes(api.request, version, request as never))).toBe(true)
    },
  )

  test.each(VERSIONS)(
    '$name $version without a controller is NOT_CONTROLLER, with words',
    ({ api, version, request, failed }) => {
      const { connect } = harness()
      const received: unknown = connect().ask(api, version, request as never)
      expect(received).toMatchObject(failed as object)
    },
  )

  test('goes there without what follows the request in its frame', () => {
    const { broker, connect } = harness()
    const client = connect()
    const request = { topics: [], topicNames: [], timeoutMs: 5000 }
    const frame = Buffer.from(client.frame(DeleteTopicsApi, 6, request))
    frame.writeInt32BE(frame.length - 4 + 2)
    client.end.send(Buffer.concat([frame, Buffer.from([1, 0])]))
    const [sent] = broker.controller.requests
    expect(Buffer.from(sent?.body ?? []).equals(encodeToBytes(DeleteTopicsApi.request, 6, request))).toBe(true)
  })

  test('names deleted by name and by id in the answer when no controller decides', () => {
    const { connect } = harness()
    const client = connect()
    const older = client.ask(DeleteTopicsApi, 5, { topics: [], topicNames: ['a', 'b'], timeoutMs: 1 })
    expect(older.responses.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['a', 41],
      ['b', 41],
    ])
    const id = 'tAAAAAAAAAAAAAAAAAAAAA'
    const topics = [{ name: null, topicId: id }]
    const newer = client.ask(DeleteTopicsApi, 6, { topics, topicNames: [], timeoutMs: -1 })
    expect(newer.responses).toMatchObject([{ name: null, topicId: id, errorCode: 41 }])
  })
})

describe('DescribeCluster', () => {
  const ask = (of: Harness, version: number, change: object = {}) =>
    of.connect().ask(DescribeClusterApi, version, {
      includeClusterAuthorizedOperations: false,
      endpointType: 1,
      includeFencedBrokers: false,
      ...change,
    })

  test('lists live brokers, and fenced ones when asked', () => {
    const of = harness()
    of.broker.image.addBroker(2, { fenced: true })
    expect(ask(of, 0).brokers.map(({ brokerId }) => brokerId)).toEqual([1])
    const all = ask(of, 2, { includeFencedBrokers: true, includeClusterAuthorizedOperations: true })
    expect(all.brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced])).toEqual([
      [1, false],
      [2, true],
    ])
    expect(all).toMatchObject({ controllerId: 1, clusterAuthorizedOperations: 8096, errorCode: 0 })
  })

  test('of controllers is at the wrong door', () => {
    expect(ask(harness(), 1, { endpointType: 2 })).toMatchObject({
      errorCode: ErrorCode.MISMATCHED_ENDPOINT_TYPE,
      errorMessage: expect.stringContaining('use bootstrap servers'),
    })
    expect(ask(harness(), 1, { endpointType: 9 }).errorCode).toBe(ErrorCode.UNSUPPORTED_ENDPOINT_TYPE)
  })

  test('has a cluster id that is not null even before there is one', () => {
    const of = harness()
    of.broker.image.clusterId = null
    expect(ask(of, 1).clusterId).toBe('')
  })
})

describe('DescribeTopicPartitions', () => {
  const ask = (
    of: Harness,
    names: readonly string[],
    limit = 2000,
    cursor: { topicName: string; partitionIndex: number } | null = null,
  ): DescribeTopicPartitionsResponse =>
    of.connect().ask(DescribeTopicPartitionsApi, 0, {
      topics: names.map((name) => ({ name })),
      responsePartitionLimit: limit,
      cursor,
    })

  test('pages through all topics by name, each partition once', () => {
    const of = harness()
    of.broker.topic('b', 3)
    of.broker.topic('a', 4)
    of.broker.topic('c', 1)
    for (const limit of [1, 2, 3, 5, 2000]) {
      const seen: string[] = []
      let cursor: DescribeTopicPartitionsResponse['nextCursor'] = null
      do {
        const page = ask(of, [], limit, cursor)
        const count = page.topics.reduce((sum, { partitions }) => sum + partitions.length, 0)
        expect(count).toBeLessThanOrEqual(limit)
        for (const { name, partitions } of page.topics)
          for (const { partitionIndex } of partitions) seen.push(`${name}-${partitionIndex}`)
        cursor = page.nextCursor
      } while (cursor !== null)
      expect(seen).toEqual(['a-0', 'a-1', 'a-2', 'a-3', 'b-0', 'b-1', 'b-2', 'c-0'])
    }
  })

  test('answers every topic that was named, the unknown ones with an error', () => {
    const of = harness()
    of.broker.image.addTopic('t', [{ elr: [2], lastKnownElr: [3], leader: -1 }])
    const { topics, nextCursor } = ask(of, ['t', 'nowhere', '..'])
    expect(topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['..', ErrorCode.INVALID_TOPIC_EXCEPTION],
      ['nowhere', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ['t', 0],
    ])
    expect(topics[2]?.partitions[0]).toMatchObject({
      errorCode: 5,
      leaderId: -1,
      eligibleLeaderReplicas: [2],
      lastKnownElr: [3],
    })
    expect(nextCursor).toBeNull()
  })
})

describe('DescribeLogDirs', () => {
  test('tells what lies where, and which directory is broken', () => {
    const { broker, connect } = harness()
    broker.topic('t', 2)
    const client = connect()
    client.ask(ProduceApi, 9, produceRequest('t', batch(['a'])))
    const size = batch(['a']).length
    const all = client.ask(DescribeLogDirsApi, 4, { topics: null })
    expect(all.results[0]).toMatchObject({
      errorCode: 0,
      logDir: '/data/a',
      usableBytes: 1000,
      topics: [
        {
          name: 't',
          partitions: [
            { partitionIndex: 0, partitionSize: size, offsetLag: 0, isFutureKey: false },
            { partitionIndex: 1, partitionSize: 0 },
          ],
        },
      ],
    })
    expect(all.results[1]).toMatchObject({ errorCode: ErrorCode.KAFKA_STORAGE_ERROR, topics: [] })
    const some = client.ask(DescribeLogDirsApi, 1, { topics: [{ topic: 't', partitions: [1] }] })
    expect(some.results[0]?.topics[0]?.partitions.map(({ partitionIndex }) => partitionIndex)).toEqual([1])
    expect(client.ask(DescribeLogDirsApi, 2, { topics: [] }).results[0]?.topics).toEqual([])
  })
})

describe('DeleteRecords', () => {
  const ask = (of: Harness, name: string, offset: number, timeoutMs = 1000) =>
    of
      .connect()
      .ask(DeleteRecordsApi, 2, { topics: [{ name, partitions: [{ partitionIndex: 0, offset }] }], timeoutMs }, 3000)
      .topics[0]?.partitions[0]

  test('moves the log start, -1 meaning the watermark', () => {
    const of = harness()
    const [replica] = of.broker.topic('t')
    const client = of.connect()
    for (let i = 0; i < 5; i++) client.ask(ProduceApi, 9, produceRequest('t', batch(['a'])))
    expect(ask(of, 't', 2)).toEqual({ partitionIndex: 0, lowWatermark: 2, errorCode: 0 })
    expect(ask(of, 't', -1)).toEqual({ partitionIndex: 0, lowWatermark: 5, errorCode: 0 })
    expect(ask(of, 't', 6)).toEqual({ partitionIndex: 0, lowWatermark: -1, errorCode: 1 })
    expect(ask(of, 't', -2)?.errorCode).toBe(ErrorCode.OFFSET_OUT_OF_RANGE)
    expect(replica?.logStart).toBe(5)
  })

  test('times out when a replica does not follow', () => {
    const of = harness()
    const [replica] = of.broker.topic('t')
    if (replica !== undefined) replica.alone = false
    expect(ask(of, 't', -1, 100)?.errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
  })

  test('is refused for the offsets topic, for topics that are compacted only, and for what is not there', () => {
    const of = harness()
    of.broker.topic('__consumer_offsets')
    of.broker.topic('compacted')
    of.broker.image.set({ kind: 'topic', name: 'compacted' }, 'cleanup.policy', 'compact')
    of.broker.topic('both')
    of.broker.image.set({ kind: 'topic', name: 'both' }, 'cleanup.policy', 'compact,delete')
    expect(ask(of, '__consumer_offsets', 0)?.errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    expect(ask(of, 'compacted', 0)?.errorCode).toBe(ErrorCode.POLICY_VIOLATION)
    expect(ask(of, 'both', 0)?.errorCode).toBe(ErrorCode.NONE)
    expect(ask(of, 'nowhere', 0)?.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(ask(of, '..', 0)?.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })
})
