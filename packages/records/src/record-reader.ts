import { assert, ErrorCode } from '@millrace/base'
import { InvalidBatch } from './errors.ts'
import {
  baseOffset,
  baseTimestamp,
  batchBytes,
  BATCH_HEADER_BYTES,
  codec,
  isLogAppendTime,
  maxTimestamp,
  recordCount,
} from './header.ts'
import { VarintReader } from './varint.ts'

/** The least a record takes: length, attributes, two deltas, two lengths and the header count, a byte each. */
const MIN_RECORD_BYTES = 7
const MIN_HEADER_BYTES = 2
const text = new TextDecoder()

/** One header of a record; the value may be null, the key never. */
export interface RecordHeader {
  readonly key: string
  readonly value: Uint8Array | null
}

/** One record with views into the batch's bytes. */
export interface BatchRecord {
  readonly offset: number
  /** Milliseconds. */
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
}

/**
 * Walks the records of one batch without copying or allocating per record: `next` moves on, the getters read the record it
 * stands on, as views that live as long as the bytes do. Throws {@link InvalidBatch} wherever the bytes break the format: a length
 * that lies, fewer or more records than the header claims, trailing bytes.
 */
export class RecordReader {
  /** Offset of the present record minus the batch's base offset. */
  offsetDelta = 0
  /** Milliseconds; the append time for a batch of log-append time. */
  timestamp = 0
  /** Records not yet walked. */
  left: number

  private readonly reader: VarintReader
  private readonly baseOffset: number
  private readonly baseTimestamp: number
  private readonly appendTime: number | null
  private keyAt = 0
  private keyLength = -1
  private valueAt = 0
  private valueLength = -1
  private headersAt = 0
  private recordAt = 0
  private recordEnd = 0

  /** `section` is the inflated records section; without it the batch at `at` must be uncompressed. */
  constructor(bytes: Uint8Array, at: number, section?: Uint8Array) {
    assert(section !== undefined || codec(bytes, at) === 'none', 'a compressed batch is inflated before it is read')
    this.reader =
      section === undefined
        ? new VarintReader(bytes, at + BATCH_HEADER_BYTES, at + batchBytes(bytes, at))
        : new VarintReader(section)
    this.left = recordCount(bytes, at)
    this.baseOffset = baseOffset(bytes, at)
    this.baseTimestamp = baseTimestamp(bytes, at)
    this.appendTime = isLogAppendTime(bytes, at) ? maxTimestamp(bytes, at) : null
    const room = this.reader.end - this.reader.at
    if (this.left < 0 || this.left * MIN_RECORD_BYTES > room)
      throw invalid(`${this.left} records are claimed where ${room} bytes are left`)
  }

  /** Moves to the next record; false after the last one. */
  next(): boolean {
    const { reader } = this
    if (this.left === 0) {
      if (reader.at !== reader.end) throw invalid(`${reader.end - reader.at} bytes follow the last record`)
      return false
    }
    this.left--
    this.recordAt = reader.at
    const length = reader.varint()
    const from = reader.skip(length)
    this.recordEnd = reader.at
    reader.at = from
    reader.skip(1) // The record's attributes are unused.
    const delta = reader.varlong()
    this.timestamp = this.appendTime ?? this.baseTimestamp + delta
    this.offsetDelta = reader.varint()
    this.keyLength = this.lengthOrNull('key')
    this.keyAt = this.skipBytes(this.keyLength)
    this.valueLength = this.lengthOrNull('value')
    this.valueAt = this.skipBytes(this.valueLength)
    this.headersAt = reader.at
    this.walkHeaders(null)
    if (reader.at !== this.recordEnd) throw invalid(`a record claims ${length} bytes and holds ${reader.at - from}`)
    return true
  }

  get offset(): number {
    return this.baseOffset + this.offsetDelta
  }
  get hasKey(): boolean {
    return this.keyLength >= 0
  }
  get key(): Uint8Array | null {
    return this.keyLength < 0 ? null : this.reader.bytes.subarray(this.keyAt, this.keyAt + this.keyLength)
  }
  get value(): Uint8Array | null {
    return this.valueLength < 0 ? null : this.reader.bytes.subarray(this.valueAt, this.valueAt + this.valueLength)
  }
  /** The whole record as it is stored in its section, its length included. */
  get raw(): Uint8Array {
    return this.reader.bytes.subarray(this.recordAt, this.recordEnd)
  }
  /** The record's headers, in order; decoded when asked for. */
  get headers(): RecordHeader[] {
    const headers: RecordHeader[] = []
    const after = this.reader.at
    this.reader.at = this.headersAt
    this.walkHeaders(headers)
    this.reader.at = after
    return headers
  }

  private walkHeaders(into: RecordHeader[] | null): void {
    const { reader } = this
    const count = reader.varint()
    if (count < 0 || count * MIN_HEADER_BYTES > this.recordEnd - reader.at)
      throw invalid(`${count} headers are claimed where ${this.recordEnd - reader.at} bytes are left`)
    for (let i = 0; i < count; i++) {
      const keyLength = reader.varint()
      if (keyLength < 0) throw invalid('a record header has no key')
      const keyAt = this.skipBytes(keyLength)
      const valueLength = this.lengthOrNull('header value')
      const valueAt = this.skipBytes(valueLength)
      into?.push({
        key: text.decode(reader.bytes.subarray(keyAt, keyAt + keyLength)),
        value: valueLength < 0 ? null : reader.bytes.subarray(valueAt, valueAt + valueLength),
      })
    }
  }

  private lengthOrNull(what: string): number {
    const length = this.reader.varint()
    if (length < -1) throw invalid(`a record's ${what} has length ${length}`)
    return length
  }

  private skipBytes(length: number): number {
    if (length > this.recordEnd - this.reader.at) throw invalid('a field reaches past the end of its record')
    return length <= 0 ? this.reader.at : this.reader.skip(length)
  }
}

/**
 * All records of the batch at `at`, keys and values as views. `section` is the inflated records section of a compressed batch.
 * Throws {@link InvalidBatch}.
 */
export function readRecords(bytes: Uint8Array, at: number, section?: Uint8Array): BatchRecord[] {
  const reader = new RecordReader(bytes, at, section)
  const records: BatchRecord[] = []
  while (reader.next()) {
    const { offset, timestamp, key, value, headers } = reader
    records.push({ offset, timestamp, key, value, headers })
  }
  return records
}

function invalid(message: string): InvalidBatch {
  return new InvalidBatch(ErrorCode.INVALID_RECORD, message)
}
