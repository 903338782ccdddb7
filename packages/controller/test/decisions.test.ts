import { ErrorCode } from '@millrace/base'
import {
  AlterConfigsApi,
  AlterPartitionReassignmentsApi,
  CreatePartitionsApi,
  CreateTopicsApi,
  DeleteTopicsApi,
  DescribeQuorumApi,
  ElectLeadersApi,
  IncrementalAlterConfigsApi,
  ListPartitionReassignmentsApi,
  UnregisterBrokerApi,
  UpdateFeaturesApi,
} from '@millrace/protocol'
import type { CreateTopicsRequest } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { Cluster } from './cluster.ts'
import type { FakeBroker } from './cluster.ts'

const creation = (name: string, more: Partial<CreateTopicsRequest['topics'][number]> = {}): CreateTopicsRequest => ({
  topics: [{ name, numPartitions: 2, replicationFactor: 1, assignments: [], configs: [], ...more }],
  timeoutMs: 1000,
  validateOnly: false,
})

describe('a forwarded request', () => {
  test('is answered with the index of the entry that decided it, once that is committed', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    cluster.quorum.delayMs = null
    expect(broker.forward(CreateTopicsApi, 7, creation('t')).error).toBe(-2)
    expect(cluster.controller.image.topicByName('t')).toBeNull()
    cluster.quorum.commit()
    cluster.time.pass(5)
    expect(broker.last('forwardReply')).toMatchObject({ requestId: 5, error: 0, index: cluster.quorum.index })
    expect(broker.image.topicByName('t')?.partitions.length).toBe(2)
  })

  test('that decided nothing still waits for what it saw', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    cluster.quorum.delayMs = null
    broker.forward(CreateTopicsApi, 7, creation('t'))
    expect(broker.forward(CreateTopicsApi, 7, creation('t')).error).toBe(-2)
    cluster.quorum.commit()
    cluster.time.pass(5)
    const [first, second] = broker.all('forwardReply')
    expect(second?.index).toBe(first?.index)
  })

  test('that nobody handles or that does not decode is answered as undecided', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    const forward = (apiKey: number, apiVersion: number, body: Uint8Array): number | undefined => {
      broker.send({ kind: 'forward', requestId: 1, apiKey, apiVersion, clientId: '', principal: '', body })
      cluster.time.pass(5)
      return broker.last('forwardReply')?.error
    }
    expect(forward(0, 3, new Uint8Array(0))).toBe(ErrorCode.UNSUPPORTED_VERSION)
    expect(forward(19, 99, new Uint8Array(0))).toBe(ErrorCode.UNSUPPORTED_VERSION)
    expect(forward(9999, 0, new Uint8Array(0))).toBe(ErrorCode.UNSUPPORTED_VERSION)
    expect(forward(19, 7, new Uint8Array([1, 2, 3]))).toBe(ErrorCode.INVALID_REQUEST)
    expect(broker.closed).toBeNull()
  })

  test('creates a topic and tells its settings and where they come from', () => {
    const { brokers } = Cluster.led([1], { 'log.segment.bytes': '2097152' })
    const configs = [{ name: 'retention.ms', value: '5' }]
    const { response } = (brokers[0] as FakeBroker).forward(CreateTopicsApi, 7, creation('t', { configs }))
    const [topic] = response?.topics ?? []
    expect(topic).toMatchObject({ name: 't', errorCode: 0, numPartitions: 2, replicationFactor: 1 })
    const setting = (name: string): unknown => topic?.configs?.find((one) => one.name === name)
    expect(setting('retention.ms')).toMatchObject({ value: '5', configSource: 1 })
    expect(setting('min.insync.replicas')).toMatchObject({ value: '1', configSource: 3 })
    expect(setting('segment.bytes')).toMatchObject({ value: '2097152', configSource: 4 })
    expect(setting('cleanup.policy')).toMatchObject({ value: 'delete', configSource: 5 })
  })

  test.each([2, 3, 4, 5, 6, 7])('creates a topic in version %i', (version) => {
    const { brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    const { response } = broker.forward(CreateTopicsApi, version, creation('t'))
    expect(response?.topics).toMatchObject([{ name: 't', errorCode: 0 }])
    const failed = broker.forward(CreateTopicsApi, version, creation('t'))
    expect(failed.response?.topics[0]).toMatchObject({ errorCode: ErrorCode.TOPIC_ALREADY_EXISTS })
  })

  test.each([1, 3, 5])('deletes topics by name in version %i', (version) => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    broker.createTopic('t', [[1]])
    const request = { topicNames: ['t', 'unknown'], timeoutMs: 1, topics: [] }
    const { response } = broker.forward(DeleteTopicsApi, version, request)
    expect(response?.responses.map(({ errorCode }) => errorCode)).toEqual([0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
    expect(cluster.controller.image.topics.size).toBe(0)
  })

  test('deletes a topic by id and names it in the answer', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    broker.createTopic('t', [[1]])
    const topicId = cluster.controller.image.topicByName('t')?.id as string
    const unknown = 'AAAAAAAAAAAAAAAAAAAABQ'
    const request = {
      topics: [topicId, unknown].map((id) => ({ name: null, topicId: id })),
      topicNames: [],
      timeoutMs: 1,
    }
    const { response } = broker.forward(DeleteTopicsApi, 6, request)
    expect(response?.responses).toMatchObject([
      { name: 't', topicId, errorCode: 0 },
      { name: null, topicId: unknown, errorCode: ErrorCode.UNKNOWN_TOPIC_ID },
    ])
  })

  test.each([0, 1])('changes single settings in version %i', (version) => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    broker.createTopic('t', [[1]])
    const alter = (
      resourceType: number,
      resourceName: string,
      configOperation: number,
      value: string | null,
    ): unknown =>
      broker.forward(IncrementalAlterConfigsApi, version, {
        resources: [{ resourceType, resourceName, configs: [{ name: 'cleanup.policy', configOperation, value }] }],
        validateOnly: false,
      }).response?.responses[0]
    expect(alter(2, 't', 2, 'compact')).toMatchObject({ errorCode: 0, resourceType: 2, resourceName: 't' })
    expect(cluster.controller.image.configs({ kind: 'topic', name: 't' }).get('cleanup.policy')).toBe('delete,compact')
    expect(alter(2, 't', 3, 'delete')).toMatchObject({ errorCode: 0 })
    expect(cluster.controller.image.configs({ kind: 'topic', name: 't' }).get('cleanup.policy')).toBe('compact')
    expect(alter(2, 't', 9, 'delete')).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST })
    expect(alter(16, 'x', 0, 'delete')).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, resourceType: 16 })
  })

  test('changes settings of a group', () => {
    const { brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    const configs = [{ name: 'consumer.session.timeout.ms', configOperation: 0, value: '50000' }]
    const resources = [{ resourceType: 32, resourceName: 'g', configs }]
    const answer = broker.forward(IncrementalAlterConfigsApi, 1, { resources, validateOnly: false })
    expect(answer.response?.responses).toMatchObject([{ errorCode: 0, resourceType: 32, resourceName: 'g' }])
    expect([...broker.image.configs({ kind: 'group', name: 'g' })]).toEqual([['consumer.session.timeout.ms', '50000']])
  })

  test('forgets a broker that is gone, and says so of one that nobody knows', () => {
    const { cluster, brokers } = Cluster.led([1, 2])
    const [broker] = brokers as [FakeBroker]
    const forget = (brokerId: number) => broker.forward(UnregisterBrokerApi, 0, { brokerId }).response
    expect(forget(2)).toMatchObject({ errorCode: 0, errorMessage: null })
    expect([...cluster.controller.image.brokers.keys()]).toEqual([1])
    expect(forget(2)).toMatchObject({ errorCode: ErrorCode.BROKER_ID_NOT_REGISTERED })
  })

  test.each([0, 1, 2])('sets features to the level that they have and to no other, in version %i', (version) => {
    const { brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    const update = (upgradeType: number, ...levels: readonly (readonly [feature: string, level: number])[]) =>
      broker.forward(UpdateFeaturesApi, version, {
        timeoutMs: 1000,
        featureUpdates: levels.map(([feature, maxVersionLevel]) => ({
          feature,
          maxVersionLevel,
          allowDowngrade: false,
          upgradeType: version === 0 ? 1 : upgradeType,
        })),
        validateOnly: false,
      }).response
    const done = [{ feature: 'group.version', errorCode: 0, errorMessage: null }]
    expect(update(1, ['group.version', 1])).toMatchObject({ errorCode: 0, results: version < 2 ? done : [] })
    expect(update(1, ['group.version', 2])).toMatchObject({ errorCode: ErrorCode.INVALID_UPDATE_VERSION, results: [] })
    expect(update(3, ['group.version', 0])?.errorMessage).toContain('group.version can be at levels 1 to 1')
    expect(update(1, ['group.version', 1], ['x', 1])).toMatchObject({ errorCode: ErrorCode.INVALID_UPDATE_VERSION })
    expect(update(1, ['x', 1], ['x', 1])).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST })
    // Version 0 has no upgrade type.
    const strange = version === 0 ? ErrorCode.NONE : ErrorCode.INVALID_UPDATE_VERSION
    expect(update(4, ['group.version', 1])).toMatchObject({ errorCode: strange })
  })

  test('replaces all settings of a topic', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    broker.createTopic('t', [[1]], { 'retention.ms': '5' })
    broker.forward(AlterConfigsApi, 2, {
      resources: [{ resourceType: 2, resourceName: 't', configs: [{ name: 'retention.bytes', value: '7' }] }],
      validateOnly: false,
    })
    expect([...cluster.controller.image.configs({ kind: 'topic', name: 't' })]).toEqual([['retention.bytes', '7']])
  })

  test('adds partitions', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    broker.createTopic('t', [[1]])
    broker.forward(CreatePartitionsApi, 3, {
      topics: [{ name: 't', count: 3, assignments: null }],
      timeoutMs: 1,
      validateOnly: false,
    })
    expect(cluster.controller.image.topicByName('t')?.partitions.length).toBe(3)
  })

  test.each([0, 1, 2])('elects leaders in version %i', (version) => {
    const { cluster, brokers } = Cluster.led([1, 2])
    const [one, two] = brokers as [FakeBroker, FakeBroker]
    two.createTopic('t', [
      [1, 2],
      [2, 1],
    ])
    one.heartbeat({ wantFence: true })
    one.heartbeat()
    const partition = cluster.partition('t')
    two.send({
      kind: 'alterPartitions',
      brokerEpoch: two.epoch,
      items: [
        {
          topicId: partition.topicId,
          partition: 0,
          requestId: 1,
          leaderEpoch: partition.leaderEpoch,
          partitionEpoch: partition.partitionEpoch,
          isr: [
            { brokerId: 2, brokerEpoch: two.epoch },
            { brokerId: 1, brokerEpoch: one.epoch },
          ],
        },
      ],
    })
    cluster.time.pass(20)
    expect(two.last('alterReply')?.items).toMatchObject([{ error: 0, isr: [2, 1], requestId: 1 }])
    const { response } = two.forward(ElectLeadersApi, version, {
      electionType: 0,
      topicPartitions: [{ topic: 't', partitions: [0, 1, 2] }],
      timeoutMs: 1,
    })
    expect(response?.replicaElectionResults[0]?.partitionResult.map(({ errorCode }) => errorCode)).toEqual([
      0,
      ErrorCode.ELECTION_NOT_NEEDED,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ])
    expect(cluster.partition('t').leader).toBe(1)
  })

  test('lists no reassignment where none is under way', () => {
    const { brokers } = Cluster.led([1])
    const { response } = (brokers[0] as FakeBroker).forward(ListPartitionReassignmentsApi, 0, {
      timeoutMs: 1,
      topics: null,
    })
    expect(response).toEqual({ throttleTimeMs: 0, errorCode: 0, errorMessage: null, topics: [] })
  })

  test.each([0, 1])('reassigns partitions in version %i, lists them, and takes it back', (version) => {
    const { brokers } = Cluster.led([1, 2, 3])
    const [broker] = brokers as [FakeBroker]
    const assignments = [{ partitionIndex: 0, brokerIds: [1] }]
    broker.forward(CreateTopicsApi, 7, creation('t', { numPartitions: -1, replicationFactor: -1, assignments }))
    const alter = (topics: { name: string; partitions: { partitionIndex: number; replicas: number[] | null }[] }[]) => {
      const request = { timeoutMs: 1, allowReplicationFactorChange: true, topics }
      return broker.forward(AlterPartitionReassignmentsApi, version, request).response
    }
    const list = () => broker.forward(ListPartitionReassignmentsApi, 0, { timeoutMs: 1, topics: null }).response?.topics
    const answer = alter([
      { name: 't', partitions: [{ partitionIndex: 0, replicas: [2, 3] }] },
      { name: 'u', partitions: [{ partitionIndex: 4, replicas: null }] },
    ])
    expect(answer).toMatchObject({
      errorCode: 0,
      allowReplicationFactorChange: true,
      responses: [
        { name: 't', partitions: [{ partitionIndex: 0, errorCode: 0, errorMessage: null }] },
        { name: 'u', partitions: [{ partitionIndex: 4, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }] },
      ],
    })
    expect(list()).toEqual([
      {
        name: 't',
        partitions: [{ partitionIndex: 0, replicas: [2, 3, 1], addingReplicas: [2, 3], removingReplicas: [1] }],
      },
    ])
    expect(broker.image.topicByName('t')?.partitions[0]).toMatchObject({ replicas: [2, 3, 1], leader: 1 })
    const cancel = [{ name: 't', partitions: [{ partitionIndex: 0, replicas: null }] }]
    expect(alter(cancel)?.responses[0]?.partitions[0]?.errorCode).toBe(0)
    expect(list()).toEqual([])
    expect(alter(cancel)?.responses[0]?.partitions[0]?.errorCode).toBe(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
  })

  test('may forbid that a reassignment changes the number of replicas', () => {
    const { brokers } = Cluster.led([1, 2])
    const [broker] = brokers as [FakeBroker]
    const assignments = [{ partitionIndex: 0, brokerIds: [1] }]
    broker.forward(CreateTopicsApi, 7, creation('t', { numPartitions: -1, replicationFactor: -1, assignments }))
    const topics = [{ name: 't', partitions: [{ partitionIndex: 0, replicas: [1, 2] }] }]
    const request = { timeoutMs: 1, allowReplicationFactorChange: false, topics }
    const { response } = broker.forward(AlterPartitionReassignmentsApi, 1, request)
    expect(response).toMatchObject({ allowReplicationFactorChange: false })
    expect(response?.responses[0]?.partitions[0]?.errorCode).toBe(ErrorCode.INVALID_REPLICATION_FACTOR)
  })

  test.each([0, 1, 2])('describes the quorum in version %i', (version) => {
    const { cluster, brokers } = Cluster.led([1])
    const request = {
      topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }, { partitionIndex: 1 }] }],
    }
    const { response } = (brokers[0] as FakeBroker).forward(DescribeQuorumApi, version, request)
    const [ours, other] = response?.topics[0]?.partitions ?? []
    expect(ours).toMatchObject({ leaderId: 100, leaderEpoch: 1, highWatermark: cluster.quorum.commitIndex + 1 })
    expect(ours?.currentVoters.map(({ replicaId }) => replicaId)).toEqual([100])
    expect(other?.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })
})

