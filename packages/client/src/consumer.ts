import { ErrorCode, MillraceError } from '@millrace/base'
import { BatchReader } from './batch-reader.ts'
import type { Cluster } from './cluster.ts'
import { ConnectionPool } from './connection-pool.ts'
import { ClosedError, KafkaError } from './errors.ts'
import { type FetchedChunk, Fetcher, type FetchPosition, type FetchRules, newPosition } from './fetcher.ts'
import { EARLIEST, LATEST, listOffsets, type OffsetQuery, type OffsetRules } from './offsets.ts'
import { checkChoice, checkNumbers, withDefaults } from './options.ts'
import type { ConsumedRecord } from './records.ts'
import { closingSignal } from './retry.ts'

/** Where to begin: an offset, the first record at or after a time (milliseconds), the log's start or its end. */
export type StartPosition = 'earliest' | 'latest' | { readonly offset: number } | { readonly timestamp: number }

/** What to read, and from where. */
export interface Assignment {
  readonly topic: string
  /** All partitions where it is left out; also those that are added while a consumer without `until` reads. */
  readonly partition?: number
  /** Default `earliest`. */
  readonly from?: StartPosition
}

/** What a consumer reads, and how. */
export interface ConsumerOptions {
  readonly assign: readonly Assignment[]
  /** `end`: stops after the records that were there at the start. Default: goes on for ever. */
  readonly until?: 'end'
  /** How long the broker may wait for `minBytes`. Default 500 ms. */
  readonly maxWaitMs?: number
  /** Default 1: an answer comes as soon as there is a record. */
  readonly minBytes?: number
  /** The most one fetch brings of one partition; a batch that is larger comes whole. Default 1 MiB. */
  readonly maxPartitionBytes?: number
  /** The most that is held or on its way, before decompression. Default 32 MiB. */
  readonly prefetchBytes?: number
  /** Leave out the records of aborted transactions, and wait for those that are undecided. Default true. */
  readonly committedOnly?: boolean
  /** What to do when the position is outside of the log, or the topic was created again. Default `fail`. */
  readonly onOutOfRange?: 'earliest' | 'latest' | 'fail'
  /**
   * How long a partition may make no progress because of errors that may pass, before the iteration fails with the last one. Default: the
   * client's retry timeout with `until: 'end'`, else never; a topic that is gone fails after the retry timeout in any case.
   */
  readonly giveUpAfterMs?: number
}

/** The offset after the last record that was handed out. */
export interface ConsumerPosition {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

const DEFAULTS = {
  maxWaitMs: 500,
  minBytes: 1,
  maxPartitionBytes: 1 << 20,
  prefetchBytes: 32 << 20,
  committedOnly: true,
  onOutOfRange: 'fail' as const,
}

/**
 * Reads assigned partitions, without a group. Iterate it once: `for await (const record of consumer)`. Records of a partition come in the
 * order of their offsets, each once; while they are handled, the next fetches are under way. Leaders that move and brokers that restart are
 * followed. The iteration rejects with `KafkaError`, `TimeoutError`, `ProtocolError` for corrupt batches.
 */
export class Consumer implements AsyncIterable<ConsumedRecord> {
  private readonly cluster: Cluster
  private readonly options: Omit<FetchRules, 'wholeTopics'> & Pick<ConsumerOptions, 'assign' | 'until'>
  private readonly pool: ConnectionPool
  private readonly closing = new AbortController()
  private readonly signal: AbortSignal
  private readonly whenClosed: () => void
  private readonly positions: FetchPosition[] = []
  private starting: Promise<Fetcher> | null = null
  private iterated = false
  /** As `signal.aborted`, which costs too much to ask for every record. */
  private ended: boolean
  private chunk: FetchedChunk | null = null
  private reader: BatchReader | null = null
  private records: readonly ConsumedRecord[] = []
  private at = 0
  private pulls = 0
  private pulling: Promise<unknown> = Promise.resolve()
  private wake: (() => void) | null = null

  constructor(cluster: Cluster, options: ConsumerOptions, whenClosed: () => void = () => undefined) {
    const giveUpAfterMs = options.until === 'end' ? cluster.options.retryTimeoutMs : Number.POSITIVE_INFINITY
    this.cluster = cluster
    this.options = withDefaults({ ...DEFAULTS, giveUpAfterMs }, options)
    checkOptions(options, this.options)
    this.pool = new ConnectionPool(cluster.options)
    this.signal = closingSignal(this.closing, cluster.signal)
    this.ended = this.signal.aborted
    this.signal.addEventListener('abort', () => this.stopped(), { once: true })
    this.whenClosed = whenClosed
  }

  /** Where each assigned partition would be read on; empty until the first record was asked for. Past gaps and control records. */
  get position(): readonly ConsumerPosition[] {
    return this.positions.map(({ topic, partition, consumed }) => ({ topic, partition, offset: consumed }))
  }

