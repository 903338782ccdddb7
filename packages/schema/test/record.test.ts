import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  decodeKey,
  decodeRecord,
  decodeVersioned,
  DecodeError,
  encodeKey,
  encodeRecord,
  encodeVersioned,
  int32,
  message,
  record,
  recordRegistry,
  since,
  string,
  uuid,
} from '../src/index.ts'

const TopicRecord = record({
  type: 2,
  name: 'TopicRecord',
  versions: [0, 1],
  flexible: 0,
  fields: { name: string, note: since(1, string, '') },
})
const PartitionRecord = record({
  type: 300,
  name: 'PartitionRecord',
  versions: [0, 0],
  flexible: 0,
  fields: { topicId: uuid, leader: int32 },
})
const registry = recordRegistry([TopicRecord, PartitionRecord])

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

describe('a record of the metadata log', () => {
  test('is its type, its version and its body', () => {
    expect(toHex(encodeRecord(TopicRecord, 1, { name: 'a', note: 'b' }))).toBe('0201 0261 0262 00'.replaceAll(' ', ''))
    expect(toHex(encodeRecord(PartitionRecord, 0, { topicId: 'AAECAwQFBgcICQoLDA0ODw', leader: 3 }))).toMatch(
      /^ac0200000102/,
    )
  })

  test('decodes to a value whose name tells its type', () => {
    const decoded = decodeRecord(registry, encodeRecord(TopicRecord, 0, { name: 'a', note: '' }))
    expect(decoded).toEqual({ name: 'TopicRecord', type: 2, version: 0, value: { name: 'a', note: '' } })
    if (decoded.name === 'PartitionRecord') expectTypeOf(decoded.value.leader).toEqualTypeOf<number>()
    else expectTypeOf(decoded.value.note).toEqualTypeOf<string>()
  })

  test('of an unknown type or version, cut short or too long is a DecodeError', () => {
    const good = encodeRecord(TopicRecord, 0, { name: 'a', note: '' })
    for (const bad of [
      Uint8Array.of(9, 0),
      Uint8Array.of(2, 2, 1, 0),
      good.subarray(0, 3),
      Uint8Array.of(...good, 0),
      new Uint8Array(0),
    ])
      expect(() => decodeRecord(registry, bad)).toThrow(DecodeError)
  })

  test('has a type of its own', () => {
    expect(() => recordRegistry([TopicRecord, TopicRecord])).toThrow('used twice')
  })
})

describe('a key or value of a coordinator log', () => {
  const Value = message({ name: 'Value', versions: [0, 4], flexible: 4, fields: { protocol: string } })
  const OffsetKey = record({ type: 1, name: 'OffsetKey', versions: [0, 0], fields: { group: string } })
  const keys = recordRegistry([OffsetKey])

  test('a value follows its version', () => {
    expect(toHex(encodeVersioned(Value, 3, { protocol: 'r' }))).toBe('0003000172')
    expect(decodeVersioned(Value, encodeVersioned(Value, 4, { protocol: 'r' }))).toEqual({
      version: 4,
      value: { protocol: 'r' },
    })
    expect(() => decodeVersioned(Value, Uint8Array.of(0, 5, 0, 0))).toThrow(DecodeError)
    expect(() => decodeVersioned(Value, Uint8Array.of(0xff, 0xff, 0, 0))).toThrow(DecodeError)
  })

  test('a key follows its type, and a type of newer software is null', () => {
    expect(toHex(encodeKey(OffsetKey, { group: 'g' }))).toBe('0001000167')
    expect(decodeKey(keys, encodeKey(OffsetKey, { group: 'g' }))).toEqual({
      name: 'OffsetKey',
      type: 1,
      version: 0,
      value: { group: 'g' },
    })
    expect(decodeKey(keys, Uint8Array.of(0, 9))).toBeNull()
  })
})
