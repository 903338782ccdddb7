// The journal's groups, all integers big endian. A group begins at a multiple of 4 KiB:
//
//   header   magic, CRC-32C of the rest of the header and the entries, header bytes, payload bytes, life, number, the first group
//            that a replay needs, entry count, digest of the payload; then the entries
//   payload  the batches of all appends, one after another
//   padding  up to the next multiple of 4 KiB, so that no write touches a sector of the group before it
import type { Uuid } from '@millrace/base'
import { uuidFromBytes, uuidToBytes } from '@millrace/base'
import {
  batchBytes,
  crc32c,
  crcMatches,
  readInt32,
  readInt64,
  readUint32,
  wholeBatchBytes,
  writeInt32,
  writeInt64,
} from '@millrace/records'

/** Groups begin at multiples of this: the largest unit that a device may tear. */
export const BLOCK_BYTES = 4096
/** Which journal a group is of, drawn anew at every start: groups of an earlier one are never taken for new. */
export const LIFE_BYTES = 16

const MAGIC = 0x4d524a31
const HEADER_BYTES = 56
const ENTRY_BYTES = 44
const CRC_FROM = 8
/** What of a batch its own CRC does not cover, and that CRC. */
const BATCH_PREFIX_BYTES = 21
const MAX_HEADER_BYTES = 1024 * 1024

/**
 * What an entry says: batches follow; the log was cut, maybe below its watermark; it was emptied, and goes on elsewhere; it begins later;
 * or a log is about to be made, and everything earlier is of another one.
 */
export type JournalOp = 'append' | 'truncate' | 'lower' | 'restart' | 'trim' | 'make'

const OPS: readonly JournalOp[] = ['append', 'truncate', 'lower', 'restart', 'trim', 'make']

/** Which log an entry is of: topic id and partition as they are written. */
export const KEY_BYTES = 20

export function journalKey(topicId: Uuid, partition: number): Uint8Array {
  const key = new Uint8Array(KEY_BYTES)
  uuidToBytes(topicId, key)
  writeInt32(key, 16, partition)
  return key
}

/** What is written of one change of a log. */
export interface JournalEntry {
  readonly key: Uint8Array
  readonly op: JournalOp
  /** Where the log ended before an append; where it was cut, or begins now. */
  readonly from: number
  /** Where the log ends now. */
  readonly end: number
  /** Bytes of batches in the payload. */
  readonly bytes: number
}

export interface GroupHead {
  readonly life: Uint8Array
  /** Counts the groups of a life. */
  readonly number: number
  /** The smallest number that a replay needs once this group is on disk. */
  readonly firstNeeded: number
}

export function headerBytes(entries: number): number {
  return HEADER_BYTES + entries * ENTRY_BYTES
}

export function paddedBytes(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES
}

/** Writes a group's header to the start of `into`; `payload` holds whole batches. */
export function encodeGroupHeader(
  into: Uint8Array,
  head: GroupHead,
  entries: readonly JournalEntry[],
  payload: readonly Uint8Array[],
): void {
  let at = HEADER_BYTES
  let bytes = 0
  for (const entry of entries) {
    into.set(entry.key, at)
    writeInt32(into, at + 20, OPS.indexOf(entry.op))
    writeInt64(into, at + 24, entry.from)
    writeInt64(into, at + 32, entry.end)
    writeInt32(into, at + 40, entry.bytes)
    at += ENTRY_BYTES
    bytes += entry.bytes
  }
  writeInt32(into, 0, MAGIC)
  writeInt32(into, 8, at)
  writeInt32(into, 12, bytes)
  into.set(head.life, 16)
  writeInt64(into, 32, head.number)
  writeInt64(into, 40, head.firstNeeded)
  writeInt32(into, 48, entries.length)
  writeInt32(into, 52, payloadDigest(payload))
  writeInt32(into, 4, crc32c(into, CRC_FROM, at))
}

