import { LONG_MAX, LONG_MIN, ZERO_UUID } from '@millrace/base'
import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  array,
  between,
  bool,
  bytes,
  decode,
  DecodeError,
  encode,
  EncodeError,
  encodeToBytes,
  float64,
  ignorable,
  int16,
  int32,
  int64,
  int8,
  message,
  nullableArray,
  nullableRecords,
  nullableSince,
  nullableString,
  nullableStruct,
  records,
  since,
  string,
  struct,
  tagged,
  uint16,
  uint32,
  until,
  uuid,
} from '../src/index.ts'
import type { Type, TypeOf } from '../src/index.ts'

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
}

function toHex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex')
}

function only<T>(type: Type<T>) {
  return message({ name: 'Only', versions: [0, 1], flexible: 1, fields: { it: type } })
}

interface Travelled<T> {
  readonly classic: string
  readonly flexible: string
  readonly back: readonly T[]
}

/** Version 0 is classic, version 1 is flexible and ends with an empty tag section. */
function sent<T>(type: Type<T>, it: T): Travelled<T> {
  const schema = only(type)
  const [classic, flexible] = [encodeToBytes(schema, 0, { it }), encodeToBytes(schema, 1, { it })]
  return {
    classic: toHex(classic),
    flexible: toHex(flexible),
    back: [decode(schema, 0, classic).it, decode(schema, 1, flexible).it],
  }
}

function seen<T>(it: T, classic: string, flexible: string): Travelled<T> {
  return { classic: classic.replaceAll(' ', ''), flexible: `${flexible.replaceAll(' ', '')}00`, back: [it, it] }
}

describe('a primitive travels as the protocol has it', () => {
  test('numbers are big endian, in both forms', () => {
    expect(sent(int8, -2)).toEqual(seen(-2, 'fe', 'fe'))
    expect(sent(int16, -2)).toEqual(seen(-2, 'fffe', 'fffe'))
    expect(sent(uint16, 0xfffe)).toEqual(seen(0xfffe, 'fffe', 'fffe'))
    expect(sent(int32, -2_147_483_648)).toEqual(seen(-2_147_483_648, '80000000', '80000000'))
    expect(sent(uint32, 0xfffffffe)).toEqual(seen(0xfffffffe, 'fffffffe', 'fffffffe'))
    expect(sent(float64, 1.5)).toEqual(seen(1.5, '3ff8000000000000', '3ff8000000000000'))
    expect(sent(bool, true)).toEqual(seen(true, '01', '01'))
  })

  test('an int64 is exact from the smallest to the largest safe integer', () => {
    expect(sent(int64, -1)).toEqual(seen(-1, 'ffffffffffffffff', 'ffffffffffffffff'))
    expect(sent(int64, 0x1_0000_0001)).toEqual(seen(0x1_0000_0001, '0000000100000001', '0000000100000001'))
    expect(sent(int64, -0x1_0000_0001)).toEqual(seen(-0x1_0000_0001, 'fffffffeffffffff', 'fffffffeffffffff'))
    expect(sent(int64, Number.MAX_SAFE_INTEGER)).toEqual(
      seen(Number.MAX_SAFE_INTEGER, '001fffffffffffff', '001fffffffffffff'),
    )
    expect(sent(int64, Number.MIN_SAFE_INTEGER)).toEqual(
      seen(Number.MIN_SAFE_INTEGER, 'ffe0000000000001', 'ffe0000000000001'),
    )
  })

  test("Kafka's Long.MIN and Long.MAX are constants and no other inexact int64 is let through", () => {
    expect(sent(int64, LONG_MAX)).toEqual(seen(LONG_MAX, '7fffffffffffffff', '7fffffffffffffff'))
    expect(sent(int64, LONG_MIN)).toEqual(seen(LONG_MIN, '8000000000000000', '8000000000000000'))
    for (const inexact of ['0020000000000000', 'ffe0000000000000', '7ffffffffffffffe', '8000000000000001'])
      expect(() => decode(only(int64), 0, hex(inexact))).toThrow(DecodeError)
    for (const inexact of [2 ** 53, 1.5, Number.NaN, Infinity])
      expect(() => encode(only(int64), 0, { it: inexact })).toThrow(EncodeError)
  })

  test('an id is its text form, and none is sixteen zeros', () => {
    expect(sent(uuid, 'AAECAwQFBgcICQoLDA0ODw')).toEqual(
      seen('AAECAwQFBgcICQoLDA0ODw', '000102030405060708090a0b0c0d0e0f', '000102030405060708090a0b0c0d0e0f'),
    )
    expect(sent(uuid, ZERO_UUID)).toEqual(seen(ZERO_UUID, '00'.repeat(16), '00'.repeat(16)))
    expect(() => encode(only(uuid), 0, { it: 'short' })).toThrow(EncodeError)
  })

  test('a number outside its range is refused, not wrapped', () => {
    expect(() => encode(only(int8), 0, { it: 128 })).toThrow('it: 128 is not an int8')
    expect(() => encode(only(int16), 0, { it: -32769 })).toThrow(EncodeError)
    expect(() => encode(only(uint16), 0, { it: -1 })).toThrow(EncodeError)
    expect(() => encode(only(int32), 0, { it: 1.5 })).toThrow(EncodeError)
    expect(() => encode(only(uint32), 0, { it: 2 ** 32 })).toThrow(EncodeError)
    expect(() => encode(only(int32), 0, {} as { it: number })).toThrow(EncodeError)
  })
})