  [Symbol.asyncIterator](): AsyncIterator<ConsumedRecord, undefined> {
    this.iterateOnce()
    return {
      next: () => {
        // Records that are there already need no turn of their own.
        const record = this.pulls === 0 ? this.nextOfBatch() : null
        if (record !== null) return Promise.resolve({ value: record, done: false })
        return this.pull(async () => {
          for (;;) {
            const next = this.nextOfBatch()
            if (next !== null) return next
            if (!(await this.readBatch())) return null
          }
        })
      },
      return: () => this.returned(),
    }
  }

  /** The same records a batch of one partition at a time: cheaper where there are many. Instead of iterating the consumer itself. */
  batches(): AsyncIterable<readonly ConsumedRecord[]> {
    return {
      [Symbol.asyncIterator]: () => {
        this.iterateOnce()
        return {
          next: () =>
            this.pull(async () => {
              if (!(await this.readBatch())) return null
              this.at = this.records.length
              this.passBatch()
              return this.records
            }),
          return: () => this.returned(),
        }
      },
    }
  }

  /**
   * Goes on at another place; what was fetched and not handed out is dropped. Resolves with the offset. With `until: 'end'` the end stays.
   * Rejects with `KafkaError` when the partition is not assigned.
   */
  async seek(place: { readonly topic: string; readonly partition: number }, to: StartPosition): Promise<number> {
    const fetcher = await this.start()
    const { topic, partition } = place
    const position = this.positions.find((known) => known.topic === topic && known.partition === partition)
    if (position === undefined)
      throw new KafkaError(
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        `partition ${partition} of topic ${topic}`,
        'it is not assigned to this consumer',
      )
    checkStart(to)
    const offset = await this.startOffset(place, to)
    if (this.chunk?.position === position) {
      this.records = []
      this.reader = null
    }
    fetcher.seek(position, offset)
    return offset
  }

  /** Ends the iteration at its next step and closes the consumer's connections. `position` stays readable. */
  close(): void {
    this.closing.abort()
  }

  private stopped(): void {
    this.ended = true
    this.pool.close()
    void this.starting?.then((fetcher) => fetcher.close()).catch(() => undefined)
    this.notify()
    this.whenClosed()
  }

  private iterateOnce(): void {
    if (this.iterated)
      throw new MillraceError('REQUEST_REFUSED', 'This consumer is being iterated already, or was.', {
        fix: 'Create another consumer, from the offsets that `position` tells.',
      })
    this.iterated = true
  }

  private returned(): Promise<IteratorReturnResult<undefined>> {
    this.close()
    return Promise.resolve({ value: undefined, done: true })
  }

  /** Pulls run one after the other, whatever the caller does; after a failure there is nothing more. */
  private pull<T>(step: () => Promise<T | null>): Promise<IteratorResult<T, undefined>> {
    this.pulls++
    const result = this.pulling.then(async (): Promise<IteratorResult<T, undefined>> => {
      try {
        const value = this.signal.aborted ? null : await step()
        if (value !== null) return { value, done: false }
        this.close()
        return { value: undefined, done: true }
      } catch (error) {
        const closed = this.signal.aborted
        this.close()
        if (closed) return { value: undefined, done: true }
        throw error
      } finally {
        this.pulls--
      }
    })
    this.pulling = result.catch(() => undefined)
    return result
  }

  private nextOfBatch(): ConsumedRecord | null {
    const record = this.at < this.records.length && !this.ended ? this.records[this.at++] : undefined
    if (record === undefined) return null
    const position = (this.chunk as FetchedChunk).position
    if (this.at === this.records.length) this.passBatch()
    else position.consumed = record.offset + 1
    return record
  }

  private passBatch(): void {
    if (this.chunk !== null && this.reader !== null) this.chunk.position.consumed = this.reader.next
  }

  /** Reads until there are records; false at the end. */
  private async readBatch(): Promise<boolean> {
    const fetcher = await this.start()
    for (;;) {
      this.at = 0
      this.records = this.reader?.read() ?? []
      if (this.records.length > 0) return true
      this.passBatch()
      if (this.reader !== null && !this.reader.done) continue
      if (this.chunk !== null) fetcher.release(this.chunk)
      this.reader = null
      this.chunk = fetcher.shift()
      if (this.chunk !== null) this.reader = readerOf(this.chunk)
      else if (this.signal.aborted) return false
      else if (fetcher.failure !== null) throw fetcher.failure
      else if (fetcher.finished) return false
      else await new Promise<void>((resolve) => (this.wake = resolve))
    }
  }

  private notify(): void {
    this.wake?.()
    this.wake = null
  }

  private start(): Promise<Fetcher> {
    this.starting ??= this.resolvePositions()
    return this.starting
  }