describe('a request that asks for more than an entry holds', () => {
  test('is refused as a whole, and the controller goes on', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    const value = `0:1${',0:1'.repeat(2000)}`
    const configs = [{ name: 'leader.replication.throttled.replicas', value }]
    const topic = { numPartitions: 1, replicationFactor: 1, assignments: [], configs }
    const topics = Array.from({ length: 2000 }, (_, at) => ({ ...topic, name: `t${at}` }))
    const { error } = broker.forward(CreateTopicsApi, 7, { topics, timeoutMs: 1, validateOnly: false })
    expect(error).toBe(ErrorCode.POLICY_VIOLATION)
    expect(cluster.controller.active).toBe(true)
    expect(broker.forward(CreateTopicsApi, 7, creation('t')).response?.topics[0]?.errorCode).toBe(0)
    expect(cluster.controller.image.topics.size).toBe(1)
  })

  test('leaves the settings out of an answer about thousands of topics', () => {
    const { brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    const topics = Array.from({ length: 9000 }, (_, at) => ({
      name: `${at}`.padEnd(240, 'x'),
      numPartitions: 1,
      replicationFactor: 1,
      assignments: [],
      configs: [],
    }))
    const { error, response } = broker.forward(CreateTopicsApi, 7, { topics, timeoutMs: 1, validateOnly: false })
    expect(error).toBe(0)
    expect(response?.topics.every(({ configs }) => configs === null)).toBe(true)
  })
})

