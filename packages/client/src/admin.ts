import { ErrorCode, MillraceError, ZERO_UUID } from '@millrace/base'
import {
  AlterPartitionReassignmentsApi,
  type Api,
  CreatePartitionsApi,
  CreateTopicsApi,
  DeleteRecordsApi,
  DeleteTopicsApi,
  DescribeClusterApi,
  DescribeConfigsApi,
  type DescribeConfigsRequest,
  type DescribeConfigsResponse,
  IncrementalAlterConfigsApi,
  ListPartitionReassignmentsApi,
} from '@millrace/protocol'
import type { Cluster, TopicMetadata } from './cluster.ts'
import { ConnectionPool } from './connection-pool.ts'
import { ConnectionError, KafkaError, TimeoutError } from './errors.ts'
import { GroupAdmin } from './group-admin.ts'
import type { TopicPartition } from './group-descriptions.ts'
import { EARLIEST, LATEST, listOffsets, listOffsetsWhereLed, type OffsetRules } from './offsets.ts'
import { refuse, refuseFinally } from './refusal.ts'
import { type PartitionMove, type Reassignment, reassignmentsOf } from './reassignments.ts'
import { retrying } from './retry.ts'

/** A topic to be created. */
export interface NewTopic {
  readonly name: string
  /** The broker's `num.partitions` where it is left out. */
  readonly partitions?: number
  /** The broker's `default.replication.factor` where it is left out. */
  readonly replicationFactor?: number
  readonly configs?: Readonly<Record<string, string>>
}

/** One setting with its present value. */
export interface ConfigEntry {
  readonly name: string
  /** Null where there is none, or where it is secret. */
  readonly value: string | null
  /** Where the value comes from. */
  readonly source: ConfigSource
  readonly readOnly: boolean
  readonly documentation: string | null
}

/** Where a setting's value comes from; `topic` is an override of the topic itself. */
export type ConfigSource = 'topic' | 'dynamic-broker' | 'dynamic-default' | 'static' | 'default' | 'other'

/** A broker at the address that it advertises. */
export interface BrokerDescription {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** The brokers that serve clients, by id. */
export interface ClusterDescription {
  readonly clusterId: string
  /** The broker that takes changes; any broker with KRaft. -1: none now. */
  readonly controllerId: number
  readonly brokers: readonly BrokerDescription[]
}

/** With `validateOnly` everything is checked and nothing is changed. */
export interface ChangeOptions {
  readonly validateOnly?: boolean
}

const SOURCES: readonly ConfigSource[] = ['other', 'topic', 'dynamic-broker', 'dynamic-default', 'static', 'default']
const TOPIC = 2
const BROKER = 4
const SET = 0
const DELETE = 1
/** How long a creation waits for the brokers to tell of the topic, after the controller has. */
const KNOWN_EVERYWHERE_MS = 5_000

/**
 * Changes and describes topics, and groups with `groups`. Every call is tried again, for as long as the client's retry timeout, while brokers or the controller change;
 * refusals are `KafkaError`s, and `TimeoutError` says that no broker answered. A change that was repeated after a lost answer and was found
 * done counts as done.
 */
export class Admin {
  /** Lists, describes, changes and deletes consumer groups. */
  readonly groups: GroupAdmin
  private readonly cluster: Cluster
  private readonly pool: ConnectionPool

  constructor(cluster: Cluster) {
    this.cluster = cluster
    this.pool = new ConnectionPool(cluster.options)
    this.groups = new GroupAdmin(cluster, this.pool)
  }

  /** Resolves once the brokers know the topic and its leaders, at the latest five seconds after its creation. */
  async createTopic(topic: NewTopic, options: ChangeOptions = {}): Promise<void> {
    const validateOnly = options.validateOnly ?? false
    const request = {
      topics: [
        {
          name: topic.name,
          numPartitions: topic.partitions ?? -1,
          replicationFactor: topic.replicationFactor ?? -1,
          assignments: [],
          configs: Object.entries(topic.configs ?? {}).map(([name, value]) => ({ name, value })),
        },
      ],
      timeoutMs: this.timeoutMs,
      validateOnly,
    }
    await this.change(`topic ${topic.name}`, ErrorCode.TOPIC_ALREADY_EXISTS, async () => {
      const { topics } = await this.toController(CreateTopicsApi, request)
      refuse(topics[0], `topic ${topic.name}`)
    })
    if (!validateOnly) await this.knownEverywhere(topic.name)
  }

