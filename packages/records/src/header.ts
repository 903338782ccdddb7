// The 61 bytes before the records of a batch (magic 2), read and patched where they lie. Every function takes the bytes and the
// position of the batch in them; none checks that the batch is whole, which is `wholeBatchBytes`'s work.
import type { Codec } from '@millrace/base'
import { crc32c } from './crc.ts'
import { readInt16, readInt32, readInt64, readUint32, writeInt16, writeInt32, writeInt64 } from './integers.ts'

/** Bytes of base offset and length, which lie before what `batchLength` counts. */
export const LOG_OVERHEAD = 12
/** Bytes of a batch before its records. */
export const BATCH_HEADER_BYTES = 61
/** The only batch format in use since Kafka 0.11. */
export const MAGIC = 2
/** Producer id, epoch or sequence of a batch that is not idempotent; leader epoch of a batch that no leader has seen. */
export const NONE = -1

const CRC_FROM = 21
const LOG_APPEND_BIT = 0x08
const TRANSACTIONAL_BIT = 0x10
const CONTROL_BIT = 0x20
const DELETE_HORIZON_BIT = 0x40
const CODECS: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** The offset of the first record, or of the first record that was there before compaction. */
export function baseOffset(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at)
}
/** The size of the whole batch in bytes, header included, as it claims. */
export function batchBytes(bytes: Uint8Array, at: number): number {
  return LOG_OVERHEAD + readInt32(bytes, at + 8)
}
/** The epoch of the leader that appended the batch. */
export function leaderEpoch(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + 12)
}
/** The format version, 2 for every batch that is stored. */
export function magic(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 16] as number) << 24) >> 24
}
/** The stored CRC-32C, unsigned. */
export function storedCrc(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at + 17)
}
/** The attribute bits. */
export function attributes(bytes: Uint8Array, at: number): number {
  return readInt16(bytes, at + 21)
}
/** The codec of the records section, or null for a number that names none. */
export function codec(bytes: Uint8Array, at: number): Codec | null {
  return CODECS[(bytes[at + 22] as number) & 0x07] ?? null
}
/** Whether every record carries the broker's append time, which is `maxTimestamp`. */
export function isLogAppendTime(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at + 22] as number) & LOG_APPEND_BIT) !== 0
}
/** Whether the batch belongs to a transaction. */
export function isTransactional(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at + 22] as number) & TRANSACTIONAL_BIT) !== 0
}
/** Whether the batch is a marker, which occupies an offset and is never shown to applications. */
export function isControl(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at + 22] as number) & CONTROL_BIT) !== 0
}
/** Whether `baseTimestamp` is the time at which tombstones may go (KIP-534). */
export function hasDeleteHorizon(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at + 22] as number) & DELETE_HORIZON_BIT) !== 0
}
/** Offset of the last record (before compaction) minus the base offset. */
export function lastOffsetDelta(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + 23)
}
/** The last offset that the batch occupies. */
export function lastOffset(bytes: Uint8Array, at: number): number {
  return baseOffset(bytes, at) + lastOffsetDelta(bytes, at)
}
/** The offset after the batch. */
export function nextOffset(bytes: Uint8Array, at: number): number {
  return lastOffset(bytes, at) + 1
}
/** Milliseconds: what the records' deltas are added to. */
export function baseTimestamp(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at + 27)
}
/** Milliseconds: the largest timestamp of the batch; -1 for none. */
export function maxTimestamp(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at + 35)
}
/** -1 when the producer is not idempotent. */
export function producerId(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at + 43)
}
/** -1 when the producer is not idempotent. */
export function producerEpoch(bytes: Uint8Array, at: number): number {
  return readInt16(bytes, at + 51)
}
/** Sequence of the first record; -1 when the producer is not idempotent, and in markers. */
export function baseSequence(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + 53)
}
/** Sequence of the last record: sequences wrap from 2^31-1 to 0. -1 when there is no base sequence. */
export function lastSequence(bytes: Uint8Array, at: number): number {
  const base = baseSequence(bytes, at)
  return base < 0 ? NONE : (base + lastOffsetDelta(bytes, at)) & 0x7fffffff
}
/** The number of records as the header claims it. */
export function recordCount(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + 57)
}