describe('the decisions of one turn', () => {
  test('share an entry', () => {
    const { cluster, brokers } = Cluster.led([1, 2, 3])
    const before = cluster.quorum.entries.length
    cluster.time.turn(() => {
      for (const broker of brokers)
        broker.send({
          kind: 'heartbeat',
          brokerEpoch: broker.epoch,
          appliedIndex: broker.image.index,
          wantFence: true,
          wantShutdown: false,
          offlineDirectories: [],
        })
    })
    cluster.time.pass(20)
    expect(cluster.quorum.entries.length).toBe(before + 1)
    expect(brokers.map((broker) => broker.last('heartbeatReply')?.fenced)).toEqual([true, true, true])
  })
})

describe('a controller that loses leadership', () => {
  test('answers nothing that was not committed, and forgets it', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    cluster.quorum.delayMs = null
    broker.forward(CreateTopicsApi, 7, creation('lost'))
    cluster.quorum.follow(200)
    cluster.time.pass(20)
    expect(broker.last('forwardReply')).toMatchObject({ error: ErrorCode.NOT_CONTROLLER })
    expect(broker.last('notLeader')).toEqual({ kind: 'notLeader', leaderId: 200, term: 2 })
    cluster.quorum.delayMs = 1
    cluster.quorum.lead()
    broker.join().heartbeat()
    expect(broker.forward(CreateTopicsApi, 7, creation('lost')).response?.topics[0]?.errorCode).toBe(0)
  })

  test('starts anew from what is committed when the quorum took an entry no more', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [broker] = brokers as [FakeBroker]
    cluster.quorum.accepts = false
    broker.forward(CreateTopicsApi, 7, creation('refused'))
    expect(broker.closed).not.toBeNull()
    expect(cluster.controller.active).toBe(false)
    cluster.quorum.accepts = true
    cluster.time.pass(200)
    expect(cluster.controller.active).toBe(true)
    broker.join().heartbeat()
    expect(broker.forward(CreateTopicsApi, 7, creation('refused')).response?.topics[0]?.errorCode).toBe(0)
  })

  test('stops its timers and streams when it is stopped', () => {
    const { cluster, brokers } = Cluster.led([1])
    let stopped = false
    cluster.time.turn(() => cluster.controller.stop(() => (stopped = true)))
    cluster.time.pass(20_000)
    expect(stopped).toBe(true)
    expect(brokers[0]?.closed).not.toBeNull()
    expect(cluster.controller.image.brokers.get(1)?.fenced).toBe(false)
  })
})

