import { LONG_MAX, LONG_MIN } from '@millrace/base'
import { DecodeError } from './errors.ts'
import { decodeUtf8 } from './utf8.ts'

/** What decoding may cost, beyond what the bytes themselves hold. */
export interface DecodeLimits {
  /**
   * Array elements and tagged fields in all, nested ones included. An element of two bytes on the wire becomes an object of a
   * hundred, so a frame that is honest about its counts can still ask for fifty times its size.
   */
  readonly maxElements: number
}

/** Enough for any request or record; a response that lists a whole large cluster may be given more. */
export const DEFAULT_LIMITS: DecodeLimits = { maxElements: 1_000_000 }

/**
 * A cursor over bytes in Kafka's encoding, big endian. Every read checks its bounds and throws {@link DecodeError} before it allocates.
 * Byte fields are views of the given bytes, never copies: who keeps one longer than the frame copies it.
 */
export class Reader {
  readonly bytes: Uint8Array
  at = 0
  private end: number
  private elementsLeft: number
  private readonly view: DataView

  constructor(bytes: Uint8Array, limits: DecodeLimits = DEFAULT_LIMITS) {
    this.bytes = bytes
    this.end = bytes.length
    this.elementsLeft = limits.maxElements
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get remaining(): number {
    return this.end - this.at
  }

  int8(): number {
    return this.view.getInt8(this.advance(1))
  }

  uint8(): number {
    return this.view.getUint8(this.advance(1))
  }

  int16(): number {
    return this.view.getInt16(this.advance(2))
  }

  uint16(): number {
    return this.view.getUint16(this.advance(2))
  }

  int32(): number {
    return this.view.getInt32(this.advance(4))
  }

  uint32(): number {
    return this.view.getUint32(this.advance(4))
  }

  /** Exact, or one of Kafka's two sentinels as base's LONG_MIN and LONG_MAX; anything else is an error. */
  int64(): number {
    const at = this.advance(8)
    const high = this.view.getInt32(at)
    const low = this.view.getUint32(at + 4)
    const value = high * 0x1_0000_0000 + low
    if (Number.isSafeInteger(value)) return value
    if (high === 0x7fff_ffff && low === 0xffff_ffff) return LONG_MAX
    if (high === -0x8000_0000 && low === 0) return LONG_MIN
    throw new DecodeError('an int64 beyond 2^53 is neither a position nor a time')
  }

  float64(): number {
    return this.view.getFloat64(this.advance(8))
  }

  /** Base-128, at most five bytes and 32 bits. */
  uvarint(): number {
    const first = this.uint8()
    if (first < 0x80) return first
    let value = first & 0x7f
    for (let shift = 7; shift < 28; shift += 7) {
      const next = this.uint8()
      value |= (next & 0x7f) << shift
      if (next < 0x80) return value
    }
    const last = this.uint8()
    if (last > 0x0f) throw new DecodeError('a varint of more than 32 bits')
    return (value | (last << 28)) >>> 0
  }

  /** The next `length` bytes as a view. */
  slice(length: number): Uint8Array {
    const at = this.advance(length)
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + at, length)
  }

  /** The next `length` bytes as UTF-8; malformed text is an error. */
  text(length: number): string {
    const at = this.advance(length)
    return decodeUtf8(this.bytes, at, at + length)
  }

  skip(length: number): void {
    this.advance(length)
  }

  /** Accepts an array of `count` elements of at least `minBytes` each, or throws before anything is allocated for it. */
  expectElements(count: number, minBytes: number): void {
    if (count > this.remaining / minBytes)
      throw new DecodeError(`${count} elements do not fit in the ${this.remaining} bytes that are left`)
    this.elementsLeft -= count
    if (this.elementsLeft < 0) throw new DecodeError('more array elements than a message may have')
  }

  /** Narrows the reader to the next `length` bytes; returns the end to give back to {@link leave}. */
  narrow(length: number): number {
    if (length > this.remaining) throw this.pastEnd(length)
    const outer = this.end
    this.end = this.at + length
    return outer
  }

  /** Ends a narrowing, all of whose bytes must have been read. */
  leave(outer: number): void {
    this.expectEnd()
    this.end = outer
  }

  /** Throws unless everything was read. */
  expectEnd(): void {
    if (this.at !== this.end) throw new DecodeError(`${this.remaining} bytes too many`)
  }

  private advance(length: number): number {
    const at = this.at
    if (length > this.end - at) throw this.pastEnd(length)
    this.at = at + length
    return at
  }

  private pastEnd(length: number): DecodeError {
    return new DecodeError(`${length} bytes are needed and ${this.remaining} are left`)
  }
}