/** The CRC-32C of the bytes that the CRC covers; the batch must be whole. */
export function computeCrc(bytes: Uint8Array, at: number): number {
  return crc32c(bytes, at + CRC_FROM, at + batchBytes(bytes, at))
}
/** Whether the stored CRC is right; the batch must be whole. */
export function crcMatches(bytes: Uint8Array, at: number): boolean {
  return computeCrc(bytes, at) === storedCrc(bytes, at)
}

/** Assigns the base offset in place. It lies before the CRC's range. */
export function setBaseOffset(bytes: Uint8Array, at: number, offset: number): void {
  writeInt64(bytes, at, offset)
}
/** Assigns the leader epoch in place. It lies before the CRC's range. */
export function setLeaderEpoch(bytes: Uint8Array, at: number, epoch: number): void {
  writeInt32(bytes, at + 12, epoch)
}
/** Makes the batch one of log-append time: sets the bit and `maxTimestamp`, and the CRC anew. */
export function stampLogAppendTime(bytes: Uint8Array, at: number, nowMs: number): void {
  writeInt16(bytes, at + 21, attributes(bytes, at) | LOG_APPEND_BIT)
  setMaxTimestamp(bytes, at, nowMs)
}
/** Clears the log-append bit that a client set on a topic of create time, and sets the CRC anew. */
export function clearLogAppendTime(bytes: Uint8Array, at: number): void {
  writeInt16(bytes, at + 21, attributes(bytes, at) & ~LOG_APPEND_BIT)
  writeInt32(bytes, at + 17, computeCrc(bytes, at))
}
/** Corrects `maxTimestamp` in place, and sets the CRC anew. */
export function setMaxTimestamp(bytes: Uint8Array, at: number, timestamp: number): void {
  writeInt64(bytes, at + 35, timestamp)
  writeInt32(bytes, at + 17, computeCrc(bytes, at))
}

/** What `writeBatchHeader` writes. Offsets, times and ids are exact integers; every default is Kafka's "none". */
export interface BatchHeader {
  readonly baseOffset?: number
  readonly leaderEpoch?: number
  readonly codec?: Codec
  readonly logAppendTime?: boolean
  readonly transactional?: boolean
  readonly control?: boolean
  readonly deleteHorizon?: boolean
  readonly lastOffsetDelta: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly recordCount: number
}

/** Writes the header of the batch that fills `batch` (its records section is already there), CRC last. */
export function writeBatchHeader(batch: Uint8Array, header: BatchHeader): void {
  writeInt64(batch, 0, header.baseOffset ?? 0)
  writeInt32(batch, 8, batch.length - LOG_OVERHEAD)
  writeInt32(batch, 12, header.leaderEpoch ?? NONE)
  batch[16] = MAGIC
  writeInt16(batch, 21, attributeBits(header))
  writeInt32(batch, 23, header.lastOffsetDelta)
  writeInt64(batch, 27, header.baseTimestamp)
  writeInt64(batch, 35, header.maxTimestamp)
  writeInt64(batch, 43, header.producerId ?? NONE)
  writeInt16(batch, 51, header.producerEpoch ?? NONE)
  writeInt32(batch, 53, header.baseSequence ?? NONE)
  writeInt32(batch, 57, header.recordCount)
  writeInt32(batch, 17, computeCrc(batch, 0))
}

function attributeBits(header: BatchHeader): number {
  return (
    CODECS.indexOf(header.codec ?? 'none') |
    (header.logAppendTime === true ? LOG_APPEND_BIT : 0) |
    (header.transactional === true ? TRANSACTIONAL_BIT : 0) |
    (header.control === true ? CONTROL_BIT : 0) |
    (header.deleteHorizon === true ? DELETE_HORIZON_BIT : 0)
  )
}
