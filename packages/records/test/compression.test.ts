import { type Codec, ErrorCode } from '@millrace/base'
import { compressFrameSync } from 'lz4-napi'
import * as fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { compress, compressAsync, inflate, inflateAsync, InvalidBatch } from '../src/index.ts'

const CODECS: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const PACKING = CODECS.slice(1)
const repetitive = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * i) >> 7)
const code = (expected: number) => expect.objectContaining({ name: 'InvalidBatch', code: expected })

describe.each(CODECS)('codec %s', (codec) => {
  it('gives back what it was given, whatever it was', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 1, max: 200 }), (seed, times) => {
        const bytes = Buffer.concat(Array.from({ length: times }, () => seed))
        expect(Buffer.compare(inflate(codec, compress(codec, bytes), bytes.length + 1), bytes)).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  it('gives back what it was given off the main thread, never inside the call', async () => {
    const bytes = repetitive(200_000)
    let inside = true
    const packed = await new Promise<Uint8Array>((resolve, reject) => {
      compressAsync(codec, bytes, undefined, (error, value) => {
        expect(inside).toBe(false)
        if (error === null) resolve(value)
        else reject(error)
      })
      inside = false
    })
    inside = true
    const inflated = await new Promise<Uint8Array>((resolve, reject) => {
      inflateAsync(codec, packed, bytes.length, (error, value) => {
        expect(inside).toBe(false)
        if (error === null) resolve(value)
        else reject(error)
      })
      inside = false
    })
    expect(Buffer.compare(inflated, bytes)).toBe(0)
  })
})

describe.each(PACKING)('hostile %s bytes', (codec) => {
  it('that inflate past the limit are refused, also off the main thread', async () => {
    const bomb = compress(codec, new Uint8Array(8 << 20))
    expect(() => inflate(codec, bomb, 1 << 20)).toThrow(code(ErrorCode.MESSAGE_TOO_LARGE))
    const error = await new Promise((resolve) => inflateAsync(codec, bomb, 1 << 20, resolve))
    expect(error).toMatchObject({ code: ErrorCode.MESSAGE_TOO_LARGE })
  })

  it('that are cut short or empty are refused, also off the main thread', async () => {
    const bytes = compress(codec, repetitive(100_000))
    for (const end of [0, 1, 5, 17, bytes.length >> 1, bytes.length - 1])
      expect(() => inflate(codec, bytes.subarray(0, end), 1 << 20)).toThrow(code(ErrorCode.INVALID_RECORD))
    const error = await new Promise((resolve) => inflateAsync(codec, bytes.subarray(0, 9), 1 << 20, resolve))
    expect(error).toBeInstanceOf(InvalidBatch)
  })

  it('that are changed at random throw the one typed error or inflate within the limit', () => {
    const bytes = compress(codec, repetitive(3_000))
    const limit = 10_000
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        (changes) => {
          const mutant = Uint8Array.from(bytes)
          for (const [at, value] of changes) mutant[at] = value
          expect(inflatedBytes(codec, mutant, limit)).toBeLessThanOrEqual(limit)
        },
      ),
      { numRuns: 2_000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => inflatedBytes(codec, noise, limit) <= limit),
      { numRuns: 1_000 },
    )
  })
})

/** How much the bytes inflate to; 0 when they are refused with the one typed error, and any other error is thrown on. */
function inflatedBytes(codec: Codec, bytes: Uint8Array, limit: number): number {
  try {
    return inflate(codec, bytes, limit).length
  } catch (error) {
    if (error instanceof InvalidBatch) return 0
    throw error
  }
}

