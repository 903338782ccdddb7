import { type Codec, ErrorCode } from '@millrace/base'
import type { Cluster, TopicMetadata } from './cluster.ts'
import { ClosedError, KafkaError } from './errors.ts'
import { Flushes } from './flushes.ts'
import { checkChoice, checkNumbers, withDefaults } from './options.ts'
import { murmur2, partitionOfKey } from './partitioner.ts'
import type { Accepted, Waiter } from './producer-batch.ts'
import { ProducerSender } from './producer-sender.ts'
import { checkRecord, type Data, type ProducerRecord, type SentRecord } from './records.ts'
import { closingSignal } from './retry.ts'
import { AllOutcomes, OneOutcome } from './send-outcomes.ts'

/** How a producer trades safety, latency and throughput. */
export interface ProducerOptions {
  /** `all`: on every in-sync replica; 1: on the leader; 0: not awaited, so a loss shows nowhere. Default `all`. */
  readonly acks?: 'all' | 1 | 0
  /**
   * Whether a record that is sent again, because its answer was lost, is recognised by the broker and not written twice. Default: true with
   * acks `all`, which it needs.
   */
  readonly idempotent?: boolean
  /** Default `none`. */
  readonly compression?: Codec
  /** How long a batch waits for company. Default 5 ms. */
  readonly lingerMs?: number
  /** A batch of this size leaves at once. Default 64 KiB. */
  readonly batchBytes?: number
  /** The largest batch, before compression. Default 900,000 bytes, which fits the broker's default of `max.message.bytes`. */
  readonly maxBatchBytes?: number
  /** `send` waits while this much is buffered, with 128 bytes for each record beside its own. Default 32 MiB. */
  readonly bufferBytes?: number
  /**
   * A record that was not acknowledged after this time fails; where its request is on its way just then, after its answer or
   * `requestTimeoutMs`. Default 120 s.
   */
  readonly deliveryTimeoutMs?: number
  /** How long the broker may wait for its replicas; 5 s later the connection counts as broken. Default 30 s. */
  readonly requestTimeoutMs?: number
}

export interface CloseOptions {
  /** What is not acknowledged by then fails with `ClosedError`. Default: no limit but the delivery timeout. */
  readonly timeoutMs?: number
}

const MAX_SCRATCH_TEXT = 256
const DEFAULTS: Required<Omit<ProducerOptions, 'idempotent'>> = {
  acks: 'all',
  compression: 'none',
  lingerMs: 5,
  batchBytes: 65_536,
  maxBatchBytes: 900_000,
  bufferBytes: 32 << 20,
  deliveryTimeoutMs: 120_000,
  requestTimeoutMs: 30_000,
}

/**
 * Sends records. Batches by partition, several of them on their way where the broker puts them in order and one where not, so that the order within
 * a partition is the order of `send` whatever is repeated; and unless `idempotent` is false nothing is written twice.
 */
export class Producer implements AsyncDisposable {
  private readonly cluster: Cluster
  private readonly options: Required<ProducerOptions>
  private readonly flushes = new Flushes()
  private readonly sender: ProducerSender
  private readonly stickyPartitions = new Map<string, number>()
  /** Records of topics that are being looked up. Later ones of the same topic go behind them. */
  private readonly lookups = new Map<string, Accepted[]>()
  /** Records that wait for room, in the order of `send`. */
  private entrance: Accepted[] = []
  private admitted = 0
  /** Where the bytes of a key are looked at. */
  private readonly scratch = Buffer.allocUnsafeSlow(MAX_SCRATCH_TEXT * 3)
  private readonly closing = new AbortController()
  private readonly signal: AbortSignal
  private readonly whenClosed: () => void
  private closed: Promise<void> | null = null
  /** As `signal.aborted`, which costs too much to ask for every record. */
  private ended = false

  constructor(cluster: Cluster, options: ProducerOptions = {}, whenClosed: () => void = () => undefined) {
    this.cluster = cluster
    const given = withDefaults(DEFAULTS, options)
    this.options = { ...given, idempotent: given.idempotent ?? given.acks === 'all' }
    checkChoice('acks', this.options.acks, ['all', 1, 0])
    checkChoice('idempotent', this.options.idempotent, this.options.acks === 'all' ? [true, false] : [false])
    checkChoice('compression', this.options.compression, ['none', 'gzip', 'snappy', 'lz4', 'zstd'])
    checkNumbers({ ...this.options }, 0, ['lingerMs', 'deliveryTimeoutMs'])
    checkNumbers({ ...this.options }, 1, ['batchBytes', 'maxBatchBytes', 'bufferBytes', 'requestTimeoutMs'])
    this.signal = closingSignal(this.closing, cluster.signal)
    this.ended = this.signal.aborted
    this.signal.addEventListener('abort', () => (this.ended = true), { once: true })
    this.sender = new ProducerSender(cluster, this.options, { flushes: this.flushes, released: () => this.admit() })
    this.whenClosed = whenClosed
  }

  /**
   * Resolves when the record is acknowledged as `acks` asks. Rejects with `KafkaError` for what retries can not mend, with
   * `TimeoutError` after the delivery timeout (then the record may or may not be in the log), with `ClosedError`, and with `TypeError` for
   * what is no record. While the buffer is full it waits, first come first served.
   */
  send(record: ProducerRecord): Promise<SentRecord> {
    return new Promise((resolve, reject) => this.accept(record, new OneOutcome(resolve, reject), 0))
  }

