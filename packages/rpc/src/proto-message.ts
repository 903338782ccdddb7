import protobuf from 'protobufjs/minimal.js'

const { Reader, Writer } = protobuf

type Reader = protobuf.Reader
type Writer = protobuf.Writer

/** How one protobuf scalar, or a message inside another, is read and written. `packable` kinds may arrive packed. */
export interface WireType<T> {
  readonly protoName: string
  readonly wire: 0 | 1 | 2 | 5
  readonly fallback: T
  isFallback(value: T): boolean
  write(to: Writer, value: T): void
  read(from: Reader): T
}

export interface Field<T> {
  readonly tag: number
  readonly type: WireType<unknown>
  readonly rule: 'single' | 'optional' | 'repeated'
  readonly value?: T
}

export type Fields = Readonly<Record<string, Field<unknown>>>
export type ValueOf<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never }

/** A message of `proto/millrace`: plain typed objects in, protobuf bytes out. Unknown fields are skipped. */
export interface ProtoMessage<T> extends WireType<T> {
  readonly name: string
  readonly fields: Fields
  encode(value: T): Uint8Array
  /** Throws `RpcDecodeError` for bytes that are not this message. Byte fields are slices of `bytes`. */
  decode(bytes: Uint8Array): T
}

export type TypeOf<M> = M extends WireType<infer T> ? T : never

/** A frame of a peer that does not decode. */
export class RpcDecodeError extends Error {
  override readonly name = 'RpcDecodeError'
}

function scalar<T>(
  protoName: string,
  wire: 0 | 1 | 2 | 5,
  fallback: T,
  write: (to: Writer, value: T) => void,
  read: (from: Reader) => T,
): WireType<T> {
  return { protoName, wire, fallback, isFallback: (value) => value === fallback, write, read }
}

function exactNumber(value: unknown): number {
  const number = typeof value === 'number' ? value : (value as { toNumber(): number }).toNumber()
  if (!Number.isSafeInteger(number)) throw new RpcDecodeError(`${number} is not an exact integer`)
  return number
}

export const int32: WireType<number> = scalar(
  'int32',
  0,
  0,
  (to, value) => to.int32(value),
  (from) => from.int32(),
)
export const uint32: WireType<number> = scalar(
  'uint32',
  0,
  0,
  (to, value) => to.uint32(value),
  (from) => from.uint32(),
)
/** Zig-zag: for values that are often -1. */
export const sint32: WireType<number> = scalar(
  'sint32',
  0,
  0,
  (to, value) => to.sint32(value),
  (from) => from.sint32(),
)
export const int64: WireType<number> = scalar(
  'int64',
  0,
  0,
  (to, value) => to.int64(value),
  (from) => exactNumber(from.int64()),
)
export const uint64: WireType<number> = scalar(
  'uint64',
  0,
  0,
  (to, value) => to.uint64(value),
  (from) => exactNumber(from.uint64()),
)
/** Zig-zag: for values that are often -1. */
export const sint64: WireType<number> = scalar(
  'sint64',
  0,
  0,
  (to, value) => to.sint64(value),
  (from) => exactNumber(from.sint64()),
)
export const bool: WireType<boolean> = scalar(
  'bool',
  0,
  false,
  (to, value) => to.bool(value),
  (from) => from.bool(),
)
export const string: WireType<string> = scalar(
  'string',
  2,
  '',
  (to, value) => to.string(value),
  (from) => from.string(),
)
const NO_BYTES = new Uint8Array(0)
export const bytes: WireType<Uint8Array> = {
  protoName: 'bytes',
  wire: 2,
  fallback: NO_BYTES,
  isFallback: (value) => value.length === 0,
  write: (to, value) => to.bytes(value),
  read: (from) => from.bytes(),
}

/** A closed set of words, numbered from 0 in the order given; the first is the default. */
export function choice<const W extends readonly string[]>(
  protoName: string,
  words: W,
): WireType<W[number]> & { readonly words: W } {
  const read = (from: Reader): W[number] => {
    const word = words[from.int32()]
    if (word === undefined) throw new RpcDecodeError(`unknown ${protoName}`)
    return word
  }
  return {
    ...scalar<W[number]>(protoName, 0, words[0] as W[number], (to, value) => to.int32(words.indexOf(value)), read),
    words,
  }
}

export function field<T>(tag: number, type: WireType<T>): Field<T> {
  return { tag, type, rule: 'single' }
}
/** Null when absent. */
export function optional<T>(tag: number, type: WireType<T>): Field<T | null> {
  return { tag, type, rule: 'optional' }
}
export function repeated<T>(tag: number, type: WireType<T>): Field<readonly T[]> {
  return { tag, type, rule: 'repeated' }
}

