import { type Codec, ErrorCode } from '@millrace/base'
import { ProduceApi, type ProduceResponse } from '@millrace/protocol'
import type { Cluster } from './cluster.ts'
import { ConnectionError, KafkaError, mayRetry, TimeoutError } from './errors.ts'
import { partitionOfKey } from './partitioner.ts'
import { type Batch, PartitionQueue, type Pending } from './producer-queue.ts'
import { type ProducerRecord, type SentRecord, toBytes } from './records.ts'

export interface ProducerOptions {
  /** `all`: on every in-sync replica; 1: on the leader; 0: not awaited. Default `all`. */
  readonly acks?: 'all' | 1 | 0
  /** Default `none`. */
  readonly compression?: Codec
  /** How long a batch waits for company. Default 5 ms. */
  readonly lingerMs?: number
  /** A batch of this size leaves at once. Default 64 KiB. */
  readonly batchBytes?: number
  /** The largest batch. Default 900,000 bytes, which fits the broker's default of `max.message.bytes`. */
  readonly maxBatchBytes?: number
  /** `send` waits while this much is buffered. Default 32 MiB. */
  readonly bufferBytes?: number
  /** A record that was not acknowledged after this time fails. Default 120 s. */
  readonly deliveryTimeoutMs?: number
  /** How long the broker may wait for its replicas. Default 30 s. */
  readonly requestTimeoutMs?: number
}

interface Flight {
  readonly queue: PartitionQueue
  readonly batch: Batch
}

type PartitionAnswer = ProduceResponse['responses'][number]['partitionResponses'][number]

const MAX_IN_FLIGHT_PER_BROKER = 5
const MAX_REQUEST_BYTES = 8 * 1024 * 1024

/**
 * Sends records. Batches by partition, at most one batch of a partition on its way, so that the order within a partition is the order
 * of `send` whatever is repeated. Without idempotence a retry may write a record twice.
 */
export class Producer {
  private readonly cluster: Cluster
  private readonly options: Required<ProducerOptions>
  private readonly queues = new Map<string, Map<number, PartitionQueue>>()
  private readonly inFlight = new Map<number, number>()
  private readonly roomWaiters: (() => void)[] = []
  private readonly stickyPartitions = new Map<string, number>()
  private buffered = 0
  private flushing = 0
  private idleWaiters: (() => void)[] = []
  private timer: NodeJS.Timeout | null = null
  private scheduled = false
  private refreshing = false
  private closed = false

  constructor(cluster: Cluster, options: ProducerOptions) {
    this.cluster = cluster
    this.options = {
      acks: 'all',
      compression: 'none',
      lingerMs: 5,
      batchBytes: 65_536,
      maxBatchBytes: 900_000,
      bufferBytes: 32 << 20,
      deliveryTimeoutMs: 120_000,
      requestTimeoutMs: 30_000,
      ...options,
    }
  }

  /**
   * Resolves when the record is acknowledged as `acks` asks. Rejects with `KafkaError` for what retries cannot mend, and with
   * `TimeoutError` after the delivery timeout; then the record may or may not be in the log.
   */
  async send(record: ProducerRecord): Promise<SentRecord> {
    if (this.closed) throw new KafkaError(ErrorCode.INVALID_REQUEST, 'producer', 'it was closed')
    const topic = this.cluster.known(record.topic) ?? (await this.cluster.topic(record.topic))
    while (this.buffered >= this.options.bufferBytes)
      await new Promise<void>((resolve) => this.roomWaiters.push(resolve))
    const key = toBytes(record.key)
    const partition = record.partition ?? this.choose(record.topic, key, topic.partitions.length)
    if (!Number.isInteger(partition) || partition < 0 || partition >= topic.partitions.length)
      throw new KafkaError(
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        `partition ${partition} of topic ${record.topic}`,
        `it has partitions 0 to ${topic.partitions.length - 1}`,
      )
    const now = Date.now()
    const headers = Object.entries(record.headers ?? {}).map(([name, value]) => ({ key: name, value: toBytes(value) }))
    const made = { timestamp: record.timestamp ?? now, key, value: toBytes(record.value), headers }
    return new Promise((resolve, reject) => {
      const queue = this.queue(record.topic, partition)
      this.buffered += queue.add({ record: made, deadline: now + this.options.deliveryTimeoutMs, resolve, reject }, now)
      this.schedule()
    })
  }

