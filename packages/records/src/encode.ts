import { assert, type Codec } from '@millrace/base'
import { compress } from './compression/compress.ts'
import { BATCH_HEADER_BYTES, type BatchHeader, writeBatchHeader } from './header.ts'
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from './varint.ts'

const text = new TextEncoder()

/** A record to be written. `offsetDelta` is its place in the batch unless given: compaction leaves gaps. */
export interface NewRecord {
  /** Milliseconds. */
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers?: readonly NewRecordHeader[]
  readonly offsetDelta?: number
}

/** A header to be written; a text key is written as UTF-8. */
export interface NewRecordHeader {
  readonly key: string | Uint8Array
  readonly value: Uint8Array | null
}

/** What a batch says beside its records. Every default is what a producer without idempotence sends. */
export interface BatchOptions extends Partial<
  Omit<BatchHeader, 'recordCount' | 'baseTimestamp' | 'maxTimestamp' | 'codec'>
> {
  readonly codec?: Codec
  /** A codec's own level; its default where absent. Ignored by snappy and lz4. */
  readonly level?: number
  /** The base time that deltas are written against; the first record's where absent (the delete horizon, with that bit). */
  readonly baseTimestamp?: number
}

/** An encoded records section and what the header says about it. */
export interface EncodedRecords {
  readonly section: Uint8Array
  readonly recordCount: number
  readonly lastOffsetDelta: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
}

/** How many bytes the record takes in a batch, uncompressed, with these two deltas. */
export function recordBytes(record: NewRecord, timestampDelta: number, offsetDelta: number): number {
  const body = bodyBytes(record, timestampDelta, offsetDelta)
  return varintBytes(body) + body
}

function bodyBytes(record: NewRecord, timestampDelta: number, offsetDelta: number): number {
  const headers = record.headers ?? []
  let size = 1 + varlongBytes(timestampDelta) + varintBytes(offsetDelta)
  size += nullableBytes(record.key) + nullableBytes(record.value) + varintBytes(headers.length)
  for (const { key, value } of headers) {
    const keyBytes = typeof key === 'string' ? utf8Bytes(key) : key.length
    size += varintBytes(keyBytes) + keyBytes + nullableBytes(value)
  }
  return size
}

function nullableBytes(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintBytes(bytes.length) + bytes.length
}

function utf8Bytes(value: string): number {
  let size = 0
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i)
    if (unit < 0x80) size += 1
    else if (unit < 0x800) size += 2
    else if (!isPair(value, i, unit)) size += 3
    else {
      size += 4
      i++
    }
  }
  return size
}

function isPair(value: string, at: number, unit: number): boolean {
  return (unit & 0xfc00) === 0xd800 && (value.charCodeAt(at + 1) & 0xfc00) === 0xdc00
}

/** Encodes the records section, uncompressed, in one buffer of the exact size. */
export function encodeRecords(records: readonly NewRecord[], baseTimestamp?: number): EncodedRecords {
  const base = baseTimestamp ?? records[0]?.timestamp ?? -1
  let maxTimestamp = -1
  let lastOffsetDelta = -1
  let size = 0
  records.forEach((record, i) => {
    const delta = record.offsetDelta ?? i
    assert(delta > lastOffsetDelta, 'the offsets of a batch rise')
    lastOffsetDelta = delta
    maxTimestamp = Math.max(maxTimestamp, record.timestamp)
    size += recordBytes(record, record.timestamp - base, delta)
  })
  const section = new Uint8Array(size)
  let at = 0
  records.forEach((record, i) => {
    at = writeRecord(section, at, record, {
      timestampDelta: record.timestamp - base,
      offsetDelta: record.offsetDelta ?? i,
    })
  })
  assert(at === size, 'a records section has the size that was computed for it')
  return { section, recordCount: records.length, lastOffsetDelta, baseTimestamp: base, maxTimestamp }
}

interface Deltas {
  readonly timestampDelta: number
  readonly offsetDelta: number
}

function writeRecord(into: Uint8Array, at: number, record: NewRecord, deltas: Deltas): number {
  at = writeVarint(into, at, bodyBytes(record, deltas.timestampDelta, deltas.offsetDelta))
  into[at++] = 0
  at = writeVarlong(into, at, deltas.timestampDelta)
  at = writeVarint(into, at, deltas.offsetDelta)
  at = writeNullable(into, at, record.key)
  at = writeNullable(into, at, record.value)
  const headers = record.headers ?? []
  at = writeVarint(into, at, headers.length)
  for (const { key, value } of headers) {
    at = writeNullable(into, at, typeof key === 'string' ? text.encode(key) : key)
    at = writeNullable(into, at, value)
  }
  return at
}

function writeNullable(into: Uint8Array, at: number, bytes: Uint8Array | null): number {
  if (bytes === null) return writeVarint(into, at, -1)
  at = writeVarint(into, at, bytes.length)
  into.set(bytes, at)
  return at + bytes.length
}

/** Joins header and (already compressed) records section to a batch; `section` is copied once. */
export function assembleBatch(encoded: EncodedRecords, section: Uint8Array, options: BatchOptions = {}): Uint8Array {
  const batch = new Uint8Array(BATCH_HEADER_BYTES + section.length)
  batch.set(section, BATCH_HEADER_BYTES)
  writeBatchHeader(batch, {
    ...options,
    lastOffsetDelta: options.lastOffsetDelta ?? encoded.lastOffsetDelta,
    baseTimestamp: encoded.baseTimestamp,
    maxTimestamp: encoded.maxTimestamp,
    recordCount: encoded.recordCount,
  })
  return batch
}

/**
 * One record batch (magic 2) in a fresh buffer. Offsets, epochs and timestamps are as given; an empty list makes the bare header
 * that compaction leaves, for which `lastOffsetDelta` must be given.
 */
export function encodeBatch(records: readonly NewRecord[], options: BatchOptions = {}): Uint8Array {
  assert(records.length > 0 || options.lastOffsetDelta !== undefined, 'an empty batch needs its last offset')
  const encoded = encodeRecords(records, options.baseTimestamp)
  // Kafka writes no section at all for an empty batch, whatever its codec.
  const section =
    records.length === 0 ? encoded.section : compress(options.codec ?? 'none', encoded.section, options.level)
  return assembleBatch(encoded, section, options)
}