  /** Deletes a topic with its records. */
  async deleteTopic(name: string): Promise<void> {
    const request = { topics: [{ name, topicId: ZERO_UUID }], topicNames: [name], timeoutMs: this.timeoutMs }
    await this.change(`topic ${name}`, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, async () => {
      const { responses } = await this.toController(DeleteTopicsApi, request)
      refuseFinally(responses[0], `topic ${name}`)
    })
    await this.cluster.refresh([name]).catch(() => undefined)
  }

  /** Raises the number of partitions to `total`. Keys may map to other partitions from then on. */
  async createPartitions(name: string, total: number, options: ChangeOptions = {}): Promise<void> {
    const validateOnly = options.validateOnly ?? false
    const topics = [{ name, count: total, assignments: null }]
    const request = { topics, timeoutMs: this.timeoutMs, validateOnly }
    await this.change(`partitions of topic ${name}`, null, async (uncertain) => {
      const { results } = await this.toController(CreatePartitionsApi, request)
      if (
        uncertain &&
        results[0]?.errorCode === ErrorCode.INVALID_PARTITIONS &&
        (await this.partitionsOf(name)) === total
      )
        return
      refuseFinally(results[0], `topic ${name}`)
    })
    if (!validateOnly) await this.knownEverywhere(name, total)
  }

  /**
   * Moves partitions to other brokers, or takes moves back (KIP-455). Resolves when the controller has decided, not when the copies are made:
   * ask `reassignments` for that. Each partition is decided by itself; rejects with the first refusal, when others may be on their way.
   */
  async reassign(topic: string, moves: readonly PartitionMove[]): Promise<void> {
    if (moves.length === 0) return
    const partitions = moves.map(({ partition, replicas }) => ({ partitionIndex: partition, replicas }))
    const request = {
      timeoutMs: this.timeoutMs,
      allowReplicationFactorChange: true,
      topics: [{ name: topic, partitions }],
    }
    await this.change(`partitions of topic ${topic}`, ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, async () => {
      const answer = await this.toController(AlterPartitionReassignmentsApi, request)
      refuse(answer, `topic ${topic}`)
      for (const { partition } of moves) {
        const result = answer.responses[0]?.partitions.find(({ partitionIndex }) => partitionIndex === partition)
        refuseFinally(result, `topic ${topic} partition ${partition}`)
      }
    })
  }

  /** The moves that are under way, of one topic or of all, sorted by topic and partition. */
  async reassignments(topic?: string): Promise<readonly Reassignment[]> {
    return this.retrying('reassignments', async () => {
      const answer = await this.toController(ListPartitionReassignmentsApi, { timeoutMs: this.timeoutMs, topics: null })
      refuse(answer, 'reassignments')
      const all = reassignmentsOf(answer)
      return topic === undefined ? all : all.filter((one) => one.topic === topic)
    })
  }