  /** Sends what waits without lingering; resolves when nothing is on its way any more. */
  async flush(): Promise<void> {
    this.flushing++
    try {
      this.schedule()
      while (this.buffered > 0) await new Promise<void>((resolve) => this.idleWaiters.push(resolve))
    } finally {
      this.flushing--
    }
  }

  /** Flushes; `send` fails from now on. */
  async close(): Promise<void> {
    this.closed = true
    await this.flush()
    if (this.timer !== null) clearTimeout(this.timer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Records without a key go to one partition until its batch leaves, then to another. */
  private choose(topic: string, key: Uint8Array | null, partitions: number): number {
    if (key !== null) return partitionOfKey(key, partitions)
    const sticky = this.stickyPartitions.get(topic)
    if (sticky !== undefined && sticky < partitions) return sticky
    const chosen = Math.floor(Math.random() * partitions)
    this.stickyPartitions.set(topic, chosen)
    return chosen
  }

  private queue(topic: string, partition: number): PartitionQueue {
    const byPartition = this.queues.get(topic) ?? new Map<number, PartitionQueue>()
    this.queues.set(topic, byPartition)
    const queue = byPartition.get(partition) ?? new PartitionQueue(topic, partition)
    byPartition.set(partition, queue)
    return queue
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      this.pump()
    })
  }

  private pump(): void {
    const now = Date.now()
    const rules = { lingerMs: this.options.lingerMs, batchBytes: this.options.batchBytes, flushing: this.flushing > 0 }
    const byLeader = new Map<number, Flight[]>()
    let next = Number.POSITIVE_INFINITY
    for (const byPartition of this.queues.values()) {
      for (const queue of byPartition.values()) {
        if (!queue.inFlight) this.expire(queue, now)
        const due = queue.dueAt(rules)
        if (due > now) next = Math.min(next, due)
        else if (!this.depart(queue, byLeader)) next = Math.min(next, now + this.cluster.options.retryBackoffMs)
      }
    }
    for (const [leader, flights] of byLeader) void this.fly(leader, flights)
    this.wakeAt(next, now)
  }

