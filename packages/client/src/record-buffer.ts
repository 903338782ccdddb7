import { BATCH_HEADER_BYTES, writeBatchHeader } from '@millrace/records'
import type { Codec } from '@millrace/base'
import type { BatchNumbers } from './producer-identity.ts'
import { type Data, headerEntries, type ProducerHeaders } from './records.ts'

/** What one record says beside its time. */
export interface RecordContent {
  readonly key?: Data | null
  readonly value: Data | null
  readonly headers?: ProducerHeaders
}

const NO_HEADERS: readonly (readonly [string, Data | null])[] = []
/** Length, attributes, timestamp delta, offset delta, key length, value length and header count at their longest. */
const MAX_FRAMING_BYTES = 5 + 1 + 10 + 5 + 5 + 5 + 5
const MAX_HEADER_FRAMING_BYTES = 10

/**
 * Records in the form in which they travel, written as they are accepted: text goes from the string to its place, and an uncompressed
 * batch leaves without another copy. A batch's own header has its room in front.
 */
export class RecordBuffer {
  private bytes: Buffer
  private at = BATCH_HEADER_BYTES
  private baseTimestamp = 0
  private maxTimestamp = 0
  private records = 0

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafeSlow(Math.max(capacity, 2 * BATCH_HEADER_BYTES))
  }

  get count(): number {
    return this.records
  }

  /** The size of the batch, uncompressed, with its header. */
  get size(): number {
    return this.at
  }

  /** Copies the record in. */
  append(record: RecordContent, timestamp: number): void {
    const { key = null, value } = record
    if (this.records === 0) {
      this.baseTimestamp = timestamp
      this.maxTimestamp = timestamp
    } else if (timestamp > this.maxTimestamp) this.maxTimestamp = timestamp
    const headers = record.headers === undefined ? NO_HEADERS : headerEntries(record.headers)
    const keyBytes = dataBytes(key)
    const valueBytes = dataBytes(value)
    const timestampDelta = timestamp - this.baseTimestamp
    let size = 1 + varintBytes(timestampDelta) + varintBytes(this.records) + varintBytes(headers.length)
    size += lengthBytes(keyBytes) + lengthBytes(valueBytes)
    for (const [name, data] of headers) size += lengthBytes(dataBytes(name)) + lengthBytes(dataBytes(data))
    this.reserve(MAX_FRAMING_BYTES + headers.length * MAX_HEADER_FRAMING_BYTES + size)
    this.varint(size)
    this.bytes[this.at++] = 0
    this.varint(timestampDelta)
    this.varint(this.records)
    this.data(key, keyBytes)
    this.data(value, valueBytes)
    this.varint(headers.length)
    for (const [name, data] of headers) {
      this.data(name, dataBytes(name))
      this.data(data, dataBytes(data))
    }
    this.records++
  }

  /** The records as they lie, without a batch header. */
  get section(): Uint8Array {
    return this.bytes.subarray(BATCH_HEADER_BYTES, this.at)
  }

  /** The batch with its records uncompressed: these very bytes, so nothing may be appended afterwards. */
  plainBatch(numbers: BatchNumbers | null = null): Uint8Array {
    const batch = this.bytes.subarray(0, this.at)
    writeBatchHeader(batch, this.header('none', numbers))
    return batch
  }

  /** A batch around the compressed records. */
  packedBatch(codec: Codec, packed: Uint8Array, numbers: BatchNumbers | null): Uint8Array {
    const batch = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + packed.length)
    batch.set(packed, BATCH_HEADER_BYTES)
    writeBatchHeader(batch, this.header(codec, numbers))
    return batch
  }

  private header(codec: Codec, numbers: BatchNumbers | null): Parameters<typeof writeBatchHeader>[1] {
    return {
      ...numbers,
      codec,
      lastOffsetDelta: this.records - 1,
      recordCount: this.records,
      baseTimestamp: this.baseTimestamp,
      maxTimestamp: this.maxTimestamp,
    }
  }

  private reserve(bytes: number): void {
    if (this.at + bytes <= this.bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.at + bytes))
    this.bytes.copy(larger, 0, 0, this.at)
    this.bytes = larger
  }

  /** Zig-zag; exact for whole numbers within ±2^52. */
  private varint(value: number): void {
    const { bytes } = this
    let zigzag = value < 0 ? -value * 2 - 1 : value * 2
    for (; zigzag > 0x7fffffff; zigzag = Math.floor(zigzag / 128)) bytes[this.at++] = (zigzag % 128) | 0x80
    for (; zigzag >= 0x80; zigzag >>>= 7) bytes[this.at++] = (zigzag & 0x7f) | 0x80
    bytes[this.at++] = zigzag
  }

  private data(data: Data | null, length: number): void {
    this.varint(length)
    if (data === null) return
    if (typeof data !== 'string') this.bytes.set(data, this.at)
    else if (length !== data.length || length > 24) this.bytes.write(data, this.at, length, 'utf8')
    else this.shortText(data)
    this.at += length
  }

  /** A call into the runtime costs more than a few characters of ASCII. */
  private shortText(text: string): void {
    const { bytes, at } = this
    for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i)
  }
}

function dataBytes(data: Data | null): number {
  if (data === null) return -1
  if (typeof data !== 'string') return data.length
  const { length } = data
  if (length <= 24) {
    let at = 0
    while (at < length && data.charCodeAt(at) < 0x80) at++
    if (at === length) return length
  }
  return Buffer.byteLength(data, 'utf8')
}

/** A length, -1 for null, and the bytes themselves. */
function lengthBytes(length: number): number {
  return length < 0 ? 1 : varintBytes(length) + length
}

function varintBytes(value: number): number {
  let zigzag = value < 0 ? -value * 2 - 1 : value * 2
  let bytes = 1
  for (; zigzag >= 0x80; zigzag = Math.floor(zigzag / 128)) bytes++
  return bytes
}
