export { DecodeError, EncodeError } from './errors.ts'
export { between, ignorable, since, tagged, until } from './fields.ts'
export { decode, decodeFrom, encode, encodeTo, encodeToBytes, message } from './message.ts'
export type { Message, MessageDeclaration, Schema } from './message.ts'
export { bool, float64, int16, int32, int64, int8, uint16, uint32, uuid } from './primitives.ts'
export { DEFAULT_LIMITS, Reader } from './reader.ts'
export type { DecodeLimits } from './reader.ts'
export {
  decodeKey,
  decodeRecord,
  decodeVersioned,
  encodeKey,
  encodeRecord,
  encodeVersioned,
  record,
  recordRegistry,
} from './record.ts'
export type { DecodedRecord, RecordDeclaration, RecordRegistry, RecordSchema } from './record.ts'
export {
  array,
  bytes,
  nullable,
  nullableArray,
  nullableBytes,
  nullableRecords,
  nullableSince,
  nullableString,
  records,
  string,
} from './sequences.ts'
export { nullableStruct, struct } from './struct.ts'
export type { Binding, Codec, Field, FieldMap, StructOf, Type, TypeKind, Typed, TypeOf } from './type.ts'
export { Writer } from './writer.ts'