  private wakeAt(next: number, now: number): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = next === Number.POSITIVE_INFINITY ? null : setTimeout(() => this.pump(), Math.max(1, next - now))
  }

  /** Takes the queue's batch for its leader; false when there is no leader now. */
  private depart(queue: PartitionQueue, byLeader: Map<number, Flight[]>): boolean {
    const leader = this.cluster.known(queue.topic)?.partitions[queue.partition]?.leader ?? -1
    if (leader < 0) {
      this.refresh()
      return false
    }
    const flights = byLeader.get(leader) ?? []
    // The answer of what is on its way pumps again.
    if ((this.inFlight.get(leader) ?? 0) >= MAX_IN_FLIGHT_PER_BROKER) return true
    if (flights.length > 0 && flights.reduce((sum, { batch }) => sum + batch.encoded.length, 0) > MAX_REQUEST_BYTES)
      return true
    flights.push({ queue, batch: queue.take(this.options.maxBatchBytes, this.options.compression) })
    queue.inFlight = true
    byLeader.set(leader, flights)
    if (this.stickyPartitions.get(queue.topic) === queue.partition) this.stickyPartitions.delete(queue.topic)
    return true
  }

  private async fly(leader: number, flights: readonly Flight[]): Promise<void> {
    this.inFlight.set(leader, (this.inFlight.get(leader) ?? 0) + 1)
    try {
      const answers = await this.produce(leader, flights)
      for (const flight of flights)
        this.land(flight, answers.get(flightKey(flight.queue.topic, flight.queue.partition)))
    } catch (error) {
      for (const flight of flights) this.failed(flight, error as Error)
    } finally {
      this.inFlight.set(leader, (this.inFlight.get(leader) ?? 1) - 1)
      for (const { queue } of flights) queue.inFlight = false
      this.schedule()
    }
  }

  private async produce(leader: number, flights: readonly Flight[]): Promise<ReadonlyMap<string, PartitionAnswer>> {
    const acks = this.options.acks === 'all' ? -1 : this.options.acks
    const topics = Map.groupBy(flights, ({ queue }) => queue.topic)
    const request = {
      transactionalId: null,
      acks,
      timeoutMs: this.options.requestTimeoutMs,
      topicData: [...topics].map(([name, ofTopic]) => ({
        name,
        partitionData: ofTopic.map(({ queue, batch }) => ({ index: queue.partition, records: batch.encoded })),
      })),
    }
    const connection = await this.cluster.broker(leader)
    const answers = new Map<string, PartitionAnswer>()
    if (acks === 0) {
      await connection.sendOnly(ProduceApi, request)
      for (const { queue } of flights)
        answers.set(flightKey(queue.topic, queue.partition), { ...UNKNOWN_PLACE, index: queue.partition })
      return answers
    }
    const answer = await connection.send(ProduceApi, request, this.options.requestTimeoutMs + 5_000)
    for (const { name, partitionResponses } of answer.responses)
      for (const partition of partitionResponses) answers.set(flightKey(name, partition.index), partition)
    return answers
  }

  private land(flight: Flight, answer: PartitionAnswer | undefined): void {
    const { queue, batch } = flight
    if (answer === undefined)
      return this.failed(flight, new ConnectionError('the broker left a partition out of its answer'))
    const code = answer.errorCode as ErrorCode
    if (code === ErrorCode.NONE) {
      batch.records.forEach((pending, at) =>
        pending.resolve({
          topic: queue.topic,
          partition: queue.partition,
          offset: answer.baseOffset < 0 ? -1 : answer.baseOffset + at,
          timestamp: answer.logAppendTimeMs >= 0 ? answer.logAppendTimeMs : pending.record.timestamp,
        }),
      )
      return this.release(batch.records)
    }
    if (code === ErrorCode.MESSAGE_TOO_LARGE && batch.records.length > 1) return this.halve(flight)
    this.failed(flight, new KafkaError(code, `topic ${queue.topic} partition ${queue.partition}`, answer.errorMessage))
  }

  /** Sends the halves of a batch that the broker found too large, one after the other. */
  private halve({ queue, batch }: Flight): void {
    const half = Math.ceil(batch.records.length / 2)
    const limit = batch.records.slice(0, half).reduce((sum, { bytes }) => sum + bytes, 0)
    queue.split({ ...batch, records: batch.records.slice(half) })
    queue.split({ ...batch, records: batch.records.slice(0, half) })
    queue.repeat(queue.take(limit, this.options.compression), 0)
  }

  private failed({ queue, batch }: Flight, error: Error): void {
    if (mayRetry(error)) {
      this.refresh()
      queue.repeat(batch, Date.now() + this.cluster.options.retryBackoffMs)
      return
    }
    for (const pending of batch.records) pending.reject(error)
    this.release(batch.records)
  }

  private expire(queue: PartitionQueue, now: number): void {
    const gone = queue.expire(now)
    if (gone.length === 0) return
    const error = new TimeoutError(
      `topic ${queue.topic} partition ${queue.partition}: not acknowledged within ${this.options.deliveryTimeoutMs} ms`,
    )
    for (const pending of gone) pending.reject(error)
    this.release(gone)
  }

  private release(records: readonly Pending[]): void {
    for (const { bytes } of records) this.buffered -= bytes
    if (this.buffered < this.options.bufferBytes) for (const wake of this.roomWaiters.splice(0)) wake()
    if (this.buffered === 0) for (const wake of this.idleWaiters.splice(0)) wake()
  }

  /** Asks for the metadata of all topics in use; one request at a time. */
  private refresh(): void {
    if (this.refreshing) return
    this.refreshing = true
    this.cluster
      .refresh([...this.queues.keys()])
      .catch(() => undefined)
      .finally(() => {
        this.refreshing = false
        this.schedule()
      })
  }
}

const UNKNOWN_PLACE = Object.freeze({
  index: 0,
  errorCode: 0,
  baseOffset: -1,
  logAppendTimeMs: -1,
  logStartOffset: -1,
  recordErrors: [],
  errorMessage: null,
  currentLeader: {
    leaderId: -1,
    leaderEpoch: -1,
  },
})

function flightKey(topic: string, partition: number): string {
  return `${topic}/${partition}`
}
