import { crc32c } from '@millrace/records'
import type { Entry, EntryKind } from '@millrace/base'

/** The values are stored; new kinds go to the end. */
const KINDS: readonly EntryKind[] = ['data', 'noop', 'voters']
/** CRC-32C of all that follows, index, term, kind. */
const HEADER_BYTES = 4 + 8 + 8 + 1

/** An entry's key: keys sort as indexes do. */
export function entryKey(index: number): Buffer {
  const key = Buffer.alloc(9)
  key[0] = 0x65
  key.writeBigUInt64BE(BigInt(index), 1)
  return key
}

/** The index in a key of {@link entryKey}. */
export function entryIndex(key: Buffer): number {
  return Number(key.readBigUInt64BE(1))
}

/** An entry as it is stored: with its own index and term under a checksum, because a key-value store may lose or swap blocks. */
export function encodeEntry(entry: Entry): Buffer {
  const value = Buffer.allocUnsafe(HEADER_BYTES + entry.payload.length)
  value.writeBigUInt64BE(BigInt(entry.index), 4)
  value.writeBigUInt64BE(BigInt(entry.term), 12)
  value.writeUInt8(KINDS.indexOf(entry.kind), 20)
  value.set(entry.payload, HEADER_BYTES)
  value.writeUInt32BE(crc32c(value, 4), 0)
  return value
}

/** The entry of a stored value, or null when its checksum, index or kind is not right. The payload shares the value's memory. */
export function decodeEntry(value: Buffer, index: number): Entry | null {
  if (value.length < HEADER_BYTES || value.readUInt32BE(0) !== crc32c(value, 4)) return null
  const kind = KINDS[value.readUInt8(20)]
  if (kind === undefined || Number(value.readBigUInt64BE(4)) !== index) return null
  return { index, term: Number(value.readBigUInt64BE(12)), kind, payload: value.subarray(HEADER_BYTES) }
}
