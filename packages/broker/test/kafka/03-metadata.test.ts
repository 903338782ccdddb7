import { ErrorCode, ZERO_UUID } from '@millrace/base'
import { CreateTopicsApi, MetadataApi, OPERATIONS_NOT_ASKED } from '@millrace/protocol'
import type { MetadataRequest, MetadataResponse } from '@millrace/protocol'
import { decode } from '@millrace/schema'
import { describe, expect, test } from 'vitest'
import { harness } from './harness.ts'
import type { TestClient } from './harness.ts'

function ask(
  client: TestClient,
  version: number,
  names: readonly string[] | null,
  change: Partial<MetadataRequest> = {},
): MetadataResponse {
  return client.ask(MetadataApi, version, {
    topics: names === null ? null : names.map((name) => ({ name, topicId: ZERO_UUID })),
    allowAutoTopicCreation: version < 4,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
    ...change,
  })
}

function codes({ topics }: MetadataResponse): (string | number | null)[][] {
  return topics.map(({ name, errorCode }) => [name, errorCode])
}

describe('Metadata', () => {
  test('shows live brokers with their address on the listener that was asked', () => {
    const { broker, connect } = harness({ listener: 'OUTSIDE' })
    broker.image.addBroker(2)
    broker.image.addBroker(3, { fenced: true })
    broker.image.addBroker(4, { endpoints: [{ name: 'PLAINTEXT', host: 'h', port: 1, securityProtocol: 'PLAINTEXT' }] })
    const answer = ask(connect(), 9, [])
    expect(answer.brokers).toEqual([
      { nodeId: 1, host: 'outside-1', port: 19091, rack: null },
      { nodeId: 2, host: 'outside-2', port: 19092, rack: 'rack-2' },
    ])
    expect(answer.clusterId).toBe(broker.image.clusterId)
    expect(answer.controllerId).toBe(2)
  })

  test.each([
    ['the active one', 2, 2],
    ['this broker when the active one is no broker for clients', 9, 1],
    ['this broker when none is active', -1, 1],
  ])('names as controller %s', (_what, active, named) => {
    const { broker, connect } = harness()
    broker.image.addBroker(2)
    broker.controller.controllerId = active
    expect(ask(connect(), 1, []).controllerId).toBe(named)
  })

  test('means all topics by null, none by an empty list, and in version 0 all by an empty list', () => {
    const { broker, connect } = harness()
    broker.topic('a')
    broker.topic('b')
    const client = connect()
    expect(ask(client, 9, null).topics).toHaveLength(2)
    expect(ask(client, 9, []).topics).toHaveLength(0)
    expect(ask(client, 0, []).topics).toHaveLength(2)
  })

  test('lists every partition, and says which have no leader that these clients can reach', () => {
    const { broker, connect } = harness()
    broker.image.addBroker(2)
    broker.image.addBroker(3, { fenced: true })
    broker.image.addTopic('t', [
      { leader: 2, leaderEpoch: 7, replicas: [2, 1], isr: [2, 1] },
      { leader: -1, leaderEpoch: 8, replicas: [3], isr: [3] },
      { leader: 3, leaderEpoch: 9, replicas: [3, 1], isr: [3, 1] },
    ])
    const client = connect()
    const of = (version: number) => ask(client, version, ['t']).topics[0]?.partitions ?? []
    expect(of(12)).toEqual([
      partition(0, { leaderId: 2, leaderEpoch: 7, replicaNodes: [2, 1], isrNodes: [2, 1] }),
      partition(1, { errorCode: 5, leaderEpoch: 8, replicaNodes: [3], isrNodes: [3], offlineReplicas: [3] }),
      partition(2, { errorCode: 72, leaderEpoch: 9, replicaNodes: [3, 1], isrNodes: [3, 1], offlineReplicas: [3] }),
    ])
    expect(of(5).map(({ errorCode }) => errorCode)).toEqual([0, 5, 5])
    expect(of(5)[0]?.leaderEpoch).toBe(-1)
  })

  test('in version 0 lists only replicas that are there, with REPLICA_NOT_AVAILABLE when some are not', () => {
    const { broker, connect } = harness()
    broker.image.addBroker(2, { fenced: true })
    broker.image.addTopic('t', [{ leader: 1, replicas: [1, 2], isr: [1, 2] }])
    const [answer] = ask(connect(), 0, ['t']).topics[0]?.partitions ?? []
    expect(answer).toMatchObject({ errorCode: ErrorCode.REPLICA_NOT_AVAILABLE, replicaNodes: [1], isrNodes: [1] })
  })

  test('answers each name once: what is there, what is not, and what never can be', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    broker.topic('__consumer_offsets')
    const answer = ask(connect(), 9, ['t', 'nowhere', 't', '..', '__proto__', '__consumer_offsets'])
    expect(codes(answer)).toEqual([
      ['t', 0],
      ['nowhere', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ['..', ErrorCode.INVALID_TOPIC_EXCEPTION],
      ['__proto__', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ['__consumer_offsets', 0],
    ])
    expect(answer.topics.map(({ isInternal }) => isInternal)).toEqual([false, false, false, false, true])
  })

  test('finds topics by id from version 12 on, and refuses ids in 10 and 11', () => {
    const { broker, connect } = harness()
    const id = broker.topic('t')[0]?.topicId ?? ''
    const client = connect()
    const byId = [
      { name: null, topicId: id },
      { name: null, topicId: 'unknownAAAAAAAAAAAAAAA' },
    ]
    const answer = ask(client, 12, null, { topics: byId })
    expect(answer.topics.map(({ name, topicId, errorCode }) => [name, topicId, errorCode])).toEqual([
      ['t', id, 0],
      [null, 'unknownAAAAAAAAAAAAAAA', ErrorCode.UNKNOWN_TOPIC_ID],
    ])
    for (const topics of [byId, [{ name: 't', topicId: id }]]) {
      const refused = ask(client, 10, null, { topics })
      expect(refused).toMatchObject({ brokers: [], controllerId: -1, clusterId: null })
      expect(refused.topics.every(({ errorCode }) => errorCode === ErrorCode.INVALID_REQUEST)).toBe(true)
    }
    expect(ask(client, 10, ['t']).topics[0]?.topicId).toBe(id)
  })

  test('tells operations only when asked', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    const silent = ask(client, 9, ['t'])
    expect(silent.clusterAuthorizedOperations).toBe(OPERATIONS_NOT_ASKED)
    expect(silent.topics[0]?.topicAuthorizedOperations).toBe(OPERATIONS_NOT_ASKED)
    const told = ask(client, 9, ['t'], {
      includeClusterAuthorizedOperations: true,
      includeTopicAuthorizedOperations: true,
    })
    // What Apache Kafka without an authorizer answers.
    expect(told.clusterAuthorizedOperations).toBe(8096)
    expect(told.topics[0]?.topicAuthorizedOperations).toBe(3576)
  })

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])('is answered in version %i', (version) => {
    const { broker, connect } = harness()
    broker.topic('t', 3)
    const answer = ask(connect(), version, ['t'])
    expect(answer.topics[0]?.partitions).toHaveLength(3)
  })
})

