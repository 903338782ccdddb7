import type { Codec } from '@millrace/base'
import { compress, compressAsync, readRecords } from '@millrace/records'
import type { BatchNumbers } from './producer-identity.ts'
import { RecordBuffer, type RecordContent } from './record-buffer.ts'
import type { ProducerRecord, SentRecord } from './records.ts'

/** Who is told how a record fared; `place` is what was given with the record. */
export interface Waiter {
  sent(place: number, record: SentRecord): void
  failed(place: number, error: Error): void
}

/** A record on its way into a batch. Times are milliseconds of `performance.now()`. */
export interface Accepted {
  readonly record: ProducerRecord
  readonly waiter: Waiter
  readonly place: number
  readonly deadline: number
  /** Which flush waits for it: those that were called later than it was sent. */
  readonly epoch: number
}

/** What a record costs beside its bytes: its promise, its place in lists. */
export const RECORD_OVERHEAD_BYTES = 128

/** Records of one partition that travel together. Once sealed its bytes stay: a repeated batch is the same batch, unless it is renumbered. */
export class ProducerBatch {
  /** When the first of its records was accepted. */
  readonly openedAt: number
  /** When its first record has waited for as long as it may. */
  readonly deadline: number
  /** That of its first record, which is the lowest. */
  readonly epoch: number
  /** What it counts against the producer's buffer. */
  bufferedBytes = 0
  /** How often it was sent without success. */
  failures = 0
  lastError: Error | null = null
  /** What a repetition is recognised by, from when it first leaves; null without idempotence. */
  numbers: BatchNumbers | null = null
  private readonly buffer: RecordBuffer
  private readonly waiters: Waiter[] = []
  private readonly places: number[] = []
  private readonly timestamps: number[] = []
  private encoded: Uint8Array | null = null

  constructor(first: { readonly deadline: number; readonly epoch: number }, openedAt: number, capacity: number) {
    this.openedAt = openedAt
    this.deadline = first.deadline
    this.epoch = first.epoch
    this.buffer = new RecordBuffer(capacity)
  }

  get sealed(): boolean {
    return this.encoded !== null
  }

  get count(): number {
    return this.buffer.count
  }

  /** Uncompressed, with its header. */
  get size(): number {
    return this.buffer.size
  }

  /** Returns what the batch grew by in the producer's buffer. */
  add(content: RecordContent, timestamp: number, told: { readonly waiter: Waiter; readonly place: number }): number {
    const before = this.buffer.size
    this.buffer.append(content, timestamp)
    this.waiters.push(told.waiter)
    this.places.push(told.place)
    this.timestamps.push(timestamp)
    const grown = this.buffer.size - before + RECORD_OVERHEAD_BYTES
    this.bufferedBytes += grown
    return grown
  }

  /** The bytes to send, the same ones every time. Codecs that take long run off the main thread. */
  async seal(codec: Codec): Promise<Uint8Array> {
    this.encoded ??= await this.encode(codec)
    return this.encoded
  }

  /** It gets other numbers: the broker would take it for another batch now. */
  renumber(): void {
    this.numbers = null
    this.encoded = null
  }

  private async encode(codec: Codec): Promise<Uint8Array> {
    const { numbers } = this
    if (codec === 'none') return this.buffer.plainBatch(numbers)
    const { section } = this.buffer
    if (codec === 'lz4' || codec === 'snappy') return this.buffer.packedBatch(codec, compress(codec, section), numbers)
    const packed = await new Promise<Uint8Array>((resolve, reject) =>
      compressAsync(codec, section, undefined, (error, bytes) =>
        error === null || error === undefined
          ? resolve(bytes)
          : reject(error instanceof Error ? error : new Error(`${codec} failed`)),
      ),
    )
    return this.buffer.packedBatch(codec, packed, numbers)
  }

  /** Tells every record where it is. */
  settle(
    topic: string,
    partition: number,
    answer: { readonly baseOffset: number; readonly logAppendTimeMs: number },
  ): void {
    const { baseOffset, logAppendTimeMs } = answer
    for (let at = 0; at < this.waiters.length; at++)
      this.waiters[at]?.sent(this.places[at] as number, {
        topic,
        partition,
        offset: baseOffset < 0 ? -1 : baseOffset + at,
        timestamp: logAppendTimeMs >= 0 ? logAppendTimeMs : (this.timestamps[at] as number),
      })
  }

  fail(error: Error): void {
    for (let at = 0; at < this.waiters.length; at++) this.waiters[at]?.failed(this.places[at] as number, error)
  }

  failOne(at: number, error: Error): void {
    this.waiters[at]?.failed(this.places[at] as number, error)
  }

  /** New batches of its records, in order: one for each group of indices. */
  regrouped(groups: readonly (readonly number[])[]): ProducerBatch[] {
    const contents = readRecords(this.buffer.plainBatch(), 0)
    return groups
      .filter((group) => group.length > 0)
      .map((group) => {
        const batch = new ProducerBatch(this, this.openedAt, Math.ceil((this.size * group.length) / this.count))
        for (const at of group) {
          const content = contents[at] as (typeof contents)[number]
          batch.add(content, content.timestamp, {
            waiter: this.waiters[at] as Waiter,
            place: this.places[at] as number,
          })
        }
        return batch
      })
  }
}
