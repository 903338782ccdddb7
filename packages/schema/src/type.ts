import type { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** How one version of a type is read and written; made once per version, free of version tests. */
export interface Codec<T> {
  read(reader: Reader): T
  write(writer: Writer, value: T): void
  /** The fewest bytes a value takes: what a hostile array length is held against. */
  readonly minBytes: number
}

/** What a type is specialised for. */
export interface Binding {
  readonly version: number
  /** Compact lengths, and a tag section at the end of every struct. */
  readonly flexible: boolean
  /** Whether this is the value of a tagged field itself: there a nullable struct starts with a varint, not with an int8. */
  readonly tagged: boolean
}

declare const VALUE: unique symbol

/** Carries the TypeScript type of a declaration; exists only at compile time. */
export interface Typed<T> {
  readonly [VALUE]?: () => T
}

/** The kinds of types, by the names Kafka gives them. */
export type TypeKind =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint16'
  | 'uint32'
  | 'float64'
  | 'uuid'
  | 'string'
  | 'bytes'
  | 'records'
  | 'array'
  | 'struct'

/** The type of a field, for all versions. It is plain data to whoever inspects it, and binds itself to a version. */
export interface Type<T> extends Typed<T> {
  readonly kind: TypeKind
  /** The first version in which null is allowed: 0 for always, null for never. */
  readonly nullableSince: number | null
  /** Of an array. */
  readonly element: Type<unknown> | null
  /** Of a struct, or of an array's elements when they are structs. */
  readonly fields: FieldMap | null
  bind(binding: Binding): Codec<T>
}

/** A field of a struct: a type, or one with bounds. */
export interface Field<T> extends Typed<T> {
  readonly kind: 'field'
  readonly type: Type<T>
  /** The versions that have it, both inclusive. */
  readonly min: number
  readonly max: number
  /** What it decodes to in versions that lack it, and, tagged, when it is left out. */
  readonly fallback: T
  readonly tag: number | null
  /** Whether writing a version that lacks it drops its value silently. */
  readonly ignorable: boolean
}

/** What a struct is declared with: names to types or fields, in wire order. */
export interface FieldMap {
  readonly [name: string]: Type<unknown> | Field<unknown>
}

/** The TypeScript type of a declaration: `type FetchRequest = TypeOf<typeof FetchRequest>`. */
export type TypeOf<D> = D extends Typed<infer T> ? T : never

/** The value of a struct with these fields: every field is there, whatever the version. */
export type StructOf<F extends FieldMap> = { readonly [K in keyof F]: TypeOf<F[K]> }
