import { MillraceError } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import {
  array,
  bytes,
  decode,
  DecodeError,
  encodeToBytes,
  int32,
  int8,
  message,
  nullableArray,
  nullableString,
  Reader,
  records,
  string,
  struct,
  tagged,
} from '../src/index.ts'
import type { Type } from '../src/index.ts'

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
}

function classic<T>(type: Type<T>) {
  return message({ name: 'Classic', versions: [0, 0], fields: { it: type } })
}

function flexible<T>(type: Type<T>) {
  return message({ name: 'Flexible', versions: [0, 0], flexible: 0, fields: { it: type } })
}

const Tagged = message({
  name: 'Tagged',
  versions: [0, 0],
  flexible: 0,
  fields: { a: tagged(0, 0, int32, 0), b: tagged(2, 0, string, '') },
})

const REFUSED: readonly (readonly [string, () => unknown])[] = [
  ['an array of 2^31-1 elements in four bytes', () => decode(classic(array(int32)), 0, hex('7fffffff 00000000'))],
  ['a compact array of 2^32-2 elements', () => decode(flexible(array(int32)), 0, hex('ffffffff0f 00000000'))],
  [
    'a count one above what the bytes left can hold',
    () => decode(classic(array(struct({ a: int32, b: int8 }))), 0, hex('00000002 0000000001 00000000')),
  ],
  ['an array of length -2', () => decode(classic(nullableArray(int32)), 0, hex('fffffffe'))],
  ['a null array where none may be', () => decode(classic(array(int32)), 0, hex('ffffffff'))],
  ['a null compact array where none may be', () => decode(flexible(array(int32)), 0, hex('00 00'))],
  ['twenty million tagged fields in a few bytes', () => decode(Tagged, 0, hex('80dac409 0500 0600'))],
  ['a duplicate tag', () => decode(Tagged, 0, hex('02 05 00 05 00'))],
  ['tags out of order', () => decode(Tagged, 0, hex('02 06 00 05 00'))],
  ['known tags out of order', () => decode(Tagged, 0, hex('02 02 01 01 00 04 00000001'))],
  ['a tag whose size is past the end', () => decode(Tagged, 0, hex('01 05 7f 00'))],
  ['a known tag whose size is past the end', () => decode(Tagged, 0, hex('01 00 05 00000001'))],
  ['a known tag whose size is less than its value', () => decode(Tagged, 0, hex('01 00 03 00000001'))],
  ['a known tag whose size is more than its value', () => decode(Tagged, 0, hex('01 00 05 00000001 00'))],
  ['a varint of six bytes', () => decode(flexible(string), 0, hex('808080808000 00'))],
  ['a varint of five bytes and more than 32 bits', () => decode(flexible(string), 0, hex('8080808010 00'))],
  ['a varint that never ends', () => decode(flexible(string), 0, hex('8080'))],
  ['a string of length -2', () => decode(classic(nullableString), 0, hex('fffe 6161'))],
  ['a null string where none may be', () => decode(classic(string), 0, hex('ffff'))],
  ['a string longer than what is left', () => decode(classic(string), 0, hex('0003 6161'))],
  ['a compact string longer than what is left', () => decode(flexible(string), 0, hex('04 6161'))],
  [
    'a compact string of more than 32767 bytes',
    () => decode(flexible(string), 0, Buffer.concat([hex('818002'), Buffer.alloc(32_769)])),
  ],
  ['bytes of length -2', () => decode(classic(bytes), 0, hex('fffffffe 00'))],
  ['bytes longer than what is left', () => decode(classic(bytes), 0, hex('00000003 0000'))],
  ['records longer than what is left', () => decode(flexible(records), 0, hex('ffffffff0f 00'))],
  ['a stray continuation byte', () => decode(classic(string), 0, hex('0001 80'))],
  ['an overlong form', () => decode(classic(string), 0, hex('0002 c080'))],
  ['a surrogate in UTF-8', () => decode(classic(string), 0, hex('0003 eda080'))],
  ['text cut in the middle of a character', () => decode(classic(string), 0, hex('0002 e282'))],
  ['long text with one bad byte', () => decode(classic(string), 0, hex(`0030 ${'61'.repeat(47)}ff`))],
  ['a trailing byte', () => decode(classic(string), 0, hex('0001 61 00'))],
  ['a trailing byte after the tags', () => decode(flexible(string), 0, hex('02 61 00 00'))],
  ['a missing tag section', () => decode(flexible(string), 0, hex('02 61'))],
  ['no bytes at all', () => decode(classic(int32), 0, new Uint8Array(0))],
]

describe('bytes that lie are a DecodeError', () => {
  test.each(REFUSED)('%s', (_name, run) => {
    expect(run).toThrow(DecodeError)
  })

  test('the error is an operating failure that is not retried', () => {
    const attempt = (): unknown => decode(classic(int32), 0, new Uint8Array(2))
    expect(attempt).toThrow(MillraceError)
    expect(attempt).toThrow(
      expect.objectContaining({
        code: 'PROTOCOL_VIOLATION',
        retriable: false,
        message: 'it: 4 bytes are needed and 2 are left',
      }),
    )
  })
})

describe('what decoding may cost is bounded', () => {
  test('honest counts of tiny elements stop at the limit, nested ones counted', () => {
    const Grid = flexible(array(struct({ row: array(int8) })))
    const row = [1, 2, 3, 4]
    const grid = encodeToBytes(Grid, 0, { it: Array.from({ length: 10 }, () => ({ row })) })
    expect(decode(Grid, 0, grid, { maxElements: 50 }).it).toHaveLength(10)
    expect(() => decode(Grid, 0, grid, { maxElements: 49 })).toThrow('more array elements than a message may have')
  })

  test('twenty million real tagged fields are refused before they are walked', () => {
    const frame = new Uint8Array(40_000_004)
    frame.set(hex('80dac409'))
    expect(() => decode(Tagged, 0, frame)).toThrow('more array elements')
  })

  test('a hundred million empty strings are refused before one is read', () => {
    const frame = new Uint8Array(100_000_010).fill(1)
    frame.set(hex('81c2d72f'))
    expect(() => decode(flexible(array(string)), 0, frame)).toThrow('more array elements')
  })
})

test('a reader that stands at the end gives nothing more', () => {
  const reader = new Reader(hex('0102'))
  expect(reader.slice(2)).toEqual(hex('0102'))
  expect(reader.slice(0)).toEqual(new Uint8Array(0))
  for (const read of [
    () => reader.int8(),
    () => reader.uint16(),
    () => reader.int64(),
    () => reader.float64(),
    () => reader.skip(1),
    () => reader.text(1),
  ])
    expect(read).toThrow(DecodeError)
  expect(reader.remaining).toBe(0)
})