/**
 * One CRC over what the CRCs of the batches do not cover, and over those CRCs: all of the payload, for the price of its batches' headers.
 */
function payloadDigest(payload: readonly Uint8Array[]): number {
  let count = 0
  for (const part of payload) for (let at = 0; at < part.length; at = batchEnd(part, at)) count++
  const prefixes = new Uint8Array(count * BATCH_PREFIX_BYTES)
  let to = 0
  for (const part of payload)
    for (let at = 0; at < part.length; at = batchEnd(part, at))
      for (let i = 0; i < BATCH_PREFIX_BYTES; i++) prefixes[to++] = part[at + i] as number
  return crc32c(prefixes)
}

/** Memory that is no batch, by whatever mistake, ends as a digest that does not match and never as a loop without end. */
function batchEnd(bytes: Uint8Array, at: number): number {
  return at + Math.max(batchBytes(bytes, at), BATCH_PREFIX_BYTES)
}

/** One entry as it is read back. */
export interface FoundEntry {
  readonly topicId: Uuid
  readonly partition: number
  readonly op: JournalOp
  readonly from: number
  readonly end: number
  /** Where its batches lie in what was read, and how many bytes they are. */
  readonly at: number
  readonly bytes: number
}

export interface FoundGroup {
  readonly number: number
  readonly firstNeeded: number
  /** With the padding. */
  readonly bytes: number
  readonly entries: readonly FoundEntry[]
}

/** The number of the group whose header is whole at `at`, or null: its payload may be anything. */
export function groupNumberAt(bytes: Uint8Array, at: number, life: Uint8Array): number | null {
  if (bytes.length - at < HEADER_BYTES || readUint32(bytes, at) !== MAGIC) return null
  const header = readUint32(bytes, at + 8)
  if (header < HEADER_BYTES || header > Math.min(MAX_HEADER_BYTES, bytes.length - at)) return null
  if (header !== headerBytes(readUint32(bytes, at + 48))) return null
  for (let i = 0; i < LIFE_BYTES; i++) if (bytes[at + 16 + i] !== life[i]) return null
  if (crc32c(bytes, at + CRC_FROM, at + header) !== readUint32(bytes, at + 4)) return null
  return readInt64(bytes, at + 32)
}

/** The group at `at`, or null when it is not whole. */
export function groupAt(bytes: Uint8Array, at: number, life: Uint8Array): FoundGroup | null {
  const number = groupNumberAt(bytes, at, life)
  if (number === null) return null
  const header = readUint32(bytes, at + 8)
  const payload = readUint32(bytes, at + 12)
  const from = at + header
  if (payload > bytes.length - from) return null
  if (!isWholePayload(bytes.subarray(from, from + payload), readUint32(bytes, at + 52))) return null
  return {
    number,
    firstNeeded: readInt64(bytes, at + 40),
    bytes: paddedBytes(header + payload),
    entries: entriesOf(bytes, at, header),
  }
}

function isWholePayload(payload: Uint8Array, digest: number): boolean {
  for (let at = 0; at < payload.length; at += batchBytes(payload, at))
    if (wholeBatchBytes(payload, at) <= 0 || !crcMatches(payload, at)) return false
  return payloadDigest([payload]) === digest
}

function entriesOf(bytes: Uint8Array, start: number, header: number): FoundEntry[] {
  const entries: FoundEntry[] = []
  let payload = start + header
  for (let at = start + HEADER_BYTES; at < start + header; at += ENTRY_BYTES) {
    const size = readUint32(bytes, at + 40)
    entries.push({
      topicId: uuidFromBytes(bytes, at),
      partition: readInt32(bytes, at + 16),
      op: OPS[readInt32(bytes, at + 20)] as JournalOp,
      from: readInt64(bytes, at + 24),
      end: readInt64(bytes, at + 32),
      at: payload,
      bytes: size,
    })
    payload += size
  }
  return entries
}
