import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import protobuf from 'protobufjs'
import { describe, expect, test } from 'vitest'
import * as rpc from '../src/index.ts'
import type { ProtoFrame, ProtoMessage } from '../src/index.ts'

/** The files that other languages would be generated from, read by the reference implementation. */
const FILES = join(import.meta.dirname, '../../../proto/millrace')
const root = new protobuf.Root()
for (const name of readdirSync(FILES))
  protobuf.parse(readFileSync(join(FILES, name), 'utf8'), root, { keepCase: false, alternateCommentMode: true })
root.resolveAll()
const space = root.lookup('millrace') as protobuf.Namespace

type Message = ProtoMessage<object>
type Frame = ProtoFrame<object>
type Choice = { readonly protoName: string; readonly words: readonly string[] }

const isMessage = (one: unknown): one is Message => typeof one === 'object' && one !== null && 'fields' in one
const isFrame = (one: unknown): one is Frame => typeof one === 'object' && one !== null && 'cases' in one
const isChoice = (one: unknown): one is Choice => typeof one === 'object' && one !== null && 'words' in one

/** Every message, frame and choice that is declared, wherever it is used. */
const messages = new Map<string, Message>()
const frames = new Map<string, Frame>()
const choices = new Map<string, Choice>()
function collect(declared: unknown): void {
  if (isFrame(declared)) {
    frames.set(declared.name, declared)
    for (const [, message] of Object.values(declared.cases)) collect(message)
  } else if (isMessage(declared)) {
    messages.set(declared.name, declared)
    for (const { type } of Object.values(declared.fields)) collect(type)
  } else if (isChoice(declared)) choices.set(declared.protoName, declared)
}
for (const declared of Object.values(rpc)) collect(declared)

const upperSnake = (word: string): string => word.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()

describe('our declarations and the .proto files', () => {
  test('name the same messages and enums', () => {
    const inFiles = space.nestedArray
    const types = inFiles.filter((one) => one instanceof protobuf.Type).map(({ name }) => name)
    const enums = inFiles.filter((one) => one instanceof protobuf.Enum).map(({ name }) => name)
    // `Frame` stands in the service for whatever the hello names.
    const ours = [...messages.keys(), ...frames.keys(), 'Frame']
    expect(new Set(ours)).toEqual(new Set(types))
    expect(new Set(choices.keys())).toEqual(new Set(enums))
  })

  test.each([...messages.keys()])('agree on every field of %s', (name) => {
    const type = space.lookupType(name)
    const ours = Object.entries((messages.get(name) as Message).fields).map(([field, { tag, type, rule }]) => [
      field,
      { tag, type: type.protoName, rule },
    ])
    const theirs = type.fieldsArray.map((field) => [
      field.name,
      {
        tag: field.id,
        type: field.resolvedType?.name ?? field.type,
        rule: field.repeated ? 'repeated' : field.options?.['proto3_optional'] === true ? 'optional' : 'single',
      },
    ])
    expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(theirs))
  })

  test.each([...frames.keys()])('agree on every case of %s', (name) => {
    const type = space.lookupType(name)
    const ours = Object.entries((frames.get(name) as Frame).cases).map(([kind, [tag, message]]) => [
      kind,
      [tag, message.name],
    ])
    expect(type.oneofsArray.length).toBe(1)
    expect(Object.fromEntries(ours)).toEqual(
      Object.fromEntries(type.fieldsArray.map((field) => [field.name, [field.id, field.resolvedType?.name]])),
    )
  })

  test.each([...choices.keys()])('agree on every word of %s', (name) => {
    const words = (choices.get(name) as Choice).words
    expect(Object.fromEntries(words.map((word, number) => [upperSnake(word), number]))).toEqual(
      space.lookupEnum(name).values,
    )
  })
})

/** Any value of a message; numbers at and near the bounds of their type come often. */
function anyOf(message: Message): fc.Arbitrary<Record<string, unknown>> {
  const entries = Object.entries(message.fields).map(([name, { type, rule }]) => {
    const value = anyValue(type)
    if (rule === 'repeated') return [name, fc.array(value, { maxLength: 4 })] as const
    return [name, rule === 'optional' ? fc.option(value, { nil: null }) : value] as const
  })
  return fc.record(Object.fromEntries(entries))
}

function anyValue(type: unknown): fc.Arbitrary<unknown> {
  if (isMessage(type)) return anyOf(type)
  if (isChoice(type)) return fc.constantFrom(...type.words)
  const { protoName } = type as { protoName: string }
  switch (protoName) {
    case 'bool':
      return fc.boolean()
    case 'string':
      return fc.string({ maxLength: 12, unit: 'grapheme' })
    case 'bytes':
      return fc.uint8Array({ maxLength: 12 })
    case 'int32':
    case 'sint32':
      return fc.integer()
    case 'uint32':
      return fc.nat({ max: 0xffff_ffff })
    case 'uint64':
      return fc.maxSafeNat()
    default:
      return fc.maxSafeInteger()
  }
}

/** A value of ours as the reference implementation wants it: enum words as numbers, absent optionals left out. */
function forReference(message: Message, value: Record<string, unknown>): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const [name, { type, rule }] of Object.entries(message.fields)) {
    const one = (item: unknown): unknown =>
      isMessage(type)
        ? forReference(type, item as Record<string, unknown>)
        : isChoice(type)
          ? type.words.indexOf(item as string)
          : item
    if (rule === 'optional' && value[name] === null) continue
    out[name] = rule === 'repeated' ? (value[name] as unknown[]).map(one) : one(value[name])
  }
  return out
}