describe('something with a length', () => {
  test('is compact in flexible versions only', () => {
    expect(sent(string, 'añ')).toEqual(seen('añ', '0003 61c3b1', '04 61c3b1'))
    expect(sent(string, '')).toEqual(seen('', '0000', '01'))
    expect(sent(bytes, hex('0102'))).toEqual(seen(hex('0102'), '00000002 0102', '03 0102'))
    expect(sent(records, hex('0102'))).toEqual(seen(hex('0102'), '00000002 0102', '03 0102'))
    expect(sent(array(int16), [1, 2])).toEqual(seen([1, 2], '00000002 0001 0002', '03 0001 0002'))
    expect(sent(array(string), ['a'])).toEqual(seen(['a'], '00000001 0001 61', '02 02 61'))
  })

  test('is null as -1, and as 0 in the compact form', () => {
    expect(sent(nullableString, null)).toEqual(seen(null, 'ffff', '00'))
    expect(sent(nullableRecords, null)).toEqual(seen(null, 'ffffffff', '00'))
    expect(sent(nullableArray(int32), null)).toEqual(seen(null, 'ffffffff', '00'))
    expect(sent(nullableArray(int32), [])).toEqual(seen([], '00000000', '01'))
    expect(sent(nullableString, '')).toEqual(seen('', '0000', '01'))
  })

  test('keeps text of every length and script as it is', () => {
    const texts = [
      'x'.repeat(127),
      'x'.repeat(128),
      'x'.repeat(32_767),
      '\uFEFFmark',
      'naïve ☃ 😀',
      '\0',
      'a'.repeat(19) + 'é',
    ]
    for (let length = 0; length < 40; length++) texts.push('abcdefghijklmnopqrstuvwxyz0123456789ABCD'.slice(0, length))
    for (const version of [0, 1])
      for (const it of texts)
        expect(decode(only(string), version, encodeToBytes(only(string), version, { it }))).toEqual({ it })
  })

  test('refuses text that is too long, ill-formed or missing', () => {
    expect(() => encode(only(string), 0, { it: 'x'.repeat(32_768) })).toThrow(EncodeError)
    expect(() => encode(only(string), 1, { it: 'x'.repeat(32_768) })).toThrow(EncodeError)
    expect(() => encode(only(string), 0, { it: '\uD800' })).toThrow(EncodeError)
    expect(() => encode(only(string), 0, { it: null } as unknown as { it: string })).toThrow(EncodeError)
    expect(() => encode(only(nullableString), 0, {} as { it: string | null })).toThrow(EncodeError)
  })

  test('may be null from a version on', () => {
    const schema = message({ name: 'Later', versions: [0, 1], fields: { it: nullableSince(1, string) } })
    expect(decode(schema, 1, hex('ffff'))).toEqual({ it: null })
    expect(() => decode(schema, 0, hex('ffff'))).toThrow('it: null where none may be')
    expect(() => encode(schema, 0, { it: null })).toThrow(EncodeError)
  })
})

