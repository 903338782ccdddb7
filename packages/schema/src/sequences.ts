import { DecodeError, EncodeError, located } from './errors.ts'
import type { Reader } from './reader.ts'
import type { Binding, Codec, Type, TypeKind } from './type.ts'
import type { Writer } from './writer.ts'

/** Text: UTF-8 of at most 32,767 bytes. */
export const string: Type<string> = sequence<string>({ kind: 'string' }, () => ({
  widthBytes: 2,
  minBytes: 0,
  read(reader, length) {
    if (length > 0x7fff) throw new DecodeError(`a string of ${length} bytes; 32767 is the most`)
    return reader.text(length)
  },
  write: (writer, value, compact) => writer.text(value, compact),
}))

/** Opaque bytes. Decoding gives a view of the frame; who keeps it longer copies it. */
export const bytes: Type<Uint8Array> = byteSequence('bytes')

/** A run of record batches, opaque here: a view of the frame when read, sent by reference when written. */
export const records: Type<Uint8Array> = byteSequence('records')

/** Any number of elements, in order. */
export function array<T>(element: Type<T>): Type<readonly T[]> {
  return sequence<readonly T[]>({ kind: 'array', element, fields: element.fields }, (binding) => {
    const codec = element.bind({ ...binding, tagged: false })
    // An element without bytes would make every length true.
    if (codec.minBytes === 0) throw new EncodeError('an array element must take at least one byte')
    return {
      widthBytes: 4,
      minBytes: 0,
      read: (reader, length) => readElements(reader, length, codec),
      write: (writer, value, compact) => writeElements(writer, value, codec, compact),
    }
  })
}

/** Allows null in every version. */
export function nullable<T>(type: Type<T>): Type<T | null> {
  return nullableSince(0, type)
}

/** Allows null from `version` on; before, null is an error in both directions. For strings, bytes, records, arrays and structs. */
export function nullableSince<T>(version: number, type: Type<T>): Type<T | null> {
  const nullableType = type as Type<T> & { withNull?: (since: number) => Type<T | null> }
  if (nullableType.withNull === undefined) throw new EncodeError(`a type of kind ${type.kind} has no null`)
  return nullableType.withNull(version)
}

/** Text or null. */
export const nullableString: Type<string | null> = nullable(string)
/** Opaque bytes or null. */
export const nullableBytes: Type<Uint8Array | null> = nullable(bytes)
/** A run of record batches or null. */
export const nullableRecords: Type<Uint8Array | null> = nullable(records)

/** Any number of elements, or null. */
export function nullableArray<T>(element: Type<T>): Type<readonly T[] | null> {
  return nullable(array(element))
}

/** Something with its length in front. */
interface Sequence<T> {
  /** Of the length's classic form: 2 for an int16, 4 for an int32. */
  readonly widthBytes: 2 | 4
  readonly minBytes: 0
  /** Reads what follows a length that is not negative. */
  read(reader: Reader, length: number): T
  /** Writes the length and what follows. */
  write(writer: Writer, value: T, compact: boolean): void
}

interface SequenceShape {
  readonly kind: TypeKind
  readonly element?: Type<unknown>
  readonly fields?: Type<unknown>['fields']
}

function sequence<T>(shape: SequenceShape, make: (binding: Binding) => Sequence<T>): Type<T> {
  const common = { kind: shape.kind, element: shape.element ?? null, fields: shape.fields ?? null }
  const plain = {
    ...common,
    nullableSince: null,
    bind: (binding: Binding) => plainCodec(make(binding), binding),
    withNull: (since: number): Type<T | null> =>
      Object.freeze({
        ...common,
        nullableSince: since,
        bind: (binding: Binding): Codec<T | null> =>
          binding.version < since ? plainCodec(make(binding), binding) : nullCodec(make(binding), binding),
      }),
  }
  return Object.freeze(plain)
}

function plainCodec<T>(sequence: Sequence<T>, { flexible }: Binding): Codec<T> {
  const width = sequence.widthBytes
  return {
    minBytes: flexible ? 1 : width,
    read(reader) {
      const length = readLength(reader, flexible, width)
      if (length < 0) throw new DecodeError(length === -1 ? 'null where none may be' : `length ${length}`)
      return sequence.read(reader, length)
    },
    write(writer, value) {
      if (value === null || value === undefined) throw new EncodeError(`${String(value)} where none may be`)
      sequence.write(writer, value, flexible)
    },
  }
}

function nullCodec<T>(sequence: Sequence<T>, { flexible }: Binding): Codec<T | null> {
  const width = sequence.widthBytes
  return {
    minBytes: flexible ? 1 : width,
    read(reader) {
      const length = readLength(reader, flexible, width)
      if (length === -1) return null
      if (length < 0) throw new DecodeError(`length ${length}`)
      return sequence.read(reader, length)
    },
    write(writer, value) {
      if (value === undefined) throw new EncodeError('undefined where none may be')
      if (value !== null) sequence.write(writer, value, flexible)
      else if (flexible) writer.uvarint(0)
      else if (width === 2) writer.int16(-1)
      else writer.int32(-1)
    },
  }
}

function readLength(reader: Reader, flexible: boolean, width: 2 | 4): number {
  if (flexible) return reader.uvarint() - 1
  return width === 2 ? reader.int16() : reader.int32()
}

function byteSequence(kind: 'bytes' | 'records'): Type<Uint8Array> {
  return sequence<Uint8Array>({ kind }, () => ({
    widthBytes: 4,
    minBytes: 0,
    read: (reader, length) => reader.slice(length),
    write(writer, value, compact) {
      if (!(value instanceof Uint8Array)) throw new EncodeError(`${typeof value} is not bytes`)
      writeCount(writer, value.length, compact)
      writer.append(value)
    },
  }))
}

function writeCount(writer: Writer, count: number, compact: boolean): void {
  if (compact) writer.uvarint(count + 1)
  else writer.int32(count)
}

function readElements<T>(reader: Reader, length: number, codec: Codec<T>): readonly T[] {
  reader.expectElements(length, codec.minBytes)
  const elements: T[] = []
  let i = 0
  try {
    for (; i < length; i++) elements.push(codec.read(reader))
  } catch (error) {
    throw located(error, i)
  }
  return elements
}

function writeElements<T>(writer: Writer, elements: readonly T[], codec: Codec<T>, compact: boolean): void {
  if (!Array.isArray(elements)) throw new EncodeError(`${typeof elements} is not an array`)
  writeCount(writer, elements.length, compact)
  let i = 0
  try {
    for (; i < elements.length; i++) codec.write(writer, elements[i] as T)
  } catch (error) {
    throw located(error, i)
  }
}