function fromReference(message: Message, value: Record<string, unknown>): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const [name, { type, rule }] of Object.entries(message.fields)) {
    const one = (item: unknown): unknown =>
      isMessage(type)
        ? fromReference(type, item as Record<string, unknown>)
        : isChoice(type)
          ? type.words[item as number]
          : item
    if (rule === 'optional' && (value[name] === undefined || value[name] === null)) out[name] = null
    else out[name] = rule === 'repeated' ? (value[name] as unknown[]).map(one) : one(value[name])
  }
  return out
}

const plain = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? [...value]
    : Array.isArray(value)
      ? value.map(plain)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
        : value

describe('our codecs and the reference implementation', () => {
  test.each([...messages.keys()])('read what the other wrote of %s', (name) => {
    const message = messages.get(name) as Message
    const type = space.lookupType(name)
    fc.assert(
      fc.property(anyOf(message), (value) => {
        const read = type.toObject(type.decode(message.encode(value)), {
          longs: Number,
          defaults: true,
          arrays: true,
          bytes: Uint8Array as unknown as ArrayConstructor,
        })
        expect(plain(fromReference(message, read))).toEqual(plain(value))
        const written = type.encode(type.fromObject(forReference(message, value))).finish()
        expect(plain(message.decode(written))).toEqual(plain(value))
      }),
      { numRuns: 60, seed: 20_260_101 },
    )
  })

  test.each([...frames.keys()])('read what the other wrote of every case of %s', (name) => {
    const frame = frames.get(name) as Frame
    const type = space.lookupType(name)
    for (const [kind, [, message]] of Object.entries(frame.cases))
      fc.assert(
        fc.property(anyOf(message), (value) => {
          const bytes = frame.encode({ kind, ...value })
          expect(Object.keys(type.toObject(type.decode(bytes)))).toEqual([kind])
          const written = type.encode(type.fromObject({ [kind]: forReference(message, value) })).finish()
          expect(plain(frame.decode(written))).toEqual(plain({ kind, ...value }))
        }),
        { numRuns: 30, seed: 20_260_102 },
      )
  })
})

function outcomeOf(decode: () => unknown): 'a value' | 'refused' | 'another error' {
  try {
    decode()
    return 'a value'
  } catch (error) {
    return error instanceof rpc.RpcDecodeError ? 'refused' : 'another error'
  }
}

describe('a frame of a hostile or newer peer', () => {
  const bytesOf = (...numbers: number[]): Uint8Array => new Uint8Array(numbers)

  test('never ends in anything but a value or the one error', () => {
    const all = [...frames.values(), ...messages.values()]
    fc.assert(
      fc.property(fc.constantFrom(...all), fc.uint8Array({ maxLength: 64 }), (codec, bytes) => {
        expect(outcomeOf(() => codec.decode(bytes))).not.toBe('another error')
      }),
      { numRuns: 3000, seed: 20_260_103 },
    )
  })

  test('is refused when cut short anywhere', () => {
    const frame = rpc.ControllerFrame.encode({
      kind: 'snapshot',
      index: 7,
      term: 3,
      data: bytesOf(1, 2, 3),
      last: true,
    })
    for (let length = 0; length < frame.length; length++)
      expect(() => rpc.ControllerFrame.decode(frame.subarray(0, length)), `${length} bytes`).toThrow(rpc.RpcDecodeError)
  })

  test('is refused with an unknown case, trailing bytes, a wrong wire type, or an unknown word', () => {
    expect(() => rpc.BrokerFrame.decode(bytesOf(0x7a, 0))).toThrow('unknown case')
    const frame = rpc.ControllerFrame.encode({ kind: 'notLeader', leaderId: 1, term: 2 })
    expect(() => rpc.ControllerFrame.decode(new Uint8Array([...frame, 0]))).toThrow('trailing')
    expect(() => rpc.Hello.decode(bytesOf(0x0d, 1, 0, 0, 0))).toThrow('wire type')
    expect(() => rpc.Hello.decode(bytesOf(0x08, 9))).toThrow('unknown Purpose')
  })

  test('is refused when a number is no exact integer', () => {
    const huge = bytesOf(0x50, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
    expect(() => rpc.Hello.decode(huge)).toThrow('exact')
  })

  test('keeps what it knows of a message with fields that are new', () => {
    const hello = rpc.Hello.encode({ ...rpc.Hello.decode(new Uint8Array(0)), clusterId: 'c', nodeId: 4 })
    const newer = new Uint8Array([...hello, 0xfa, 0x01, 2, 1, 2])
    expect(rpc.Hello.decode(newer)).toMatchObject({ clusterId: 'c', nodeId: 4 })
  })

  test('reads packed and unpacked numbers alike', () => {
    expect(rpc.AlterPartitionAnswer.decode(bytesOf(0x2a, 2, 2, 4)).isr).toEqual([1, 2])
    expect(rpc.AlterPartitionAnswer.decode(bytesOf(0x28, 2, 0x28, 4)).isr).toEqual([1, 2])
  })
})
