import { encodeBatch, recordBytes, type NewRecord } from '@millrace/records'
import type { Codec } from '@millrace/base'
import type { SentRecord } from './records.ts'

/** A record that waits for its acknowledgement. */
export interface Pending {
  readonly record: NewRecord
  readonly bytes: number
  /** Milliseconds of the wall clock after which it is given up. */
  readonly deadline: number
  readonly resolve: (sent: SentRecord) => void
  readonly reject: (error: Error) => void
}

/** Records that travel together; sent again as the very same bytes. */
export interface Batch {
  readonly records: readonly Pending[]
  readonly encoded: Uint8Array
}

/** Room for what a record's deltas may take more than in the estimate. */
const RECORD_SLACK_BYTES = 10

/** Records of one partition in the order of `send`. At most one batch is on its way, so that retries never reorder. */
export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  private readonly waiting: Pending[] = []
  private waitingBytes = 0
  private firstAt = 0
  private retry: Batch | null = null
  private notBefore = 0
  inFlight = false

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get empty(): boolean {
    return this.waiting.length === 0 && this.retry === null
  }

  /** Returns the estimated bytes, which count against the producer's buffer. */
  add(pending: Omit<Pending, 'bytes'>, now: number): number {
    const bytes = recordBytes(pending.record, 0, 0) + RECORD_SLACK_BYTES
    if (this.waiting.length === 0) this.firstAt = now
    this.waiting.push({ ...pending, bytes })
    this.waitingBytes += bytes
    return bytes
  }

  /** When the next batch may leave; `Infinity` while nothing waits or one is on its way. */
  dueAt(rules: { readonly lingerMs: number; readonly batchBytes: number; readonly flushing: boolean }): number {
    if (this.inFlight || this.empty) return Number.POSITIVE_INFINITY
    if (this.retry !== null) return this.notBefore
    const full = this.waitingBytes >= rules.batchBytes || rules.flushing
    return Math.max(this.notBefore, full ? 0 : this.firstAt + rules.lingerMs)
  }

  /** The batch to send now: the one to be repeated, or a new one of at most `maxBytes`. */
  take(maxBytes: number, codec: Codec): Batch {
    const repeated = this.retry
    this.retry = null
    if (repeated !== null) return repeated
    let count = 0
    for (let bytes = 0; count < this.waiting.length; count++) {
      bytes += (this.waiting[count] as Pending).bytes
      if (bytes > maxBytes && count > 0) break
    }
    const records = this.waiting.splice(0, count)
    for (const { bytes } of records) this.waitingBytes -= bytes
    this.firstAt = 0
    return makeBatch(records, codec)
  }

  /** Keeps the batch for another try, before everything else of this partition. */
  repeat(batch: Batch, notBefore: number): void {
    this.retry = batch
    this.notBefore = notBefore
  }

  /** A batch that was too large for the broker goes back as its halves. */
  split(batch: Batch): void {
    this.waiting.unshift(...batch.records)
    for (const { bytes } of batch.records) this.waitingBytes += bytes
  }

  /** Takes out what is past its deadline. */
  expire(now: number): readonly Pending[] {
    const retry = this.retry
    if (retry !== null && retry.records.every(({ deadline }) => deadline <= now)) {
      this.retry = null
      return retry.records
    }
    if (retry !== null || (this.waiting[0]?.deadline ?? Number.POSITIVE_INFINITY) > now) return []
    const alive = this.waiting.findIndex(({ deadline }) => deadline > now)
    const gone = this.waiting.splice(0, alive < 0 ? this.waiting.length : alive)
    for (const { bytes } of gone) this.waitingBytes -= bytes
    return gone
  }
}

export function makeBatch(records: readonly Pending[], codec: Codec): Batch {
  return {
    records,
    encoded: encodeBatch(
      records.map(({ record }) => record),
      { codec },
    ),
  }
}
