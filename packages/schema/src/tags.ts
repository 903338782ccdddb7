import { DecodeError, located } from './errors.ts'
import { sameValue } from './fields.ts'
import type { Reader } from './reader.ts'
import type { Codec } from './type.ts'
import type { Writer } from './writer.ts'

/** A tagged field bound to a version. */
export interface TaggedField {
  readonly name: string
  readonly tag: number
  readonly codec: Codec<unknown>
  readonly fallback: unknown
}

/** The end of every struct of a flexible version (KIP-482). */
export interface TagSection {
  read(reader: Reader, into: Record<string, unknown>): void
  write(writer: Writer, value: Record<string, unknown>): void
}

/** The section that knows these fields; fields it does not know are skipped, as newer peers may send them. */
export function tagSection(fields: readonly TaggedField[]): TagSection {
  return fields.length === 0 ? EMPTY : new KnownTags(fields)
}

const EMPTY: TagSection = {
  read(reader) {
    if (reader.uint8() === 0) return
    reader.at--
    readTags(reader, [], {})
  },
  write: (writer) => writer.uint8(0),
}

class KnownTags implements TagSection {
  /** By tag, ascending, the order in which they are written. */
  private readonly fields: readonly TaggedField[]

  constructor(fields: readonly TaggedField[]) {
    this.fields = [...fields].sort((a, b) => a.tag - b.tag)
  }

  read(reader: Reader, into: Record<string, unknown>): void {
    readTags(reader, this.fields, into)
  }

  write(writer: Writer, value: Record<string, unknown>): void {
    let count = 0
    for (const field of this.fields) if (isSet(field, value)) count++
    writer.uvarint(count)
    if (count === 0) return
    for (const field of this.fields) if (isSet(field, value)) writeTag(writer, field, value[field.name])
  }
}

function isSet(field: TaggedField, value: Record<string, unknown>): boolean {
  const fallback = field.fallback
  const mine = value[field.name]
  return typeof fallback === 'object' ? !sameValue(mine, fallback) : mine !== fallback
}

function writeTag(writer: Writer, field: TaggedField, value: unknown): void {
  writer.uvarint(field.tag)
  const mark = writer.beginSized()
  try {
    field.codec.write(writer, value)
  } catch (error) {
    throw located(error, field.name)
  }
  writer.endSized(mark)
}

function readTags(reader: Reader, known: readonly TaggedField[], into: Record<string, unknown>): void {
  const count = reader.uvarint()
  // A tag and a size take two bytes, so a count that lies is found before the loop.
  reader.expectElements(count, 2)
  let last = -1
  for (let i = 0; i < count; i++) {
    const tag = reader.uvarint()
    if (tag <= last) throw new DecodeError(`tag ${tag} after tag ${last}`)
    last = tag
    const size = reader.uvarint()
    const field = known.find((one) => one.tag === tag)
    if (field === undefined) reader.skip(size)
    else readTag(reader, field, size, into)
  }
}

function readTag(reader: Reader, field: TaggedField, size: number, into: Record<string, unknown>): void {
  try {
    const outer = reader.narrow(size)
    into[field.name] = field.codec.read(reader)
    reader.leave(outer)
  } catch (error) {
    throw located(error, field.name)
  }
}