  private async resolvePositions(): Promise<Fetcher> {
    const { assign, until } = this.options
    const rules = { ...this.options, wholeTopics: new Set(until === 'end' ? [] : wholeTopics(assign)) }
    const starts: { readonly place: FetchPosition; readonly from: StartPosition }[] = []
    for (const { topic, partition, from = 'earliest' } of assign) {
      const { partitions, topicId } = await this.cluster.topic(topic, this.signal)
      if (partition !== undefined && partition >= partitions.length)
        throw new KafkaError(
          ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
          `partition ${partition} of topic ${topic}`,
          `it has partitions 0 to ${partitions.length - 1}`,
        )
      for (const one of partition === undefined ? partitions.keys() : [partition])
        starts.push({ place: newPosition({ topic, partition: one, topicId }, 0, Number.POSITIVE_INFINITY), from })
    }
    const ends = until === 'end' ? await this.offsets(starts.map(({ place }) => ({ ...place, timestamp: LATEST }))) : []
    const offsets = await this.startOffsets(starts.map(({ place, from }) => ({ place, from })))
    if (this.signal.aborted) throw new ClosedError('the consumer was closed')
    starts.forEach(({ place }, at) => {
      place.next = offsets[at] as number
      place.consumed = place.next
      place.end = ends[at] ?? Number.POSITIVE_INFINITY
      this.positions.push(place)
    })
    const { cluster, pool, signal } = this
    const fetcher = new Fetcher({ cluster, pool, signal, changed: () => this.notify() }, rules, this.positions)
    fetcher.pump()
    return fetcher
  }

  private async startOffset(place: { topic: string; partition: number }, from: StartPosition): Promise<number> {
    const [offset] = await this.startOffsets([{ place, from }])
    return offset as number
  }

  /** A time after the last record means the end. */
  private async startOffsets(
    starts: readonly { readonly place: { topic: string; partition: number }; readonly from: StartPosition }[],
  ): Promise<number[]> {
    const queries = starts.map(({ place: { topic, partition }, from }) => ({
      topic,
      partition,
      timestamp: timestampOf(from),
    }))
    const asked = queries.filter(({ timestamp }) => timestamp !== null) as OffsetQuery[]
    const found = new Map(asked.map((query, at) => [query, at]))
    const offsets = await this.offsets(asked)
    const late = asked.filter((_, at) => offsets[at] === -1)
    const latest = await this.offsets(late.map((query) => ({ ...query, timestamp: LATEST })))
    late.forEach((query, at) => (offsets[found.get(query) as number] = latest[at] as number))
    return starts.map(({ from }, at) => {
      const asking = found.get(queries[at] as OffsetQuery)
      return asking === undefined ? (from as { offset: number }).offset : (offsets[asking] as number)
    })
  }

  private async offsets(queries: readonly OffsetQuery[]): Promise<number[]> {
    if (queries.length === 0) return []
    const rules: OffsetRules = { pool: this.pool, committedOnly: this.options.committedOnly, signal: this.signal }
    return (await listOffsets(this.cluster, queries, rules)).map(({ offset }) => offset)
  }
}

function readerOf({ position, bytes, from, below, aborted }: FetchedChunk): BatchReader {
  return new BatchReader(bytes, { topic: position.topic, partition: position.partition, from, below, aborted })
}

/** Null where the offset is given. */
function timestampOf(from: StartPosition): number | null {
  if (from === 'earliest') return EARLIEST
  if (from === 'latest') return LATEST
  return 'offset' in from ? null : from.timestamp
}

function wholeTopics(assign: readonly Assignment[]): readonly string[] {
  return assign.filter(({ partition }) => partition === undefined).map(({ topic }) => topic)
}

function checkOptions(given: ConsumerOptions, options: Omit<FetchRules, 'wholeTopics'>): void {
  checkChoice('until', given.until, [undefined, 'end'])
  checkChoice('onOutOfRange', options.onOutOfRange, ['earliest', 'latest', 'fail'])
  checkNumbers({ ...options }, 0, ['maxWaitMs', 'minBytes', 'giveUpAfterMs'])
  checkNumbers({ ...options }, 1, ['maxPartitionBytes', 'prefetchBytes'])
  const seen = new Set<string>()
  for (const { topic, partition, from } of given.assign) {
    if (from !== undefined) checkStart(from)
    if (partition !== undefined && !(Number.isInteger(partition) && partition >= 0))
      throw invalid(`partition ${partition} of topic ${topic} is not possible`, 'Give a whole number from 0.')
    if (seen.has(topic) || seen.has(`${topic}/${partition}`))
      throw invalid(`topic ${topic} is assigned twice`, 'Name each partition once, or the topic without a partition.')
    seen.add(partition === undefined ? topic : `${topic}/${partition}`)
  }
  for (const { topic, partition } of given.assign)
    if (partition !== undefined && seen.has(topic))
      throw invalid(`topic ${topic} is assigned twice`, 'Name each partition once, or the topic without a partition.')
}

function checkStart(from: StartPosition): void {
  if (from === 'earliest' || from === 'latest') return
  const value = 'offset' in from ? from.offset : from.timestamp
  if (!(Number.isSafeInteger(value) && value >= 0))
    throw invalid(`${JSON.stringify(from)} is no place to begin`, 'Give a whole number from 0 as offset or timestamp.')
}

function invalid(message: string, fix: string): MillraceError {
  return new MillraceError('CONFIG_INVALID', message, { fix })
}
