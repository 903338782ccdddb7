// The library has no types; whoever compiles this file from another package needs them too.
// oxlint-disable-next-line typescript/triple-slash-reference
/// <reference path="./snappyjs.d.ts" />
import { ErrorCode } from '@millrace/base'
import snappyjs from 'snappyjs'
import { InvalidBatch } from '../errors.ts'
import { readInt32, writeInt32 } from '../integers.ts'

// snappy-java's stream: this magic, version and least compatible version, then chunks of (int32 length, raw snappy block).
const XERIAL_MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0)
const XERIAL_HEADER_BYTES = 16
const XERIAL_VERSION = 1
/** What snappy-java writes; its readers hold one block in memory. */
const XERIAL_BLOCK_BYTES = 32 * 1024

/** Compresses in snappy-java's framing, which every client reads. */
export function compressSnappy(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  let size = XERIAL_HEADER_BYTES
  for (let at = 0; at < bytes.length; at += XERIAL_BLOCK_BYTES) {
    const block = snappyjs.compress(plain(bytes.subarray(at, at + XERIAL_BLOCK_BYTES)))
    parts.push(block)
    size += 4 + block.length
  }
  const out = new Uint8Array(size)
  out.set(XERIAL_MAGIC)
  writeInt32(out, 8, XERIAL_VERSION)
  writeInt32(out, 12, XERIAL_VERSION)
  let at = XERIAL_HEADER_BYTES
  for (const part of parts) {
    writeInt32(out, at, part.length)
    out.set(part, at + 4)
    at += 4 + part.length
  }
  return out
}

/** A Uint8Array that is no Buffer: the library makes Buffers of Buffers. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Inflates both shapes that clients write: snappy-java's framing, and a bare block. Throws {@link InvalidBatch}. */
export function inflateSnappy(bytes: Uint8Array, limit: number): Uint8Array {
  if (!isXerial(bytes)) return inflateBlocks([bytes], limit)
  const blocks: Uint8Array[] = []
  for (let at = XERIAL_HEADER_BYTES; at < bytes.length;) {
    const length = at + 4 <= bytes.length ? readInt32(bytes, at) : -1
    if (length < 0 || length > bytes.length - at - 4) throw corrupt('a chunk reaches past the end')
    blocks.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return inflateBlocks(blocks, limit)
}

function isXerial(bytes: Uint8Array): boolean {
  return bytes.length >= XERIAL_HEADER_BYTES && XERIAL_MAGIC.every((byte, i) => bytes[i] === byte)
}

function inflateBlocks(blocks: readonly Uint8Array[], limit: number): Uint8Array {
  const lengths = blocks.map((block) => preamble(block))
  const total = lengths.reduce((sum, { length }) => sum + length, 0)
  if (total > limit)
    throw new InvalidBatch(ErrorCode.MESSAGE_TOO_LARGE, `snappy bytes claim ${total} bytes, the limit is ${limit}`)
  // A copy element of two bytes makes at most 64: a length beyond that is a lie, told before anything is allocated.
  const room = blocks.reduce((sum, block) => sum + block.length * 64, 0)
  if (total > room) throw corrupt(`${total} bytes are claimed, ${room} are possible`)
  const out = new Uint8Array(total)
  let at = 0
  blocks.forEach((block, i) => {
    const { length, after } = lengths[i] as { length: number; after: number }
    inflateBlock(block, after, out.subarray(at, at + length))
    at += length
  })
  return out
}

/** The inflated length that a block begins with, and where its elements begin. */
function preamble(block: Uint8Array): { length: number; after: number } {
  let length = 0
  for (let at = 0, scale = 1; at < 5 && at < block.length; at++, scale *= 128) {
    const byte = block[at] as number
    length += (byte & 0x7f) * scale
    if (byte < 0x80) {
      if (length > 0xffffffff) break
      return { length, after: at + 1 }
    }
  }
  throw corrupt('a block begins with no length')
}

/**
 * Decodes one raw block of Google's snappy format into `out`, which it must fill exactly. Written here because the library's
 * decoder can be made to run for ever (a literal length of 2^31 moves it backwards); this one always moves on.
 */
function inflateBlock(block: Uint8Array, from: number, out: Uint8Array): void {
  let at = from
  let end = 0
  while (at < block.length) {
    const tag = block[at++] as number
    const kind = tag & 3
    if (kind === 0) {
      const extra = (tag >>> 2) - 59
      const length = (extra <= 0 ? tag >>> 2 : littleEndian(block, at, extra)) + 1
      at += Math.max(extra, 0)
      if (length > block.length - at || length > out.length - end) throw corrupt('a literal reaches past the end')
      copyLiteral(block, at, out, end, length)
      at += length
      end += length
      continue
    }
    const width = kind === 1 ? 1 : kind === 2 ? 2 : 4
    const length = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1
    const offset = littleEndian(block, at, width) + (kind === 1 ? (tag >>> 5) * 256 : 0)
    at += width
    if (offset === 0 || offset > end || length > out.length - end) throw corrupt('a copy reaches outside of the block')
    // Byte by byte, because a copy may overlap what it writes.
    for (let i = 0; i < length; i++, end++) out[end] = out[end - offset] as number
  }
  if (end !== out.length) throw corrupt(`a block claims ${out.length} bytes and holds ${end}`)
}

// oxlint-disable-next-line max-params -- the arguments of a copy, in the innermost loop.
function copyLiteral(from: Uint8Array, at: number, into: Uint8Array, to: number, length: number): void {
  if (length > 32) {
    into.set(from.subarray(at, at + length), to)
    return
  }
  for (let i = 0; i < length; i++) into[to + i] = from[at + i] as number
}

function littleEndian(bytes: Uint8Array, at: number, width: number): number {
  if (width > bytes.length - at) throw corrupt('the bytes end inside an element')
  let value = 0
  for (let i = width - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] as number)
  return value
}

function corrupt(message: string): InvalidBatch {
  return new InvalidBatch(ErrorCode.INVALID_RECORD, `snappy: ${message}`)
}
