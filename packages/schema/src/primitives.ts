import { isUuid, uuidFromBytes, uuidToBytes, ZERO_UUID } from '@millrace/base'
import type { Uuid } from '@millrace/base'
import { EncodeError } from './errors.ts'
import type { Reader } from './reader.ts'
import type { Codec, Type, TypeKind } from './type.ts'
import type { Writer } from './writer.ts'

function fixed<T>(kind: TypeKind, codec: Codec<T>): Type<T> {
  return Object.freeze({ kind, nullableSince: null, element: null, fields: null, bind: () => codec })
}

/** One byte; any byte but 0 reads as true. */
export const bool: Type<boolean> = fixed('bool', {
  minBytes: 1,
  read: (reader) => reader.uint8() !== 0,
  write(writer, value) {
    if (typeof value !== 'boolean') throw new EncodeError(`${String(value)} is not a bool`)
    writer.uint8(value ? 1 : 0)
  },
})

/** A signed byte. Writing a number outside its range is an EncodeError. */
export const int8: Type<number> = fixed('int8', {
  minBytes: 1,
  read: (reader) => reader.int8(),
  write: (writer, value) => writer.int8(value),
})

/** A signed 16-bit number. Writing a number outside its range is an EncodeError. */
export const int16: Type<number> = fixed('int16', {
  minBytes: 2,
  read: (reader) => reader.int16(),
  write: (writer, value) => writer.int16(value),
})

/** An unsigned 16-bit number, as ports are. Writing a number outside its range is an EncodeError. */
export const uint16: Type<number> = fixed('uint16', {
  minBytes: 2,
  read: (reader) => reader.uint16(),
  write: (writer, value) => writer.uint16(value),
})

/** A signed 32-bit number. Writing a number outside its range is an EncodeError. */
export const int32: Type<number> = fixed('int32', {
  minBytes: 4,
  read: (reader) => reader.int32(),
  write: (writer, value) => writer.int32(value),
})

/** An unsigned 32-bit number. Writing a number outside its range is an EncodeError. */
export const uint32: Type<number> = fixed('uint32', {
  minBytes: 4,
  read: (reader) => reader.uint32(),
  write: (writer, value) => writer.uint32(value),
})

/**
 * A safe integer, or base's LONG_MIN or LONG_MAX. Reading any other int64 is a DecodeError, writing any other number an EncodeError.
 */
export const int64: Type<number> = fixed('int64', {
  minBytes: 8,
  read: (reader) => reader.int64(),
  write: (writer, value) => writer.int64(value),
})

/** A 64-bit IEEE 754 number. */
export const float64: Type<number> = fixed('float64', {
  minBytes: 8,
  read: (reader) => reader.float64(),
  write: (writer, value) => writer.float64(value),
})

/** Sixteen bytes, in base's text form. */
export const uuid: Type<Uuid> = fixed('uuid', { minBytes: 16, read: readUuid, write: writeUuid })

const ZERO_BYTES = new Uint8Array(16)

function readUuid(reader: Reader): Uuid {
  const bytes = reader.slice(16)
  // Most ids on the wire say "none".
  return bytes.every(isZero) ? ZERO_UUID : uuidFromBytes(bytes)
}

function isZero(byte: number): boolean {
  return byte === 0
}

function writeUuid(writer: Writer, value: Uuid): void {
  if (value === ZERO_UUID) {
    writer.raw(ZERO_BYTES)
    return
  }
  if (typeof value !== 'string' || !isUuid(value)) throw new EncodeError(`${value} is not an id`)
  const bytes = new Uint8Array(16)
  uuidToBytes(value, bytes)
  writer.raw(bytes)
}