describe('leaderships', () => {
  test('move back to the first replica once it is in sync again, after the interval', () => {
    const { cluster, brokers } = Cluster.led([1, 2], { 'leader.imbalance.check.interval.seconds': '3' })
    const [one, two] = brokers as [FakeBroker, FakeBroker]
    two.createTopic('t', [[1, 2]])
    one.heartbeat({ wantFence: true })
    one.heartbeat()
    const { topicId, leaderEpoch, partitionEpoch } = cluster.partition('t')
    const isr = [one, two].map(({ id, epoch }) => ({ brokerId: id, brokerEpoch: epoch }))
    const items = [{ topicId, partition: 0, requestId: 1, leaderEpoch, partitionEpoch, isr }]
    two.send({ kind: 'alterPartitions', brokerEpoch: two.epoch, items })
    cluster.time.pass(1000)
    expect(cluster.partition('t').leader).toBe(2)
    cluster.time.pass(3000)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, leaderEpoch: 2 })
  })
})

describe('producer ids', () => {
  test('come in blocks that never overlap', () => {
    const { cluster, brokers } = Cluster.led([1, 2])
    for (const broker of brokers) broker.send({ kind: 'allocateProducerIds', requestId: 3, brokerEpoch: broker.epoch })
    cluster.time.pass(20)
    expect(brokers.map((broker) => broker.last('producerIds'))).toMatchObject([
      { requestId: 3, error: 0, first: 0, count: 1000 },
      { requestId: 3, error: 0, first: 1000, count: 1000 },
    ])
  })
})

describe('a quarantined replica', () => {
  test('leaves ISR and leadership', () => {
    const { cluster, brokers } = Cluster.led([1, 2])
    const [one] = brokers as [FakeBroker]
    one.createTopic('t', [[1, 2]])
    const { topicId } = cluster.partition('t')
    const partitions = [{ topicId, partition: 0, reason: 'rot', partitionEpoch: 0, blank: false }]
    one.send({ kind: 'quarantined', brokerEpoch: one.epoch, partitions })
    cluster.time.pass(20)
    expect(cluster.partition('t')).toMatchObject({ leader: 2, isr: [2], leaderEpoch: 1 })
  })
})
