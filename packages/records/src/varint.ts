import { ErrorCode } from '@millrace/base'
import { InvalidBatch } from './errors.ts'

/** Reads zig-zag varints of one buffer in order. Every read throws {@link InvalidBatch} past `end` or on an overlong number. */
export class VarintReader {
  readonly bytes: Uint8Array
  readonly end: number
  at: number

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  /** A 32-bit zig-zag varint of at most five bytes. */
  varint(): number {
    let result = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte()
      if (shift === 28 && byte > 0x0f) throw corrupt('a varint is longer than 32 bits')
      result |= (byte & 0x7f) << shift
      if (byte < 0x80) return (result >>> 1) ^ -(result & 1)
    }
  }

  /** A 64-bit zig-zag varint of at most ten bytes, refused where it is not an exact number. */
  varlong(): number {
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte()
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return (low >>> 1) ^ -(low & 1)
    }
    let value = low
    for (let scale = 2 ** 28; scale <= 2 ** 63; scale *= 128) {
      const byte = this.byte()
      if (scale === 2 ** 63 && byte > 1) break
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return unzigzag(value, low & 1)
    }
    throw corrupt('a varlong is longer than 64 bits')
  }

  /** Moves over `length` bytes and returns where they began. */
  skip(length: number): number {
    const from = this.at
    if (length < 0 || length > this.end - from)
      throw corrupt(`${length} bytes are claimed where ${this.end - from} are left`)
    this.at = from + length
    return from
  }

  private byte(): number {
    if (this.at >= this.end) throw corrupt('the bytes end inside a number')
    return this.bytes[this.at++] as number
  }
}

function unzigzag(value: number, sign: number): number {
  // Above 2^53 the double has lost the low bits, and with them the sign.
  if (value > Number.MAX_SAFE_INTEGER) throw corrupt('a varlong is not an exact integer')
  return sign === 0 ? value / 2 : -(value + 1) / 2
}

function corrupt(message: string): InvalidBatch {
  return new InvalidBatch(ErrorCode.INVALID_RECORD, message)
}

/** How many bytes a 32-bit zig-zag varint takes. */
export function varintBytes(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0
  if (zigzag < 0x80) return 1
  if (zigzag < 0x4000) return 2
  if (zigzag < 0x200000) return 3
  return zigzag < 0x10000000 ? 4 : 5
}

/** How many bytes a 64-bit zig-zag varint takes; `value` is an exact integer within ±2^52. */
export function varlongBytes(value: number): number {
  let zigzag = zigzagOf(value)
  let bytes = 1
  for (; zigzag >= 0x80; zigzag = Math.floor(zigzag / 128)) bytes++
  return bytes
}

/** Writes a 32-bit zig-zag varint and returns the position after it. */
export function writeVarint(into: Uint8Array, at: number, value: number): number {
  let zigzag = ((value << 1) ^ (value >> 31)) >>> 0
  for (; zigzag >= 0x80; zigzag >>>= 7) into[at++] = (zigzag & 0x7f) | 0x80
  into[at++] = zigzag
  return at
}

/** Writes a 64-bit zig-zag varint and returns the position after it; `value` is an exact integer within ±2^52. */
export function writeVarlong(into: Uint8Array, at: number, value: number): number {
  let zigzag = zigzagOf(value)
  for (; zigzag >= 0x80; zigzag = Math.floor(zigzag / 128)) into[at++] = (zigzag % 128) | 0x80
  into[at++] = zigzag
  return at
}

function zigzagOf(value: number): number {
  return value < 0 ? -value * 2 - 1 : value * 2
}
