import { assert } from '@millrace/base'
import { DecodeError } from './errors.ts'
import { decodeFrom, encodeTo, schema } from './message.ts'
import type { MessageDeclaration, Schema } from './message.ts'
import { Reader } from './reader.ts'
import type { FieldMap, StructOf } from './type.ts'
import { Writer } from './writer.ts'

/** All versions of a record of a log: of the metadata, of a group, of a transaction. */
export interface RecordSchema<T, N extends string = string> extends Schema<T> {
  /** Unique among the records of one log, for ever. */
  readonly type: number
  readonly name: N
}

/** What {@link record} takes. */
export interface RecordDeclaration<N extends string, F extends FieldMap> extends Omit<MessageDeclaration<F>, 'key'> {
  readonly type: number
  readonly name: N
}

/** Declares all versions of a record as one value. */
export function record<const N extends string, const F extends FieldMap>(
  declaration: RecordDeclaration<N, F>,
): RecordSchema<StructOf<F>, N> {
  return Object.freeze({ ...schema<F>(declaration), type: declaration.type, name: declaration.name })
}

/** The record types of one log, by their number. */
export interface RecordRegistry<S extends RecordSchema<unknown>> {
  readonly schemas: readonly S[]
  byType(type: number): S | undefined
}

/** A decoded record; `name` tells its type apart. */
export type DecodedRecord<S> =
  S extends RecordSchema<infer T, infer N>
    ? { readonly name: N; readonly type: number; readonly version: number; readonly value: T }
    : never

/** Collects the record types of one log. Throws `BrokenInvariant` when two share a number. */
export function recordRegistry<const S extends RecordSchema<unknown>>(schemas: readonly S[]): RecordRegistry<S> {
  const types = new Map<number, S>()
  for (const one of schemas) {
    assert(!types.has(one.type), `record type ${one.type} is used twice`)
    types.set(one.type, one)
  }
  return { schemas, byType: (type) => types.get(type) }
}

/** A record framed as varint type, varint version, body: the form of the metadata log. */
export function encodeRecord<T>(schema: RecordSchema<T>, version: number, value: T): Uint8Array {
  const writer = new Writer()
  writer.uvarint(schema.type)
  writer.uvarint(version)
  encodeTo(schema, version, value, writer)
  return writer.bytes()
}

/** The record in `bytes`, all of which it must fill. A type or version that the registry lacks is a {@link DecodeError} too. */
export function decodeRecord<const S extends RecordSchema<unknown>>(
  registry: RecordRegistry<S>,
  bytes: Uint8Array,
): DecodedRecord<S> {
  const reader = new Reader(bytes)
  const type = reader.uvarint()
  const version = reader.uvarint()
  const found = registry.byType(type)
  if (found === undefined) throw new DecodeError(`record type ${type} is unknown here`)
  const value = decodeFrom(found, version, reader)
  reader.expectEnd()
  return { name: found.name, type, version, value } as unknown as DecodedRecord<S>
}

/** A value after its version as an int16: the form of the values in Kafka's group and transaction logs, and of consumer subscriptions. */
export function encodeVersioned<T>(schema: Schema<T>, version: number, value: T): Uint8Array {
  const writer = new Writer()
  writer.int16(version)
  encodeTo(schema, version, value, writer)
  return writer.bytes()
}

/** The reverse of {@link encodeVersioned}; a version that the schema lacks is a {@link DecodeError}. */
export function decodeVersioned<T>(
  schema: Schema<T>,
  bytes: Uint8Array,
): { readonly version: number; readonly value: T } {
  const reader = new Reader(bytes)
  const version = reader.int16()
  const value = decodeFrom(schema, version, reader)
  reader.expectEnd()
  return { version, value }
}

/**
 * A key after its record type as an int16, in the schema's only version: the form of the keys in Kafka's group and transaction logs,
 * where the number that tells the types apart is called a version.
 */
export function encodeKey<T>(schema: RecordSchema<T>, value: T): Uint8Array {
  const writer = new Writer()
  writer.int16(schema.type)
  encodeTo(schema, schema.versions[0], value, writer)
  return writer.bytes()
}

/** The reverse of {@link encodeKey}; null when no schema of the registry has the key's type, as newer software may have written it. */
export function decodeKey<const S extends RecordSchema<unknown>>(
  registry: RecordRegistry<S>,
  bytes: Uint8Array,
): DecodedRecord<S> | null {
  const reader = new Reader(bytes)
  const type = reader.int16()
  const found = registry.byType(type)
  if (found === undefined) return null
  const version = found.versions[0]
  const value = decodeFrom(found, version, reader)
  reader.expectEnd()
  return { name: found.name, type, version, value } as unknown as DecodedRecord<S>
}