describe('asking for a topic that is not there', () => {
  test('creates it once with the defaults and says LEADER_NOT_AVAILABLE until it is there', () => {
    const { world, broker, connect } = harness()
    const client = connect()
    const create = { allowAutoTopicCreation: true }
    for (let i = 0; i < 3; i++) client.send(MetadataApi, 9, request(['new', 'newer'], create))
    client.send(MetadataApi, 1, request(['newest'], create))
    const answers = client.receive().map(({ value }) => codes(value as MetadataResponse))
    expect(answers[0]).toEqual([
      ['new', ErrorCode.LEADER_NOT_AVAILABLE],
      ['newer', ErrorCode.LEADER_NOT_AVAILABLE],
    ])
    const [first, second] = broker.controller.requests
    expect(broker.controller.requests).toHaveLength(2)
    const sent = decode(CreateTopicsApi.request, first?.apiVersion ?? 0, first?.body ?? new Uint8Array())
    expect(sent.topics).toMatchObject([
      { name: 'new', numPartitions: -1, replicationFactor: -1 },
      { name: 'newer', numPartitions: -1, replicationFactor: -1 },
    ])
    expect(second?.apiKey).toBe(CreateTopicsApi.key)
    world.time.advance(100)
    // It failed: the next question tries again.
    ask(client, 9, ['new'], create)
    expect(broker.controller.requests).toHaveLength(3)
    broker.topic('new')
    expect(codes(ask(client, 9, ['new'], create))).toEqual([['new', 0]])
  })

  test.each([
    ['the client does not want it', { allowAutoTopicCreation: false }, {}, 'new', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    [
      'auto.create.topics.enable is false',
      { allowAutoTopicCreation: true },
      { 'auto.create.topics.enable': 'false' },
      'new',
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ],
    ['its name is illegal', { allowAutoTopicCreation: true }, {}, 'a b', ErrorCode.INVALID_TOPIC_EXCEPTION],
    [
      'it is internal',
      { allowAutoTopicCreation: true },
      {},
      '__consumer_offsets',
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ],
    [
      'there are too few brokers for the default replication factor',
      { allowAutoTopicCreation: true },
      { 'default.replication.factor': '3' },
      'new',
      ErrorCode.INVALID_REPLICATION_FACTOR,
    ],
  ])('does not create it when %s', (_why, change, properties, name, error) => {
    const { broker, connect } = harness({ properties })
    expect(codes(ask(connect(), 9, [name], change))).toEqual([[name, error]])
    expect(broker.controller.requests).toEqual([])
  })
})

function request(names: readonly string[], change: Partial<MetadataRequest>): MetadataRequest {
  return {
    topics: names.map((name) => ({ name, topicId: ZERO_UUID })),
    allowAutoTopicCreation: false,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
    ...change,
  }
}

function partition(
  partitionIndex: number,
  change: Partial<MetadataResponse['topics'][number]['partitions'][number]>,
): MetadataResponse['topics'][number]['partitions'][number] {
  return {
    errorCode: 0,
    partitionIndex,
    leaderId: -1,
    leaderEpoch: -1,
    replicaNodes: [],
    isrNodes: [],
    offlineReplicas: [],
    ...change,
  }
}
