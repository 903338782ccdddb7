import { assert } from '@millrace/base'
import { DecodeError, EncodeError } from './errors.ts'
import { DEFAULT_LIMITS, Reader } from './reader.ts'
import type { DecodeLimits } from './reader.ts'
import { structCodec } from './struct.ts'
import type { Codec, FieldMap, StructOf, Typed } from './type.ts'
import { Writer } from './writer.ts'

/** All versions of one message: what {@link message} and `record` make, and what encoding and decoding take. */
export interface Schema<T> extends Typed<T> {
  readonly name: string
  /** The first and the last version, both inclusive. */
  readonly versions: readonly [min: number, max: number]
  /** The first flexible version, or null when none is. */
  readonly flexible: number | null
  readonly fields: FieldMap
  /** The codec of one version, made at its first use. Throws `RangeError` for a version that is not declared. */
  codec(version: number): Codec<T>
}

/** A message of the wire. */
export interface Message<T> extends Schema<T> {
  /** The number of its API; null for what is no request or response. */
  readonly key: number | null
}

/** What {@link message} takes. */
export interface MessageDeclaration<F extends FieldMap> {
  readonly key?: number
  readonly name: string
  readonly versions: readonly [min: number, max: number]
  /** The first flexible version; left out when none is. */
  readonly flexible?: number
  readonly fields: F
}

/** Declares all versions of a message as one value. Throws `BrokenInvariant` when a version contradicts itself. */
export function message<const F extends FieldMap>(declaration: MessageDeclaration<F>): Message<StructOf<F>> {
  return Object.freeze({ ...schema<F>(declaration), key: declaration.key ?? null })
}

/** What `message` and `record` share. */
export function schema<F extends FieldMap>(declaration: Omit<MessageDeclaration<F>, 'key'>): Schema<StructOf<F>> {
  const { name, versions, fields } = declaration
  const [min, max] = versions
  assert(min >= 0 && min <= max, `${name}: versions ${min}-${max}`)
  const flexible = declaration.flexible ?? null
  // A codec is a pure function of the declaration, so keeping it changes nothing that can be observed but the time.
  const codecs: Codec<StructOf<F>>[] = []
  const codec = (version: number): Codec<StructOf<F>> => {
    const known = codecs[version]
    if (known !== undefined) return known
    if (!Number.isInteger(version) || version < min || version > max)
      throw new RangeError(`${name} has no version ${version}, only ${min} to ${max}`)
    const binding = { version, flexible: flexible !== null && version >= flexible, tagged: false }
    const made = structCodec(fields, binding) as Codec<StructOf<F>>
    codecs[version] = made
    return made
  }
  return { name, versions, flexible, fields, codec }
}

/**
 * The value in `bytes`, all of which it must fill. Throws {@link DecodeError} for anything else. Byte fields are views of `bytes`.
 */
export function decode<T>(
  schema: Schema<T>,
  version: number,
  bytes: Uint8Array,
  limits: DecodeLimits = DEFAULT_LIMITS,
): T {
  const reader = new Reader(bytes, limits)
  const value = decodeFrom(schema, version, reader)
  reader.expectEnd()
  return value
}

/** Like {@link decode}, but from where the reader stands, leaving what follows. */
export function decodeFrom<T>(schema: Schema<T>, version: number, reader: Reader): T {
  if (version < schema.versions[0] || version > schema.versions[1])
    throw new DecodeError(`${schema.name} has no version ${version}`)
  return schema.codec(version).read(reader)
}

/**
 * The value as parts for one vectored write. Byte fields of 1 KiB and more are parts by reference: they must not change until sent.
 * Throws {@link EncodeError} when the version cannot hold the value.
 */
export function encode<T>(schema: Schema<T>, version: number, value: T): Uint8Array[] {
  const writer = new Writer()
  encodeTo(schema, version, value, writer)
  return writer.parts()
}

/** The value as one run of bytes. */
export function encodeToBytes<T>(schema: Schema<T>, version: number, value: T): Uint8Array {
  const writer = new Writer()
  encodeTo(schema, version, value, writer)
  return writer.bytes()
}

/** Appends the value to what the writer holds. */
export function encodeTo<T>(schema: Schema<T>, version: number, value: T, writer: Writer): void {
  if (version < schema.versions[0] || version > schema.versions[1])
    throw new EncodeError(`${schema.name} has no version ${version}`)
  schema.codec(version).write(writer, value)
}
