import { ErrorCode, ZERO_UUID } from '@millrace/base'
import {
  CreatePartitionsApi,
  CreateTopicsApi,
  DeleteTopicsApi,
  DescribeConfigsApi,
  DescribeClusterApi,
  IncrementalAlterConfigsApi,
} from '@millrace/protocol'
import type { Cluster, TopicMetadata } from './cluster.ts'
import { EARLIEST, LATEST, offsetOf } from './consumer.ts'
import { ConnectionError, KafkaError } from './errors.ts'

export interface NewTopic {
  readonly name: string
  /** The broker's `num.partitions` where it is left out. */
  readonly partitions?: number
  /** The broker's `default.replication.factor` where it is left out. */
  readonly replicationFactor?: number
  readonly configs?: Readonly<Record<string, string>>
}

export interface ConfigEntry {
  readonly name: string
  /** Null where there is none, or where it is secret. */
  readonly value: string | null
  /** Where the value comes from. */
  readonly source: ConfigSource
  readonly readOnly: boolean
  readonly documentation: string | null
}

export type ConfigSource = 'topic' | 'dynamic-broker' | 'dynamic-default' | 'static' | 'default' | 'other'

export interface BrokerDescription {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export interface ClusterDescription {
  readonly clusterId: string
  readonly controllerId: number
  readonly brokers: readonly BrokerDescription[]
}

const SOURCES: readonly ConfigSource[] = ['other', 'topic', 'dynamic-broker', 'dynamic-default', 'static', 'default']
const TOPIC = 2
const TIMEOUT_MS = 30_000
const SET = 0
const DELETE = 1

/** Changes and describes topics. Every call is tried again while the controller changes; refusals are `KafkaError`s. */
export class Admin {
  private readonly cluster: Cluster

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  /** Resolves once the brokers know the topic. With `validateOnly` nothing is created. */
  async createTopic(topic: NewTopic, options: { readonly validateOnly?: boolean } = {}): Promise<void> {
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
      timeoutMs: TIMEOUT_MS,
      validateOnly: options.validateOnly ?? false,
    }
    await this.cluster.retrying(`creation of topic ${topic.name}`, async () => {
      const answer = await this.cluster.sendToController(CreateTopicsApi, request)
      for (const { name, errorCode, errorMessage } of answer.topics) refuse(errorCode, `topic ${name}`, errorMessage)
    })
  }

  async deleteTopic(name: string): Promise<void> {
    const request = { topics: [{ name, topicId: ZERO_UUID }], topicNames: [name], timeoutMs: TIMEOUT_MS }
    await this.cluster.retrying(`deletion of topic ${name}`, async () => {
      const answer = await this.cluster.sendToController(DeleteTopicsApi, request)
      for (const { errorCode, errorMessage } of answer.responses)
        refuseFinally(errorCode, `topic ${name}`, errorMessage)
    })
  }

  /** Raises the number of partitions to `total`. Keys may map to other partitions from then on. */
  async createPartitions(name: string, total: number): Promise<void> {
    const request = { topics: [{ name, count: total, assignments: null }], timeoutMs: TIMEOUT_MS, validateOnly: false }
    await this.cluster.retrying(`partitions of topic ${name}`, async () => {
      const answer = await this.cluster.sendToController(CreatePartitionsApi, request)
      for (const { errorCode, errorMessage } of answer.results) refuseFinally(errorCode, `topic ${name}`, errorMessage)
    })
  }

  /** All topics, sorted by name. */
  async listTopics(): Promise<readonly TopicMetadata[]> {
    return (await this.cluster.allTopics()).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** A topic with its partitions, asked for anew. */
  async describeTopic(name: string): Promise<TopicMetadata> {
    await this.cluster.refresh([name])
    const found = this.cluster.known(name)
    if (found === null)
      throw new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name}`, 'there is no such topic')
    return found
  }

  async topicConfigs(name: string): Promise<readonly ConfigEntry[]> {
    const resources = [{ resourceType: TOPIC, resourceName: name, configurationKeys: null }]
    const answer = await this.cluster.sendToAny(DescribeConfigsApi, {
      resources,
      includeSynonyms: false,
      includeDocumentation: true,
    })
    const result = answer.results[0]
    if (result === undefined)
      throw new KafkaError(
        ErrorCode.UNKNOWN_SERVER_ERROR,
        `configuration of topic ${name}`,
        'the broker left it out of its answer',
      )
    refuseFinally(result.errorCode, `topic ${name}`, result.errorMessage)
    return result.configs.map((entry) => ({
      name: entry.name,
      value: entry.value,
      source: SOURCES[entry.configSource] ?? 'other',
      readOnly: entry.readOnly,
      documentation: entry.documentation,
    }))
  }

  /** Sets keys; a null value takes the override away. All of them, or none. */
  async alterTopicConfigs(name: string, changes: Readonly<Record<string, string | null>>): Promise<void> {
    const configs = Object.entries(changes).map(([key, value]) => ({
      name: key,
      configOperation: value === null ? DELETE : SET,
      value,
    }))
    const request = { resources: [{ resourceType: TOPIC, resourceName: name, configs }], validateOnly: false }
    await this.cluster.retrying(`configuration of topic ${name}`, async () => {
      const answer = await this.cluster.sendToController(IncrementalAlterConfigsApi, request)
      for (const { errorCode, errorMessage } of answer.responses)
        refuseFinally(errorCode, `topic ${name}`, errorMessage)
    })
  }

  async describeCluster(): Promise<ClusterDescription> {
    const request = { includeClusterAuthorizedOperations: false, endpointType: 1, includeFencedBrokers: false }
    const answer = await this.cluster.retrying('description of the cluster', () =>
      this.cluster.sendToAny(DescribeClusterApi, request),
    )
    refuse(answer.errorCode, 'cluster', answer.errorMessage)
    const brokers = answer.brokers
      .map(({ brokerId, host, port, rack }) => ({ id: brokerId, host, port, rack }))
      .toSorted((a, b) => a.id - b.id)
    return { clusterId: answer.clusterId, controllerId: answer.controllerId, brokers }
  }

  /** Resolves once at least `count` brokers serve clients. Rejects after the retry timeout. */
  async waitForBrokers(count: number): Promise<void> {
    await this.cluster.retrying(`${count} brokers`, async () => {
      const { brokers } = await this.describeCluster()
      if (brokers.length < count) throw new ConnectionError(`${brokers.length} of ${count} brokers serve clients`)
    })
  }

  /** The first offset and the one after the last committed record. */
  async offsets(topic: string, partition: number): Promise<{ readonly earliest: number; readonly latest: number }> {
    const query = { topic, partition, isolation: 0 } as const
    return {
      earliest: await offsetOf(this.cluster, query, EARLIEST),
      latest: await offsetOf(this.cluster, query, LATEST),
    }
  }
}

function refuse(code: number, what: string, message: string | null): void {
  if (code !== ErrorCode.NONE) throw new KafkaError(code as ErrorCode, what, message)
}

/** For topics that must exist: an unknown one stays unknown, so there is nothing to wait for. */
function refuseFinally(code: number, what: string, message: string | null): void {
  if (code !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return refuse(code, what, message)
  throw Object.assign(new KafkaError(code, what, message ?? 'there is no such topic'), { retriable: false })
}
