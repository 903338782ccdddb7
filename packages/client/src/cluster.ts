import { type Address, ErrorCode } from '@millrace/base'
import { type Api, MetadataApi, type MetadataResponse } from '@millrace/protocol'
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, type ConnectionOptions } from './connection.ts'
import { ConnectionError, KafkaError, mayRetry, TimeoutError } from './errors.ts'

export interface ClusterOptions extends ConnectionOptions {
  readonly bootstrap: readonly Address[]
  readonly metadataMaxAgeMs: number
  readonly retryBackoffMs: number
  readonly retryBackoffMaxMs: number
  /** How long an operation is tried again after errors that may pass. */
  readonly retryTimeoutMs: number
}

export interface PartitionMetadata {
  readonly partition: number
  /** -1: no leader now. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly offlineReplicas: readonly number[]
}

export interface TopicMetadata {
  readonly name: string
  readonly topicId: string
  readonly internal: boolean
  /** Index = partition. */
  readonly partitions: readonly PartitionMetadata[]
  readonly fetchedAt: number
}

type MetadataTopic = MetadataResponse['topics'][number]

/** What the client knows of the cluster: brokers, topics and one connection to each broker that is used. */
export class Cluster {
  readonly options: ClusterOptions
  private brokers = new Map<number, Address>()
  private controllerId = -1
  private clusterIdKnown: string | null = null
  private readonly topics = new Map<string, TopicMetadata>()
  private readonly connections = new Map<string, Promise<Connection>>()
  private refreshing: { names: readonly string[]; answer: Promise<void> } | null = null
  private closed = false

  constructor(options: ClusterOptions) {
    this.options = options
  }

  get clusterId(): string | null {
    return this.clusterIdKnown
  }

  get controller(): number {
    return this.controllerId
  }

  get brokerAddresses(): ReadonlyMap<number, Address> {
    return this.brokers
  }