describe('shapes that other writers make', () => {
  const bytes = repetitive(300_000)

  it('a bare snappy block is read, with literals of every length form and overlapping copies', () => {
    // "abcd" as a literal, then a copy of 8 bytes at distance 4 (one-byte and two-byte offsets), as Google's format has it.
    const block = Uint8Array.of(20, (4 - 1) << 2, 97, 98, 99, 100, ((8 - 4) << 2) | 1, 4, ((8 - 1) << 2) | 2, 4, 0)
    expect(Buffer.from(inflate('snappy', block, 100)).toString()).toBe('abcdabcdabcdabcdabcd')
    const long = Buffer.concat([Uint8Array.of(0x80, 0x01, 60 << 2, 127), Buffer.alloc(128, 7)])
    expect(Buffer.compare(inflate('snappy', long, 128), Buffer.alloc(128, 7))).toBe(0)
    const wide = Buffer.concat([Uint8Array.of(3, 63 << 2, 2, 0, 0, 0), Buffer.from('xyz')])
    expect(Buffer.from(inflate('snappy', wide, 3)).toString()).toBe('xyz')
    const far = Uint8Array.of(6, (2 - 1) << 2, 97, 98, ((4 - 1) << 2) | 3, 2, 0, 0, 0)
    expect(Buffer.from(inflate('snappy', far, 6)).toString()).toBe('ababab')
  })

  it('snappy elements that would move backwards or reach outside are refused at once', () => {
    for (const block of [
      [5, 63 << 2, 0xfa, 0xff, 0xff, 0xff, 1, 2, 3, 4], // a literal of 2^32 - 5 bytes
      [5, 0, 97, (3 << 2) | 2, 0, 0], // distance 0
      [5, 0, 97, (3 << 2) | 2, 2, 0], // distance beyond what is there
      [200, 200, 200, 200, 15, 0, 97], // 4 GiB claimed by seven bytes
      [5, 0, 97], // less than claimed
    ])
      expect(() => inflate('snappy', Uint8Array.from(block), 1 << 20)).toThrow(InvalidBatch)
  })

  it("the LZ4 library's own frames are read: larger blocks, checksums", () => {
    for (const options of [{}, { contentChecksum: true }, { blockChecksums: true, contentChecksum: true }]) {
      const frame = compressFrameSync(Buffer.from(bytes), options)
      expect(Buffer.compare(inflate('lz4', frame, bytes.length), bytes)).toBe(0)
    }
  })

  it('the LZ4 frames that are written have blocks that do not refer to each other, as old clients need it', () => {
    const large = new Uint8Array(300_000).fill(7)
    const [magic, flags] = [compress('lz4', large).subarray(0, 4), compress('lz4', large)[4] as number]
    expect([...magic]).toEqual([0x04, 0x22, 0x4d, 0x18])
    expect((flags >> 5) & 1).toBe(1)
  })

  it('an LZ4 frame of linked blocks with a content checksum, made by the reference tool, is read', () => {
    const frame = readFileSync(join(import.meta.dirname, 'golden', 'linked-blocks.lz4'))
    const lines = Array.from({ length: 4000 }, (_, i) => `line ${i % 977} of a text that refers to earlier blocks\n`)
    expect(Buffer.from(inflate('lz4', frame, 200_000)).toString()).toBe(lines.join(''))
  })

  it('an LZ4 frame whose blocks are far from full is measured by its tokens, not refused', () => {
    const small = Array.from({ length: 40 }, (_, i) => compress('lz4', new Uint8Array(1000).fill(i)).subarray(7, -4))
    const frame = Buffer.concat([Uint8Array.of(4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82), ...small, new Uint8Array(4)])
    expect(inflate('lz4', frame, 40_000).length).toBe(40_000)
    expect(() => inflate('lz4', frame, 39_999)).toThrow(code(ErrorCode.MESSAGE_TOO_LARGE))
  })

  it('LZ4 frames of another version, with a dictionary or of unknown block size are refused', () => {
    const frame = compress('lz4', bytes)
    for (const [at, value] of [
      [4, 0xa0],
      [4, 0x61],
      [5, 0x10],
      [0, 5],
    ] as const) {
      const mutant = Uint8Array.from(frame)
      mutant[at] = value
      expect(() => inflate('lz4', mutant, 1 << 20)).toThrow(code(ErrorCode.INVALID_RECORD))
    }
  })

  it('gzip of several members is read, and gzip and zstd of any level', () => {
    const two = Buffer.concat([bytes, bytes])
    expect(Buffer.compare(inflate('gzip', Buffer.concat([gzipSync(bytes), gzipSync(bytes)]), 1 << 20), two)).toBe(0)
    for (const level of [1, 9])
      for (const codec of ['gzip', 'zstd'] as const)
        expect(Buffer.compare(inflate(codec, compress(codec, bytes, level), 1 << 20), bytes)).toBe(0)
  })
})