  /**
   * Sends many at the cost of one promise. Resolves with their places, in the order given, when all are acknowledged; rejects with
   * `SendAllError`, which has the outcome of each, when every one is settled and some failed.
   */
  sendAll(records: readonly ProducerRecord[]): Promise<readonly SentRecord[]> {
    if (records.length === 0) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      const outcomes = new AllOutcomes(records.length, resolve, reject)
      records.forEach((record, at) => this.accept(record, outcomes, at))
    })
  }

  /** Sends what waits without lingering; resolves when everything that was sent before this call is acknowledged or has failed. */
  flush(): Promise<void> {
    const all = this.flushes.all()
    this.sender.hurry()
    return all
  }

  /** Flushes, then closes the producer's connections; `send` fails from now on. Never rejects. */
  close(options: CloseOptions = {}): Promise<void> {
    this.closed ??= this.shut(options)
    return this.closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private async shut({ timeoutMs }: CloseOptions): Promise<void> {
    const timer = timeoutMs === undefined ? null : setTimeout(() => this.abandon(timeoutMs), timeoutMs)
    await this.flush()
    if (timer !== null) clearTimeout(timer)
    this.closing.abort()
    this.sender.close()
    this.whenClosed()
  }

  private abandon(timeoutMs: number): void {
    const error = new ClosedError(`the producer was closed, and the record was not acknowledged within ${timeoutMs} ms`)
    this.closing.abort()
    const waiting = [...this.entrance.splice(this.admitted), ...[...this.lookups.values()].flat()]
    this.entrance = []
    this.admitted = 0
    this.lookups.clear()
    for (const arrival of waiting) this.refuse(arrival, error)
    this.sender.abandon(error)
  }

  private accept(record: ProducerRecord, waiter: Waiter, place: number): void {
    try {
      if (this.closed !== null || this.ended) throw new ClosedError('the producer was closed')
      checkRecord(record)
    } catch (error) {
      return waiter.failed(place, error as Error)
    }
    const now = performance.now()
    const deadline = now + this.options.deliveryTimeoutMs
    const arrival = { record, waiter, place, epoch: this.flushes.epoch, deadline }
    const topic = this.cluster.known(record.topic)
    const ready = topic !== null && this.entrance.length === 0 && this.lookups.get(record.topic) === undefined
    if (ready && this.hasRoom) this.place(arrival, topic, now)
    else this.hold(arrival)
  }

  private get hasRoom(): boolean {
    return this.sender.bufferedBytes < this.options.bufferBytes
  }

  private hold(arrival: Accepted): void {
    this.flushes.begin(arrival.epoch)
    const { topic } = arrival.record
    const lookup = this.lookups.get(topic)
    if (lookup !== undefined) return void lookup.push(arrival)
    if (this.cluster.known(topic) !== null) return void this.entrance.push(arrival)
    this.lookups.set(topic, [arrival])
    void this.lookUp(topic)
  }

  /** Never rejects: those who wait are told. */
  private async lookUp(name: string): Promise<void> {
    const failure = await this.cluster.topic(name, this.signal).then(
      () => null,
      (error: Error) => error,
    )
    const waiting = this.lookups.get(name) ?? []
    this.lookups.delete(name)
    if (failure !== null) for (const arrival of waiting) this.refuse(arrival, failure)
    else for (const arrival of waiting) this.entrance.push(arrival)
    this.admit()
  }

  /** Lets in who waits for room, in order, while there is some. */
  private admit(): void {
    const now = performance.now()
    while (this.admitted < this.entrance.length && this.hasRoom) {
      const arrival = this.entrance[this.admitted++] as Accepted
      const topic = this.cluster.known(arrival.record.topic)
      if (topic === null)
        this.refuse(
          arrival,
          new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${arrival.record.topic}`, GONE),
        )
      else {
        this.place(arrival, topic, now)
        this.flushes.end(arrival.epoch)
      }
    }
    if (this.admitted < this.entrance.length && this.admitted < 1_024) return
    this.entrance.splice(0, this.admitted)
    this.admitted = 0
  }

  private refuse({ waiter, place, epoch }: Accepted, error: Error): void {
    waiter.failed(place, error)
    this.flushes.end(epoch)
  }

  private place(arrival: Accepted, topic: TopicMetadata, now: number): void {
    const { record, waiter, place } = arrival
    const count = topic.partitions.length
    const partition = record.partition ?? this.choose(record, topic)
    if (!Number.isInteger(partition) || partition < 0 || partition >= count)
      return waiter.failed(
        place,
        new KafkaError(
          ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
          `partition ${partition} of topic ${record.topic}`,
          `it has partitions 0 to ${count - 1}`,
        ),
      )
    this.sender.add(record.topic, partition, arrival, now)
  }

  private partitionOf(key: Data, partitions: number): number {
    if (typeof key !== 'string') return partitionOfKey(key, partitions)
    if (key.length > MAX_SCRATCH_TEXT) return partitionOfKey(Buffer.from(key), partitions)
    return (murmur2(this.scratch, 0, this.scratch.write(key, 'utf8')) & 0x7fffffff) % partitions
  }

  /** Records without a key go to one partition until its batch is full or leaves, then to another one that has a leader. */
  private choose({ topic: name, key }: ProducerRecord, topic: TopicMetadata): number {
    const { partitions } = topic
    if (key !== undefined && key !== null) return this.partitionOf(key, partitions.length)
    const sticky = this.stickyPartitions.get(name)
    if (sticky !== undefined && sticky < partitions.length && this.sender.gathers(name, sticky)) return sticky
    const led = partitions.filter(({ leader }) => leader >= 0)
    const from = led.length > 0 ? led : partitions
    const chosen = from[Math.floor(Math.random() * from.length)]?.partition ?? 0
    this.stickyPartitions.set(name, chosen)
    return chosen
  }
}

const GONE = 'it was deleted while the record waited'
