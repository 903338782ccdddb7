import { decodeFrom, decodeVersioned, encodeTo, Reader, Writer } from '@millrace/schema'
import type { Schema } from '@millrace/schema'
import type { GroupLogRecord } from '../seams.ts'
import { KINDS } from './kinds.ts'
import type { AnyKind, GroupRecord } from './kinds.ts'

/** Offsets of the oldest brokers: the same fields under another number. */
const LEGACY_OFFSET_COMMIT = 0
const OFFSET_COMMIT = 1

const BY_NAME: ReadonlyMap<string, AnyKind> = new Map(KINDS.map((one) => [one.name, one]))
const BY_TYPE: ReadonlyMap<number, AnyKind> = new Map(KINDS.map((one) => [one.key.type, one]))

/** The bytes of a record, exactly as Kafka's coordinator writes them. Throws `EncodeError` for a value that no record can hold. */
export function encodeGroupRecord(record: GroupRecord): GroupLogRecord {
  const { key, value, writes } = BY_NAME.get(record.name) as AnyKind
  // Both in one buffer: records are many and small.
  const writer = new Writer()
  writer.int16(key.type)
  encodeTo(key as Schema<unknown>, 0, record.key, writer)
  if (record.value === null) return { key: writer.bytes(), value: null }
  const keyBytes = writer.size
  const version = (writes as (value: unknown) => number)(record.value)
  writer.int16(version)
  encodeTo(value as Schema<unknown>, version, record.value, writer)
  const bytes = writer.bytes()
  return { key: bytes.subarray(0, keyBytes), value: bytes.subarray(keyBytes) }
}

/**
 * The record in these bytes; null for a kind that is unknown here, as newer software may write it. Byte fields are views. Throws
 * `DecodeError` on bytes that are no record, or in a version of one that is unknown.
 */
export function decodeGroupRecord(key: Uint8Array, value: Uint8Array | null): GroupRecord | null {
  const reader = new Reader(key)
  const type = reader.int16()
  const kind = BY_TYPE.get(type === LEGACY_OFFSET_COMMIT ? OFFSET_COMMIT : type)
  if (kind === undefined) return null
  const decodedKey = decodeFrom(kind.key as Schema<unknown>, 0, reader)
  reader.expectEnd()
  const decodedValue = value === null ? null : decodeVersioned(kind.value as Schema<unknown>, value).value
  return { name: kind.name, key: decodedKey, value: decodedValue } as GroupRecord
}
