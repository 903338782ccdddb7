import {
  baseOffset,
  batchBytes,
  codec,
  crcMatches,
  inflate,
  isControl,
  isTransactional,
  MALFORMED,
  nextOffset,
  producerId,
  readControl,
  RecordReader,
  recordsSection,
  wholeBatchBytes,
} from '@millrace/records'
import { ProtocolError } from './errors.ts'
import type { ConsumedRecord, RecordHeader } from './records.ts'

export interface ReadRange {
  readonly topic: string
  readonly partition: number
  /** Records before this offset are dropped: a batch may begin earlier. */
  readonly from: number
  /** Records at and after this offset are dropped. */
  readonly below: number
  /** Aborted transactions that overlap the range. */
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[]
}

/** A batch that inflates to more than this is refused. */
const MAX_INFLATED_BYTES = 256 * 1024 * 1024
const NO_HEADERS: readonly RecordHeader[] = Object.freeze([])

/** Where the whole batches of fetched bytes end. `records` may end within a batch. */
export interface FetchedExtent {
  readonly bytes: number
  /** The offset after the last whole batch; -1 where there is none. */
  readonly next: number
  /** Bytes that are no batch of the one format follow. */
  readonly malformed: boolean
}

/** Looks at batch headers only. */
export function extentOf(records: Uint8Array): FetchedExtent {
  let next = -1
  for (let at = 0; ;) {
    const size = wholeBatchBytes(records, at)
    if (size <= 0) return { bytes: at, next, malformed: size === MALFORMED }
    next = nextOffset(records, at)
    at += size
  }
}

/** Reads fetched bytes one batch at a time, so that no more than one is inflated and held as objects. */
export class BatchReader {
  private readonly bytes: Uint8Array
  private readonly range: ReadRange
  private readonly filter: AbortedFilter
  private at = 0
  private nextRead: number

  /** `bytes` are whole batches. */
  constructor(bytes: Uint8Array, range: ReadRange) {
    this.bytes = bytes
    this.range = range
    this.filter = new AbortedFilter(range.aborted)
    this.nextRead = range.from
  }

  /** The offset after what was read: it passes control records and gaps, but not the range's end. */
  get next(): number {
    return Math.min(this.nextRead, this.range.below)
  }

  /** Whether there is nothing more to read. */
  get done(): boolean {
    return this.at >= this.bytes.length || this.nextRead >= this.range.below
  }

  /** The records of the next batch: none where it holds none for this range, and at the end. Throws `ProtocolError` for a corrupt one. */
  read(): ConsumedRecord[] {
    if (this.done) return []
    const batch = this.bytes.subarray(this.at, this.at + batchBytes(this.bytes, this.at))
    const records: ConsumedRecord[] = []
    try {
      if (!crcMatches(batch, 0)) throw new Error('its checksum does not match')
      if (isControl(batch, 0)) this.filter.marker(batch)
      else if (!this.filter.drops(batch)) this.readRecords(batch, records)
    } catch (error) {
      const { topic, partition } = this.range
      throw new ProtocolError(
        `topic ${topic} partition ${partition}: the batch at offset ${baseOffset(batch, 0)} is corrupt: ${(error as Error).message}`,
      )
    }
    this.at += batch.length
    this.nextRead = Math.max(this.nextRead, nextOffset(batch, 0))
    return records
  }

  private readRecords(batch: Uint8Array, into: ConsumedRecord[]): void {
    const { topic, partition, from, below } = this.range
    const name = codec(batch, 0)
    if (name === null) throw new Error('its codec is unknown')
    const section = name === 'none' ? undefined : inflate(name, recordsSection(batch, 0), MAX_INFLATED_BYTES)
    const reader = new RecordReader(batch, 0, section)
    while (reader.next()) {
      const { offset } = reader
      if (offset < from || offset >= below) continue
      const { timestamp, key, value, headers } = reader
      into.push({
        topic,
        partition,
        offset,
        timestamp,
        key,
        value,
        headers: headers.length === 0 ? NO_HEADERS : headers,
      })
    }
  }
}

/** Drops the batches of a producer from where its aborted transaction began until its marker. */
class AbortedFilter {
  private readonly pending: { readonly producerId: number; readonly firstOffset: number }[]
  private readonly dropping = new Set<number>()

  constructor(aborted: ReadRange['aborted']) {
    this.pending = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset)
  }

  drops(batch: Uint8Array): boolean {
    const last = nextOffset(batch, 0)
    while (this.pending[0] !== undefined && this.pending[0].firstOffset < last)
      this.dropping.add((this.pending.shift() as { producerId: number }).producerId)
    return isTransactional(batch, 0) && this.dropping.has(producerId(batch, 0))
  }

  marker(batch: Uint8Array): void {
    if (readControl(batch, 0).type === 'abort') this.dropping.delete(producerId(batch, 0))
  }
}
