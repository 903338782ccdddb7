import { type Address, ErrorCode, ZERO_UUID } from '@millrace/base'
import { type Api, MetadataApi, type MetadataRequest, type MetadataResponse } from '@millrace/protocol'
import { addressText } from './address.ts'
import type { Connection, ConnectionOptions, Versioned } from './connection.ts'
import { ConnectionPool } from './connection-pool.ts'
import { ConnectionError, KafkaError } from './errors.ts'
import { closingSignal, type RetryRules, retrying } from './retry.ts'

export interface ClusterOptions extends ConnectionOptions {
  readonly bootstrap: readonly Address[]
  readonly metadataMaxAgeMs: number
  readonly retryBackoffMs: number
  readonly retryBackoffMaxMs: number
  /** How long an operation is tried again after errors that may pass. */
  readonly retryTimeoutMs: number
}

/** A partition as the brokers know it. */
export interface PartitionMetadata {
  readonly partition: number
  /** -1: no leader now. */
  readonly leader: number
  /** Rises with every change of the leader; -1 where the broker does not tell. */
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  /** The replicas that hold everything that is committed. */
  readonly isr: readonly number[]
  readonly offlineReplicas: readonly number[]
}

/** A topic as the brokers know it. */
export interface TopicMetadata {
  readonly name: string
  /** Another one when the topic was deleted and created again. */
  readonly topicId: string
  readonly internal: boolean
  /** Index = partition. */
  readonly partitions: readonly PartitionMetadata[]
  /** When it was asked for, in milliseconds of `performance.now()`. */
  readonly fetchedAt: number
}

type MetadataTopic = MetadataResponse['topics'][number]

/** A topic that was just created is known to every broker well within this; one that is unknown for longer is not there. */
export const UNKNOWN_TOPIC_PATIENCE_MS = 3_000
/** Metadata comes from memory: a broker that needs longer hangs, and another one is asked. */
const METADATA_TIMEOUT_MS = 5_000

/** What the client knows of the cluster: brokers, topics and who leads what. */
export class Cluster {
  readonly options: ClusterOptions
  private readonly pool: ConnectionPool
  /** Aborted when the client is closed. */
  readonly signal: AbortSignal
  private readonly closing = new AbortController()
  private readonly topics = new Map<string, TopicMetadata>()
  /** Since when a topic that is in use is unknown to the brokers, in milliseconds of `performance.now()`. */
  private readonly missing = new Map<string, number>()
  private readonly failedAt = new Map<string, number>()
  private brokers = new Map<number, Address>()
  private controllerId = -1
  private refreshing: { readonly names: readonly string[]; readonly answer: Promise<void> } | null = null

  constructor(options: ClusterOptions) {
    this.options = options
    this.pool = new ConnectionPool(options)
    this.signal = closingSignal(this.closing)
  }

  get controller(): number {
    return this.controllerId
  }

  get brokerIds(): readonly number[] {
    return [...this.brokers.keys()]
  }