  /** All topics, sorted by name; internal ones too. */
  async listTopics(): Promise<readonly TopicMetadata[]> {
    return (await this.cluster.allTopics()).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** A topic with its partitions, asked for anew. Rejects at once with `KafkaError` UNKNOWN_TOPIC_OR_PARTITION when there is none. */
  async describeTopic(name: string): Promise<TopicMetadata> {
    return this.retrying(`topic ${name}`, async () => {
      await this.cluster.refresh([name])
      const found = this.cluster.known(name)
      if (found === null) refuseFinally({ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }, `topic ${name}`)
      return found as TopicMetadata
    })
  }

  /** All settings of a topic with where their values come from. */
  async topicConfigs(name: string): Promise<readonly ConfigEntry[]> {
    return this.retrying(`configuration of topic ${name}`, async () => {
      const request = configsRequest(TOPIC, name)
      const { results } = await this.cluster.sendToAny(DescribeConfigsApi, request, { pool: this.pool })
      refuseFinally(results[0], `topic ${name}`)
      return configEntries(results[0])
    })
  }

  /** All settings of a broker, told by that broker itself. */
  async brokerConfigs(id: number): Promise<readonly ConfigEntry[]> {
    return this.retrying(`configuration of broker ${id}`, async () => {
      await this.cluster.refreshBrokers()
      const connection = await this.cluster.broker(this.pool, id)
      const { results } = await connection.send(DescribeConfigsApi, configsRequest(BROKER, String(id)))
      refuseFinally(results[0], `broker ${id}`)
      return configEntries(results[0])
    })
  }

  /** Sets keys; a null value takes the override away. All of them, or none. */
  async alterTopicConfigs(
    name: string,
    changes: Readonly<Record<string, string | null>>,
    options: ChangeOptions = {},
  ): Promise<void> {
    const configs = Object.entries(changes).map(([key, value]) => ({
      name: key,
      configOperation: value === null ? DELETE : SET,
      value,
    }))
    const resources = [{ resourceType: TOPIC, resourceName: name, configs }]
    const request = { resources, validateOnly: options.validateOnly ?? false }
    await this.retrying(`configuration of topic ${name}`, async () => {
      const { responses } = await this.toController(IncrementalAlterConfigsApi, request)
      refuseFinally(responses[0], `topic ${name}`)
    })
  }

  /** The brokers that serve clients now. */
  async describeCluster(): Promise<ClusterDescription> {
    const request = { includeClusterAuthorizedOperations: false, endpointType: 1, includeFencedBrokers: false }
    return this.retrying('description of the cluster', async () => {
      const answer = await this.cluster.sendToAny(DescribeClusterApi, request, { pool: this.pool })
      refuse(answer, 'cluster')
      const brokers = answer.brokers
        .map(({ brokerId, host, port, rack }) => ({ id: brokerId, host, port, rack }))
        .toSorted((a, b) => a.id - b.id)
      return { clusterId: answer.clusterId, controllerId: answer.controllerId, brokers }
    })
  }

  /** Resolves once at least `count` brokers serve clients. Rejects with `TimeoutError` after the retry timeout. */
  async waitForBrokers(count: number): Promise<void> {
    await this.retrying(`${count} brokers`, async () => {
      const { brokers } = await this.describeCluster()
      if (brokers.length < count) throw new ConnectionError(`${brokers.length} of ${count} brokers serve clients`)
    })
  }

  /** The first offset and the one after the last committed record. */
  async offsets(topic: string, partition: number): Promise<{ readonly earliest: number; readonly latest: number }> {
    const [earliest, latest] = await this.list([
      { topic, partition, timestamp: EARLIEST },
      { topic, partition, timestamp: LATEST },
    ])
    return { earliest: earliest?.offset ?? -1, latest: latest?.offset ?? -1 }
  }

  /**
   * Offsets of many partitions at once, in their order: the first, the one after the last committed record, or that of the first record at or after
   * a time (milliseconds since 1970). Null for a partition that does not exist or has no leader now, and where no record is that young.
   */
  async partitionOffsets(
    partitions: readonly TopicPartition[],
    at: 'earliest' | 'latest' | { readonly timestamp: number },
  ): Promise<readonly (number | null)[]> {
    const timestamp = at === 'earliest' ? EARLIEST : at === 'latest' ? LATEST : at.timestamp
    const queries = partitions.map(({ topic, partition }) => ({ topic, partition, timestamp }))
    const found = await listOffsetsWhereLed(this.cluster, queries, this.offsetRules)
    return found.map((one) => (one === null || one.offset < 0 ? null : one.offset))
  }

  /**
   * The first record at or after a time (milliseconds since 1970) in each partition of a topic, by partition; null where no record is that
   * young.
   */
  async offsetsAt(
    topic: string,
    timestamp: number,
  ): Promise<readonly ({ readonly offset: number; readonly timestamp: number } | null)[]> {
    if (!(Number.isSafeInteger(timestamp) && timestamp >= 0))
      throw new MillraceError('CONFIG_INVALID', `${timestamp} is not a time`, { fix: 'Give milliseconds since 1970.' })
    const { partitions } = await this.cluster.topic(topic)
    const found = await this.list(partitions.map(({ partition }) => ({ topic, partition, timestamp })))
    return found.map((one) => (one.offset < 0 ? null : one))
  }

  /** Deletes the records before an offset; -1 means all that are committed. Resolves with the first offset that is left. */
  async deleteRecords(topic: string, partition: number, before: number): Promise<number> {
    return this.retrying(`records of topic ${topic} partition ${partition}`, async () => {
      await this.cluster.topic(topic)
      try {
        const connection = await this.cluster.broker(this.pool, this.cluster.leader(topic, partition))
        const answer = await connection.send(DeleteRecordsApi, {
          topics: [{ name: topic, partitions: [{ partitionIndex: partition, offset: before }] }],
          timeoutMs: this.timeoutMs,
        })
        const result = answer.topics[0]?.partitions[0]
        refuse(result, `topic ${topic} partition ${partition}`)
        return result?.lowWatermark ?? -1
      } catch (error) {
        await this.cluster.refresh([topic]).catch(() => undefined)
        throw error
      }
    })
  }

  /** Closes the connections; calls fail from now on. */
  close(): void {
    this.pool.close()
  }

  private get timeoutMs(): number {
    return this.cluster.options.requestTimeoutMs
  }

  private list(queries: Parameters<typeof listOffsets>[1]): ReturnType<typeof listOffsets> {
    return listOffsets(this.cluster, queries, this.offsetRules)
  }

  private get offsetRules(): OffsetRules {
    return { pool: this.pool, committedOnly: false, signal: this.cluster.signal }
  }

  /** Brokers and controller are looked up anew before another try: who was asked may be gone, or no controller any more. */
  private retrying<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    return retrying(what, this.cluster.retryRules(), async (tries) => {
      if (tries > 0) await this.cluster.refreshBrokers().catch(() => undefined)
      return attempt()
    })
  }