describe('a struct', () => {
  const Sample = message({
    key: 7,
    name: 'Sample',
    versions: [0, 4],
    flexible: 3,
    fields: {
      always: int32,
      late: since(1, string, 'none'),
      brief: between(1, 2, int8, -1),
      gone: until(0, int16, 5),
      unimportant: ignorable(since(4, int64, 9)),
      items: array(struct({ a: int8, b: since(2, bool, false) })),
      tail: tagged(1, 3, nullableString, null),
      list: tagged(0, 3, array(int32), []),
      place: tagged(5, 4, struct({ x: int32, y: int32 }), { x: -1, y: -1 }),
    },
  })
  type Sample = TypeOf<typeof Sample>
  const base: Sample = {
    always: 1,
    late: 'none',
    brief: -1,
    gone: 5,
    unimportant: 9,
    items: [{ a: 2, b: false }],
    tail: null,
    list: [],
    place: { x: -1, y: -1 },
  }

  test('has the type its declaration says', () => {
    expectTypeOf<Sample['late']>().toEqualTypeOf<string>()
    expectTypeOf<Sample['tail']>().toEqualTypeOf<string | null>()
    expectTypeOf<Sample['items']>().toEqualTypeOf<readonly { readonly a: number; readonly b: boolean }[]>()
    expectTypeOf<Sample['place']>().toEqualTypeOf<{ readonly x: number; readonly y: number }>()
  })

  test('holds per version exactly the fields of that version', () => {
    expect(toHex(encodeToBytes(Sample, 0, { ...base, gone: 6 }))).toBe(toHex(hex('00000001 0006 00000001 02')))
    expect(toHex(encodeToBytes(Sample, 1, { ...base, late: 'x', brief: 3 }))).toBe(
      toHex(hex('00000001 0001 78 03 00000001 02')),
    )
    expect(decode(Sample, 0, hex('00000001 0006 00000001 02'))).toEqual({ ...base, gone: 6 })
    expect(decode(Sample, 1, hex('00000001 0001 78 03 00000001 02'))).toEqual({ ...base, late: 'x', brief: 3 })
  })

  test('ends with a tag section in flexible versions, each element of an array too', () => {
    expect(toHex(encodeToBytes(Sample, 3, base))).toBe(toHex(hex('00000001 05 6e6f6e65 02 02 00 00 00')))
    const tags = { ...base, tail: 'z', list: [7], place: { x: 1, y: -1 } }
    const wire =
      '00000001 05 6e6f6e65 0000000000000009 02 02 00 00 03 00 05 02 00000007 01 02 02 7a 05 09 00000001 ffffffff 00'
    expect(toHex(encodeToBytes(Sample, 4, tags))).toBe(toHex(hex(wire)))
    expect(decode(Sample, 4, hex(wire))).toEqual(tags)
  })

  test('refuses to drop what a version lacks, unless it is ignorable', () => {
    expect(() => encode(Sample, 0, { ...base, late: 'x' })).toThrow('late: this version lacks the field')
    expect(() => encode(Sample, 3, { ...base, brief: 0 })).toThrow(EncodeError)
    expect(() => encode(Sample, 0, { ...base, list: [1] })).toThrow(EncodeError)
    expect(() => encode(Sample, 3, { ...base, place: { x: 0, y: 0 } })).toThrow(EncodeError)
    expect(() => encode(Sample, 1, { ...base, items: [{ a: 1, b: true }] })).toThrow('items[0].b: this version lacks')
    expect(decode(Sample, 3, encodeToBytes(Sample, 3, { ...base, unimportant: 1 }))).toEqual(base)
  })

  test('skips tags it does not know', () => {
    const wire = '00000001 05 6e6f6e65 02 02 00 01 63 01 ff 02 02 00 44 03 010203'
    expect(decode(Sample, 3, hex(wire))).toEqual(base)
  })

  test('shares frozen fallbacks, so nobody can change what others decode', () => {
    const one = decode(Sample, 0, encodeToBytes(Sample, 0, base))
    expect(Object.isFrozen(one.place)).toBe(true)
    expect(Object.isFrozen(one.list)).toBe(true)
    expect(Object.keys(one)).toEqual(Object.keys(base))
  })

  test('tells where in the value an error lies', () => {
    expect(() => decode(Sample, 0, hex('00000001 0006 00000003 0102'))).toThrow('items: 3 elements do not fit')
    const Nested = message({ name: 'N', versions: [0, 0], fields: { topics: array(struct({ name: string })) } })
    expect(() => decode(Nested, 0, hex('00000002 0001 61 0005 61'))).toThrow(
      'topics[1].name: 5 bytes are needed and 1 are left',
    )
  })

  test('has no other versions', () => {
    expect(() => decode(Sample, 5, hex('00'))).toThrow(DecodeError)
    expect(() => encode(Sample, -1, base)).toThrow(EncodeError)
    expect(() => Sample.codec(5)).toThrow(RangeError)
    expect(Sample.codec(2)).toBe(Sample.codec(2))
  })
})

test('a nullable struct starts with a sign, and as a tagged field with a varint', () => {
  const point = nullableStruct({ x: int8 })
  const Plain = message({
    name: 'P',
    versions: [0, 0],
    flexible: 0,
    fields: { it: point, extra: tagged(0, 0, point, null) },
  })
  expect(toHex(encodeToBytes(Plain, 0, { it: null, extra: null }))).toBe('ff00')
  const wire = '01 05 00 01 00 03 01 06 00'
  expect(toHex(encodeToBytes(Plain, 0, { it: { x: 5 }, extra: { x: 6 } }))).toBe(toHex(hex(wire)))
  expect(decode(Plain, 0, hex(wire))).toEqual({ it: { x: 5 }, extra: { x: 6 } })
  expect(decode(Plain, 0, hex('ff 01 00 01 00'))).toEqual({ it: null, extra: null })
  expect(() => decode(Plain, 0, hex('02 00'))).toThrow(DecodeError)
})

test('a declaration that contradicts itself is refused', () => {
  expect(() => message({ name: 'X', versions: [2, 1], fields: {} })).toThrow('versions 2-1')
  expect(() => struct({ a: tagged(0, 0, int8, 0), b: tagged(0, 0, int8, 0) })).toThrow('used twice')
  expect(() => struct({ '1': int8 })).toThrow('digit')
  const Early = message({ name: 'X', versions: [0, 1], flexible: 1, fields: { a: tagged(0, 0, int8, 0) } })
  expect(() => Early.codec(0)).toThrow('not flexible')
  const Nothing = message({ name: 'X', versions: [0, 0], fields: { a: array(struct({})) } })
  expect(() => Nothing.codec(0)).toThrow('at least one byte')
})