  /**
   * Metadata of a topic, asked for when it is unknown or old. Rejects with `KafkaError` UNKNOWN_TOPIC_OR_PARTITION when the brokers do not
   * know it after three seconds, with `TimeoutError` when no broker answers within the retry timeout.
   */
  async topic(name: string, signal = this.signal): Promise<TopicMetadata> {
    const known = this.topics.get(name)
    if (known !== undefined && !this.stale(name)) return known
    const patience = performance.now() + UNKNOWN_TOPIC_PATIENCE_MS
    return retrying(`topic ${name}`, this.retryRules(signal), async () => {
      await this.refresh([name])
      const found = this.topics.get(name)
      if (found !== undefined) return found
      const error = new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name}`, 'there is no such topic')
      throw performance.now() < patience ? error : Object.assign(error, { retriable: false })
    })
  }

  /** What is known now; no request. */
  known(name: string): TopicMetadata | null {
    return this.topics.get(name) ?? null
  }

  /** The leader as it is known now; -1 for none. */
  leader(topic: string, partition: number): number {
    return this.topics.get(topic)?.partitions[partition]?.leader ?? -1
  }

  /** Whether a topic's metadata is older than it may be. */
  stale(name: string): boolean {
    const known = this.topics.get(name)
    return known === undefined || performance.now() - known.fetchedAt >= this.options.metadataMaxAgeMs
  }

  /** For how many milliseconds the brokers have answered that there is no such topic; 0 when they know it, or were not asked. */
  missingForMs(name: string): number {
    const since = this.missing.get(name)
    return since === undefined ? 0 : performance.now() - since
  }

  /** A broker told the new leader with its refusal (KIP-951). False when that is no news. */
  moved(topic: string, partition: number, told: { readonly leaderId: number; readonly leaderEpoch: number }): boolean {
    const known = this.topics.get(topic)
    const before = known?.partitions[partition]
    if (known === undefined || before === undefined || told.leaderId < 0 || !this.brokers.has(told.leaderId))
      return false
    if (told.leaderEpoch <= before.leaderEpoch) return false
    const after = { ...before, leader: told.leaderId, leaderEpoch: told.leaderEpoch }
    this.topics.set(topic, { ...known, partitions: known.partitions.with(partition, after) })
    return true
  }

  /**
   * Asks for these topics anew; those that do not exist are unknown afterwards. Requests for the same topics share one answer. Rejects with
   * `KafkaError` for another error of one of them, after the others were learnt.
   */
  async refresh(names: readonly string[]): Promise<void> {
    const running = this.refreshing
    if (running !== null && names.every((name) => running.names.includes(name))) return running.answer
    const answer = this.fetchMetadata(names).then((topics) => this.learnAll(topics))
    this.refreshing = { names, answer }
    try {
      await answer
    } finally {
      if (this.refreshing?.answer === answer) this.refreshing = null
    }
  }

  /** What one certain broker tells of a topic now, without learning it; a topic without partitions when it does not know it. */
  async toldBy(pool: ConnectionPool, broker: number, name: string): Promise<TopicMetadata> {
    const connection = await this.broker(pool, broker)
    const answer = await connection.send(MetadataApi, metadataRequest([name]), METADATA_TIMEOUT_MS)
    const [topic] = answer.topics
    return topic?.errorCode === ErrorCode.NONE ? toMetadata(topic) : { ...NO_TOPIC, name }
  }

  /** All topics, by one request. */
  async allTopics(): Promise<readonly TopicMetadata[]> {
    return retrying('list of topics', this.retryRules(), async () =>
      (await this.fetchMetadata(null)).filter(({ errorCode }) => errorCode === ErrorCode.NONE).map(toMetadata),
    )
  }

  /** Brokers and controller, by one request. */
  async refreshBrokers(): Promise<void> {
    await this.fetchMetadata([])
  }

  /** A connection of the caller's pool to a broker. Rejects with `ConnectionError` when the broker is not known. */
  async broker(pool: ConnectionPool, id: number): Promise<Connection> {
    const address = this.brokers.get(id)
    if (address === undefined)
      throw new ConnectionError(id < 0 ? 'there is no leader now' : `broker ${id} does not serve clients now`)
    return pool.to(address)
  }

  /** Sends to the brokers in turn until one answers; those that failed lately come last. */
  async sendToAny<Q, R>(
    api: Api<Q, R>,
    request: Versioned<Q>,
    options: { pool?: ConnectionPool; timeoutMs?: number } = {},
  ): Promise<R> {
    const { pool = this.pool, timeoutMs } = options
    let last: unknown = new ConnectionError('no bootstrap server was given')
    for (const address of this.candidates()) {
      const key = addressText(address)
      try {
        const answer = await (await pool.to(address)).send(api, request, timeoutMs)
        this.failedAt.delete(key)
        return answer
      } catch (error) {
        if (error instanceof KafkaError || this.signal.aborted) throw error
        this.failedAt.set(key, performance.now())
        last = error
      }
    }
    throw last
  }

  /** The rules of a try that is repeated for as long as the client was told to. */
  retryRules(signal: AbortSignal = this.signal): RetryRules {
    const { retryBackoffMs: backoffMs, retryBackoffMaxMs: backoffMaxMs, retryTimeoutMs: timeoutMs } = this.options
    return { backoffMs, backoffMaxMs, timeoutMs, signal }
  }

  close(): void {
    this.closing.abort()
    this.pool.close()
  }

  private candidates(): readonly Address[] {
    const known = [...this.brokers.values()]
    const texts = new Set(known.map(addressText))
    const all = [...known, ...this.options.bootstrap.filter((address) => !texts.has(addressText(address)))]
    const failedAt = (address: Address): number => this.failedAt.get(addressText(address)) ?? 0
    return all.toSorted((a, b) => failedAt(a) - failedAt(b))
  }

  private async fetchMetadata(names: readonly string[] | null): Promise<readonly MetadataTopic[]> {
    const request = metadataRequest(names)
    const timeoutMs = Math.min(METADATA_TIMEOUT_MS, this.options.requestTimeoutMs)
    const answer = await this.sendToAny(MetadataApi, request, { timeoutMs })
    if (answer.errorCode !== ErrorCode.NONE) throw new KafkaError(answer.errorCode as ErrorCode, 'metadata')
    if (answer.brokers.length === 0) throw new ConnectionError('the cluster has no broker that serves clients yet')
    this.brokers = new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]))
    this.controllerId = answer.controllerId
    return answer.topics
  }

  private learnAll(topics: readonly MetadataTopic[]): void {
    let failure: KafkaError | null = null
    for (const topic of topics) {
      const name = topic.name ?? ''
      if (topic.errorCode === ErrorCode.NONE) this.learn(name, toMetadata(topic))
      else if (topic.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) this.forget(name)
      else failure ??= new KafkaError(topic.errorCode as ErrorCode, `topic ${name}`)
    }
    if (failure !== null) throw failure
  }

  private learn(name: string, fresh: TopicMetadata): void {
    this.missing.delete(name)
    const known = this.topics.get(name)
    if (known?.topicId !== fresh.topicId) return void this.topics.set(name, fresh)
    // A broker that lags behind must not take back a change of leader that another one told.
    const partitions = fresh.partitions.map((partition, at) => {
      const before = known.partitions[at]
      return before !== undefined && before.leaderEpoch > partition.leaderEpoch ? before : partition
    })
    this.topics.set(name, { ...fresh, partitions })
  }

  /** The brokers say that there is no such topic. */
  private forget(name: string): void {
    this.topics.delete(name)
    if (!this.missing.has(name)) this.missing.set(name, performance.now())
  }
}

const NO_TOPIC = { topicId: ZERO_UUID, internal: false, partitions: [], fetchedAt: 0 }

/** Null asks for all topics. */
function metadataRequest(names: readonly string[] | null): MetadataRequest {
  return {
    topics: names?.map((name) => ({ name, topicId: ZERO_UUID })) ?? null,
    allowAutoTopicCreation: false,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
  }
}

function toMetadata(topic: MetadataTopic): TopicMetadata {
  const partitions = topic.partitions.toSorted((a, b) => a.partitionIndex - b.partitionIndex)
  return {
    name: topic.name ?? '',
    topicId: topic.topicId,
    internal: topic.isInternal,
    fetchedAt: performance.now(),
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
