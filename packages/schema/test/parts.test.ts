import { describe, expect, test } from 'vitest'
import {
  array,
  decode,
  encode,
  encodeToBytes,
  int32,
  message,
  nullableRecords,
  records,
  string,
  struct,
  tagged,
  Writer,
  bytes,
} from '../src/index.ts'

const Batch = message({
  name: 'Batch',
  versions: [0, 0],
  flexible: 0,
  fields: {
    head: string,
    parts: array(struct({ id: int32, records: nullableRecords })),
    tail: string,
    extra: tagged(0, 0, bytes, new Uint8Array(0)),
  },
})

function filled(length: number, byte: number): Uint8Array {
  return new Uint8Array(length).fill(byte)
}

describe('encoding into parts', () => {
  const value = {
    head: 'h',
    parts: [
      { id: 1, records: filled(5000, 1) },
      { id: 2, records: filled(10, 2) },
      { id: 3, records: null },
      { id: 4, records: filled(1024, 4) },
    ],
    tail: 't'.repeat(3000),
    extra: new Uint8Array(0),
  }

  test('long records are parts by reference and short ones are copied', () => {
    const parts = encode(Batch, 0, value)
    expect(parts).toHaveLength(5)
    expect(parts[1]).toBe(value.parts[0]?.records)
    expect(parts[3]).toBe(value.parts[3]?.records)
    expect(Buffer.concat(parts)).toEqual(Buffer.from(encodeToBytes(Batch, 0, value)))
  })

  test('decoding gives views of the frame, not copies', () => {
    const frame = encodeToBytes(Batch, 0, value)
    const decoded = decode(Batch, 0, frame)
    expect(decoded).toEqual(value)
    expect(decoded.parts[0]?.records?.buffer).toBe(frame.buffer)
  })

  test('a frame that is a slice of a larger buffer decodes the same', () => {
    const frame = encodeToBytes(Batch, 0, value)
    const large = new Uint8Array(frame.length + 20).fill(0xee)
    large.set(frame, 7)
    expect(decode(Batch, 0, large.subarray(7, 7 + frame.length))).toEqual(value)
  })

  test('long bytes inside a tagged field stay in place, with a size of any width in front', () => {
    for (const length of [0, 1, 100, 126, 127, 128, 16_000, 16_383, 16_384, 70_000]) {
      const tag = { head: 'h', parts: [], tail: '', extra: filled(length, 9) }
      const frame = encodeToBytes(Batch, 0, tag)
      expect(decode(Batch, 0, frame)).toEqual(tag)
      expect(Buffer.concat(encode(Batch, 0, tag))).toEqual(Buffer.from(frame))
    }
  })

  test('growth keeps what was written, wherever it happens', () => {
    const many = message({
      name: 'Many',
      versions: [0, 0],
      flexible: 0,
      fields: { all: array(struct({ name: string, data: records })) },
    })
    for (const size of [1, 3, 100, 1023, 1024, 2000]) {
      const all = Array.from({ length: 50 }, (_, i) => ({ name: `n${i}`.repeat(i), data: filled(size + i, i) }))
      expect(decode(many, 0, Buffer.concat(encode(many, 0, { all })))).toEqual({ all })
    }
  })

  test('the size of a writer counts finished parts too', () => {
    const writer = new Writer(4)
    writer.int32(1)
    writer.append(filled(2000, 1))
    writer.int64(3)
    expect(writer.size).toBe(2012)
    expect(writer.parts().map((part) => part.length)).toEqual([4, 2000, 8])
  })
})