export function proto<F extends Fields>(name: string, fields: F): ProtoMessage<ValueOf<F>> {
  const list = Object.entries(fields).map(([key, declared]) => ({ key, ...declared }))
  const byTag = new Map(list.map((entry) => [entry.tag, entry]))
  const blank: Record<string, unknown> = {}
  for (const entry of list)
    blank[entry.key] = entry.rule === 'single' ? entry.type.fallback : entry.rule === 'optional' ? null : EMPTY

  function write(to: Writer, value: ValueOf<F>): void {
    for (const { key, tag, type, rule } of list) {
      const present = (value as Record<string, unknown>)[key]
      if (rule === 'repeated')
        for (const item of present as readonly unknown[]) type.write(to.uint32((tag << 3) | type.wire), item)
      else if (rule === 'optional' ? present !== null : !type.isFallback(present))
        type.write(to.uint32((tag << 3) | type.wire), present)
    }
  }

  function readUntil(from: Reader, end: number): ValueOf<F> {
    const value: Record<string, unknown> = { ...blank }
    while (from.pos < end) {
      const head = from.uint32()
      const entry = byTag.get(head >>> 3)
      if (entry === undefined) from.skipType(head & 7)
      else readField(from, head & 7, entry, value)
    }
    if (from.pos !== end) throw new RpcDecodeError(`${name}: a field runs past the end`)
    return value as ValueOf<F>
  }

  const message: ProtoMessage<ValueOf<F>> = {
    name,
    fields,
    protoName: name,
    wire: 2,
    fallback: blank as ValueOf<F>,
    isFallback: () => false,
    write(to, value) {
      write(to.fork(), value)
      to.ldelim()
    },
    read: (from) => {
      const length = from.uint32()
      const end = from.pos + length
      if (end > from.len) throw new RpcDecodeError(`${name}: longer than its frame`)
      return readUntil(from, end)
    },
    encode(value) {
      const to = Writer.create()
      write(to, value)
      return to.finish()
    },
    decode: (raw) => guarded(name, () => readUntil(Reader.create(raw), raw.length)),
  }
  return message
}

const EMPTY: readonly never[] = Object.freeze([])

function readField(
  from: Reader,
  wire: number,
  entry: { key: string; type: WireType<unknown>; rule: string },
  value: Record<string, unknown>,
): void {
  const { key, type, rule } = entry
  if (rule === 'repeated') {
    const items = value[key] === EMPTY ? [] : (value[key] as unknown[])
    value[key] = items
    if (wire === 2 && type.wire !== 2)
      for (const end = from.uint32() + from.pos; from.pos < end;) items.push(type.read(from))
    else if (wire === type.wire) items.push(type.read(from))
    else throw new RpcDecodeError(`${key}: wire type ${wire}`)
    return
  }
  if (wire !== type.wire) throw new RpcDecodeError(`${key}: wire type ${wire}`)
  value[key] = type.read(from)
}

function guarded<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof RpcDecodeError) throw error
    throw new RpcDecodeError(`${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

export type Cases = Readonly<Record<string, readonly [tag: number, message: ProtoMessage<object>]>>
export type OneOf<C extends Cases> = {
  [K in keyof C & string]: { readonly kind: K } & Omit<TypeOf<C[K][1]>, never>
}[keyof C & string]

/** A frame that carries exactly one of several messages, told apart by `kind`. In the .proto file: a message with one `oneof`. */
export interface ProtoFrame<T> {
  readonly name: string
  readonly cases: Cases
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

export function frame<const C extends Cases>(name: string, cases: C): ProtoFrame<OneOf<C>> {
  const byTag = new Map(Object.entries(cases).map(([kind, [tag, message]]) => [tag, { kind, message }]))
  return {
    name,
    cases,
    encode(value) {
      const [tag, message] = cases[value.kind] as Cases[string]
      const to = Writer.create().uint32((tag << 3) | 2)
      message.write(to, value)
      return to.finish()
    },
    decode: (raw) =>
      guarded(name, () => {
        const from = Reader.create(raw)
        const head = from.uint32()
        const entry = byTag.get(head >>> 3)
        if (entry === undefined || (head & 7) !== 2) throw new RpcDecodeError(`${name}: unknown case ${head >>> 3}`)
        const value = { kind: entry.kind, ...entry.message.read(from) }
        if (from.pos !== from.len) throw new RpcDecodeError(`${name}: trailing bytes`)
        return value as unknown as OneOf<C>
      }),
  }
}
