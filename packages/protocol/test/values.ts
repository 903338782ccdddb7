import { LONG_MAX, LONG_MIN, uuidFromBytes } from '@millrace/base'
import type { Field, FieldMap, Schema, Type } from '@millrace/schema'
import * as fc from 'fast-check'

/** Any value that a version of a message can hold. */
export function anyValue(schema: Schema<unknown>, version: number): fc.Arbitrary<unknown> {
  return anyStruct(schema.fields, version)
}

function anyStruct(fields: FieldMap, version: number): fc.Arbitrary<unknown> {
  return fc.record(
    Object.fromEntries(Object.entries(fields).map(([name, declared]) => [name, anyField(declared, version)])),
  )
}

function anyField(declared: Type<unknown> | Field<unknown>, version: number): fc.Arbitrary<unknown> {
  if (declared.kind !== 'field') return anyOf(declared, version)
  if (version < declared.min || version > declared.max) return fc.constant(declared.fallback)
  const value = anyOf(declared.type, version)
  return declared.tag === null ? value : fc.oneof(value, fc.constant(declared.fallback))
}

function anyOf(type: Type<unknown>, version: number): fc.Arbitrary<unknown> {
  const value = anyPresent(type, version)
  return type.nullableSince !== null && version >= type.nullableSince ? fc.option(value, { nil: null, freq: 4 }) : value
}

const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('', 'a'.repeat(126), 'a'.repeat(127), 'é'.repeat(64)),
)
const blob = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc.constantFrom(1023, 1024, 5000).map((length) => new Uint8Array(length).fill(length)),
)
const scalars: Record<string, fc.Arbitrary<unknown>> = {
  bool: fc.boolean(),
  int8: fc.integer({ min: -128, max: 127 }),
  int16: fc.integer({ min: -32_768, max: 32_767 }),
  int32: fc.integer(),
  int64: fc.oneof(fc.maxSafeInteger(), fc.constantFrom(LONG_MAX, LONG_MIN, -1, 0)),
  uint16: fc.integer({ min: 0, max: 0xffff }),
  uint32: fc.integer({ min: 0, max: 0xffff_ffff }),
  float64: fc.double(),
  uuid: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => uuidFromBytes(bytes)),
  string: text,
  bytes: blob,
  records: blob,
}

function anyPresent(type: Type<unknown>, version: number): fc.Arbitrary<unknown> {
  if (type.element !== null) return fc.array(anyOf(type.element, version), { maxLength: 4 })
  if (type.fields !== null) return anyStruct(type.fields, version)
  return scalars[type.kind] as fc.Arbitrary<unknown>
}
