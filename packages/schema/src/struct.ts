import { assert } from '@millrace/base'
import { DecodeError, EncodeError, located } from './errors.ts'
import { sameValue } from './fields.ts'
import type { Reader } from './reader.ts'
import { tagSection } from './tags.ts'
import type { TaggedField, TagSection } from './tags.ts'
import type { Binding, Codec, Field, FieldMap, StructOf, Type } from './type.ts'
import type { Writer } from './writer.ts'

type Value = Record<string, unknown>

/** Named fields in wire order; the tagged ones travel at the end of flexible versions, in the order of their tags. */
export function struct<const F extends FieldMap>(fields: F): Type<StructOf<F>> {
  checkFields(fields)
  const plain = {
    kind: 'struct' as const,
    nullableSince: null,
    element: null,
    fields,
    bind: (binding: Binding) => structCodec(fields, binding) as Codec<StructOf<F>>,
    withNull: (since: number): Type<StructOf<F> | null> =>
      Object.freeze({
        kind: 'struct' as const,
        nullableSince: since,
        element: null,
        fields,
        bind(binding: Binding) {
          const codec = structCodec(fields, binding) as Codec<StructOf<F>>
          return binding.version < since ? (codec as Codec<StructOf<F> | null>) : nullStruct(codec, binding.tagged)
        },
      }),
  }
  return Object.freeze(plain)
}

/** A struct or null. */
export function nullableStruct<const F extends FieldMap>(fields: F): Type<StructOf<F> | null> {
  const type = struct(fields) as Type<StructOf<F>> & { withNull(since: number): Type<StructOf<F> | null> }
  return type.withNull(0)
}

/** The tag section is there whenever the version is flexible, even without a tagged field. */
export function structCodec(fields: FieldMap, binding: Binding): Codec<Value> {
  const inner = { version: binding.version, flexible: binding.flexible, tagged: false }
  const present: BoundField[] = []
  const absent: Absent[] = []
  const tags: TaggedField[] = []
  const blank: Value = {}
  for (const [name, declared] of Object.entries(fields)) {
    const field = declared.kind === 'field' ? declared : null
    const type = field === null ? (declared as Type<unknown>) : field.type
    // Every key is in the blank, in declaration order, so that all values of a struct share one shape.
    blank[name] = field === null ? null : field.fallback
    if (field !== null && !inVersion(field, binding.version)) absent.push({ name, field })
    else if (field === null || field.tag === null) present.push({ name, codec: type.bind(inner) })
    else tags.push(taggedField(name, field, binding))
  }
  const section = binding.flexible ? tagSection(tags) : null
  return new StructCodec(present, absent, section, blank)
}

interface BoundField {
  readonly name: string
  readonly codec: Codec<unknown>
}

interface Absent {
  readonly name: string
  readonly field: Field<unknown>
}

class StructCodec implements Codec<Value> {
  readonly minBytes: number
  private readonly present: readonly BoundField[]
  private readonly absent: readonly Absent[]
  private readonly section: TagSection | null
  private readonly blank: Value

  constructor(present: readonly BoundField[], absent: readonly Absent[], section: TagSection | null, blank: Value) {
    this.present = present
    this.absent = absent.filter(({ field }) => !field.ignorable)
    this.section = section
    this.blank = blank
    this.minBytes = present.reduce((sum, { codec }) => sum + codec.minBytes, section === null ? 0 : 1)
  }

  read(reader: Reader): Value {
    const value = { ...this.blank }
    const present = this.present
    let i = 0
    try {
      for (; i < present.length; i++) {
        const field = present[i] as BoundField
        value[field.name] = field.codec.read(reader)
      }
    } catch (error) {
      throw located(error, (present[i] as BoundField).name)
    }
    if (this.section !== null) this.section.read(reader, value)
    return value
  }

  write(writer: Writer, value: Value): void {
    if (typeof value !== 'object' || value === null) throw new EncodeError(`${String(value)} is not a struct`)
    if (this.absent.length > 0) this.checkAbsent(value)
    const present = this.present
    let i = 0
    try {
      for (; i < present.length; i++) {
        const field = present[i] as BoundField
        field.codec.write(writer, value[field.name])
      }
    } catch (error) {
      throw located(error, (present[i] as BoundField).name)
    }
    if (this.section !== null) this.section.write(writer, value)
  }

  private checkAbsent(value: Value): void {
    for (const { name, field } of this.absent) {
      if (sameValue(value[name], field.fallback)) continue
      throw located(new EncodeError('this version lacks the field, and its value is not the fallback'), name)
    }
  }
}

function inVersion(field: Field<unknown>, version: number): boolean {
  return version >= field.min && version <= field.max
}

function taggedField(name: string, field: Field<unknown>, { version, flexible }: Binding): TaggedField {
  assert(flexible, `tagged field ${name} in version ${version}, which is not flexible`)
  const codec = field.type.bind({ version, flexible, tagged: true })
  return { name, tag: field.tag as number, codec, fallback: field.fallback }
}

function nullStruct<T>(codec: Codec<T>, tagged: boolean): Codec<T | null> {
  return {
    minBytes: 1,
    read(reader) {
      const mark = tagged ? reader.uvarint() : reader.int8()
      if (mark === 1) return codec.read(reader)
      if (mark === (tagged ? 0 : -1)) return null
      throw new DecodeError(`${mark} says neither that a struct follows nor that it is null`)
    },
    write(writer, value) {
      if (value !== null) {
        writer.int8(1)
        codec.write(writer, value)
      } else writer.int8(tagged ? 0 : -1)
    },
  }
}

function checkFields(fields: FieldMap): void {
  const tags = new Set<number>()
  for (const [name, declared] of Object.entries(fields)) {
    // Integer-like names would come first whatever the declared order.
    assert(!/^\d/.test(name), `field name ${name} starts with a digit`)
    if (declared.kind !== 'field' || declared.tag === null) continue
    assert(!tags.has(declared.tag), `tag ${declared.tag} is used twice`)
    tags.add(declared.tag)
  }
}