  /** Known metadata of a topic, asked for when it is unknown or old. Rejects with `KafkaError` when there is no such topic. */
  async topic(name: string): Promise<TopicMetadata> {
    const known = this.topics.get(name)
    if (known !== undefined && Date.now() - known.fetchedAt < this.options.metadataMaxAgeMs) return known
    return this.retrying(
      `topic ${name}`,
      async () => {
        await this.refresh([name])
        const found = this.topics.get(name)
        if (found === undefined)
          throw new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name}`, 'there is no such topic')
        return found
      },
      UNKNOWN_TOPIC_PATIENCE_MS,
    )
  }

  /** What is known now; no request. */
  known(name: string): TopicMetadata | null {
    return this.topics.get(name) ?? null
  }

  /** Asks for these topics anew. Requests for the same topics share one answer. */
  async refresh(names: readonly string[]): Promise<void> {
    const running = this.refreshing
    if (running !== null && names.every((name) => running.names.includes(name))) return running.answer
    const answer = this.fetchMetadata(names.map((name) => ({ name }))).then((topics) => {
      for (const topic of topics) this.learn(topic)
    })
    this.refreshing = { names, answer }
    try {
      await answer
    } finally {
      if (this.refreshing?.answer === answer) this.refreshing = null
    }
  }

  /** All topics, by one request. */
  async allTopics(): Promise<readonly TopicMetadata[]> {
    return this.retrying('list of topics', async () =>
      (await this.fetchMetadata(null)).filter(({ errorCode }) => errorCode === ErrorCode.NONE).map(toMetadata),
    )
  }

  /** Brokers and controller, by one request. */
  async refreshBrokers(): Promise<void> {
    await this.retrying('list of brokers', () => this.fetchMetadata([]))
  }

  /** A connection to the broker, shared by all who ask. */
  async broker(id: number): Promise<Connection> {
    const address = this.brokers.get(id)
    if (address === undefined) throw new ConnectionError(`broker ${id} is not in the cluster's metadata`)
    return this.connection(address)
  }

  /** Sends to any broker that answers. */
  async sendToAny<Q, R>(api: Api<Q, R>, request: Q, timeoutMs?: number): Promise<R> {
    let last: unknown = new ConnectionError('no bootstrap server was given')
    for (const address of this.candidates()) {
      try {
        return await (await this.connection(address)).send(api, request, timeoutMs)
      } catch (error) {
        if (error instanceof KafkaError) throw error
        last = error
      }
    }
    throw last
  }

  async sendToController<Q, R>(api: Api<Q, R>, request: Q, timeoutMs?: number): Promise<R> {
    if (!this.brokers.has(this.controllerId)) await this.fetchMetadata([])
    return (await this.broker(this.controllerId)).send(api, request, timeoutMs)
  }

  /** Runs `attempt` again, with growing waits, while it fails with errors that may pass. */
  async retrying<T>(what: string, attempt: () => Promise<T>, timeoutMs = this.options.retryTimeoutMs): Promise<T> {
    const deadline = Date.now() + timeoutMs
    for (let wait = this.options.retryBackoffMs; ; wait = Math.min(wait * 2, this.options.retryBackoffMaxMs)) {
      try {
        return await attempt()
      } catch (error) {
        if (this.closed || !mayRetry(error)) throw error
        if (Date.now() + wait > deadline && error instanceof KafkaError) throw error
        if (Date.now() + wait > deadline)
          throw new TimeoutError(
            `${what}: given up after ${timeoutMs} ms; the last answer was: ${(error as Error).message}`,
          )
        await sleep(wait * (0.8 + 0.4 * Math.random()))
      }
    }
  }

  async close(): Promise<void> {
    this.closed = true
    const open = [...this.connections.values()]
    this.connections.clear()
    for (const connection of await Promise.allSettled(open))
      if (connection.status === 'fulfilled') connection.value.close()
  }

  private candidates(): readonly Address[] {
    const known = [...this.brokers.values()]
    return [
      ...known,
      ...this.options.bootstrap.filter(
        ({ host, port }) => !known.some((broker) => broker.host === host && broker.port === port),
      ),
    ]
  }

  private async connection(address: Address): Promise<Connection> {
    if (this.closed) throw new KafkaError(ErrorCode.INVALID_REQUEST, 'client', 'it was closed')
    const key = `${address.host}:${address.port}`
    const known = this.connections.get(key)
    if (known !== undefined) {
      const connection = await known.catch(() => null)
      if (connection?.open === true) return connection
      if (this.connections.get(key) === known) this.connections.delete(key)
    }
    const opening = this.connections.get(key) ?? Connection.open(address, this.options)
    this.connections.set(key, opening)
    opening.catch(() => this.connections.get(key) === opening && this.connections.delete(key))
    return opening
  }

  private async fetchMetadata(topics: readonly { name: string }[] | null): Promise<readonly MetadataTopic[]> {
    const request = {
      topics: topics?.map(({ name }) => ({ name, topicId: NO_ID })) ?? null,
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    }
    const answer = await this.sendToAny(MetadataApi, request)
    if (answer.errorCode !== ErrorCode.NONE) throw new KafkaError(answer.errorCode as ErrorCode, 'metadata')
    this.brokers = new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]))
    this.controllerId = answer.controllerId
    this.clusterIdKnown = answer.clusterId
    if (this.brokers.size === 0) throw new ConnectionError('the cluster has no broker that serves clients yet')
    return answer.topics
  }

  private learn(topic: MetadataTopic): void {
    const name = topic.name ?? ''
    if (topic.errorCode !== ErrorCode.NONE) {
      this.topics.delete(name)
      if (topic.errorCode !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        throw new KafkaError(topic.errorCode as ErrorCode, `topic ${name}`)
      return
    }
    this.topics.set(name, toMetadata(topic))
  }
}

/** A topic that was just created is known to every broker well within this. */
const UNKNOWN_TOPIC_PATIENCE_MS = 3_000
const NO_ID = 'AAAAAAAAAAAAAAAAAAAAAA'

function toMetadata(topic: MetadataTopic): TopicMetadata {
  const partitions = topic.partitions.toSorted((a, b) => a.partitionIndex - b.partitionIndex)
  return {
    name: topic.name ?? '',
    topicId: topic.topicId,
    internal: topic.isInternal,
    fetchedAt: Date.now(),
    partitions: partitions.map(
      ({ partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes, offlineReplicas }) => ({
        partition: partitionIndex,
        leader: leaderId,
        leaderEpoch,
        replicas: replicaNodes,
        isr: isrNodes,
        offlineReplicas,
      }),
    ),
  }
}