  /** A try whose answer was lost may have done the work: then `done` is the answer of the next one, and success. */
  private async change(
    what: string,
    done: ErrorCode | null,
    attempt: (uncertain: boolean) => Promise<void>,
  ): Promise<void> {
    let uncertain = false
    await this.retrying(what, async () => {
      try {
        await attempt(uncertain)
      } catch (error) {
        if (uncertain && error instanceof KafkaError && error.code === done) return
        const unknown = error instanceof KafkaError && error.code === ErrorCode.REQUEST_TIMED_OUT
        uncertain ||= unknown || error instanceof ConnectionError || error instanceof TimeoutError
        throw error
      }
    })
  }

  private async toController<Q, R>(api: Api<Q, R>, request: Q): Promise<R> {
    if (!this.cluster.brokerIds.includes(this.cluster.controller)) await this.cluster.refreshBrokers()
    const connection = await this.cluster.broker(this.pool, this.cluster.controller)
    return connection.send(api, request, this.timeoutMs + ANSWER_SLACK_MS)
  }

  private async partitionsOf(name: string): Promise<number> {
    await this.cluster.refresh([name])
    return this.cluster.known(name)?.partitions.length ?? 0
  }

  /** Waits until the brokers that are reached tell of the topic; gives up silently, because the change is made. */
  private async knownEverywhere(name: string, partitions = 1): Promise<void> {
    const rules = { ...this.cluster.retryRules(), timeoutMs: KNOWN_EVERYWHERE_MS }
    await retrying(`topic ${name}`, rules, async () => {
      await this.cluster.refreshBrokers()
      const known = await Promise.all(
        this.cluster.brokerIds.map((id) => this.cluster.toldBy(this.pool, id, name).catch(() => null)),
      )
      const ready = known.filter((topic) => topic !== null)
      if (
        !ready.every(
          (topic) => topic.partitions.length >= partitions && topic.partitions.every(({ leader }) => leader >= 0),
        )
      )
        throw new ConnectionError(`not every broker knows topic ${name} yet`)
      await this.cluster.refresh([name])
    }).catch(() => undefined)
  }
}

/** How much later than the controller's own wait an answer may come. */
const ANSWER_SLACK_MS = 5_000

function configsRequest(resourceType: number, resourceName: string): DescribeConfigsRequest {
  const resources = [{ resourceType, resourceName, configurationKeys: null }]
  return { resources, includeSynonyms: false, includeDocumentation: true }
}

function configEntries(result: DescribeConfigsResponse['results'][number] | undefined): readonly ConfigEntry[] {
  return (result?.configs ?? []).map(({ name, value, configSource, readOnly, documentation }) => ({
    name,
    value,
    source: SOURCES[configSource] ?? 'other',
    readOnly,
    documentation,
  }))
}
