import { gathered, LONG_MAX, LONG_MIN } from '@millrace/base'
import { EncodeError } from './errors.ts'
import { encodeUtf8, isAsciiText } from './utf8.ts'

/** Byte fields of this length and more travel as a part of their own, by reference; shorter ones cost less as a copy. */
const REFERENCE_FROM = 1024
const FIRST_CAPACITY = 256

/**
 * Builds bytes in Kafka's encoding, as parts for one vectored write: what it encodes itself lies in growing buffers, and large byte
 * fields are put between them by reference, so they must not change until the parts are sent. Use {@link Writer.parts} once, at the end.
 */
export class Writer {
  private readonly done: Uint8Array[] = []
  private doneBytes = 0
  private buffer: Uint8Array<ArrayBuffer>
  private view: DataView
  /** Where in `buffer` the part that is being written starts. */
  private from = 0
  private at = 0
  /** Inside a tagged field everything is copied, because its size is written in front of it afterwards. */
  private depth = 0

  constructor(capacity = FIRST_CAPACITY) {
    this.buffer = new Uint8Array(capacity)
    this.view = new DataView(this.buffer.buffer)
  }

  /** Bytes written so far. */
  get size(): number {
    return this.doneBytes + this.at - this.from
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) throw outside(value, 'int8')
    const at = this.reserve(1)
    this.view.setInt8(at, value)
  }

  uint8(value: number): void {
    if ((value & 0xff) !== value) throw outside(value, 'uint8')
    const at = this.reserve(1)
    this.view.setUint8(at, value)
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) throw outside(value, 'int16')
    const at = this.reserve(2)
    this.view.setInt16(at, value)
  }

  uint16(value: number): void {
    if ((value & 0xffff) !== value) throw outside(value, 'uint16')
    const at = this.reserve(2)
    this.view.setUint16(at, value)
  }

  int32(value: number): void {
    if ((value | 0) !== value) throw outside(value, 'int32')
    const at = this.reserve(4)
    this.view.setInt32(at, value)
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) throw outside(value, 'uint32')
    const at = this.reserve(4)
    this.view.setUint32(at, value)
  }

  /** A safe integer, or base's LONG_MIN or LONG_MAX. */
  int64(value: number): void {
    if (!Number.isSafeInteger(value)) {
      this.int64Sentinel(value)
      return
    }
    const high = Math.floor(value / 0x1_0000_0000)
    const at = this.reserve(8)
    this.view.setInt32(at, high)
    this.view.setUint32(at + 4, value - high * 0x1_0000_0000)
  }

  float64(value: number): void {
    if (typeof value !== 'number') throw outside(value, 'float64')
    const at = this.reserve(8)
    this.view.setFloat64(at, value)
  }

  uvarint(value: number): void {
    if (value >>> 0 !== value) throw outside(value, 'unsigned varint')
    const at = this.reserve(5)
    this.at = at + putUvarint(this.buffer, at, value)
  }

  /** UTF-8 after its length: an int16, or a varint of length + 1 when `compact`. At most 32,767 bytes, as Kafka has it. */
  text(text: string, compact: boolean): void {
    if (typeof text !== 'string') throw new EncodeError(`${describe(text)} is not a string`)
    if (!isAsciiText(text)) {
      const bytes = encodeUtf8(text)
      this.textLength(bytes.length, compact)
      this.raw(bytes)
      return
    }
    this.textLength(text.length, compact)
    const at = this.reserve(text.length)
    const buffer = this.buffer
    for (let i = 0; i < text.length; i++) buffer[at + i] = text.charCodeAt(i)
  }

  /** Copies the bytes in. */
  raw(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length)
    this.buffer.set(bytes, at)
  }

  /** Appends the bytes, by reference when they are long. */
  append(bytes: Uint8Array): void {
    if (bytes.length < REFERENCE_FROM || this.depth > 0) {
      this.raw(bytes)
      return
    }
    this.flush()
    this.done.push(bytes)
    this.doneBytes += bytes.length
  }

  /** Starts something whose size in bytes goes before it as a varint; returns the mark for {@link endSized}. */
  beginSized(): number {
    this.depth++
    return this.reserve(1) + 1 - this.from
  }

  endSized(mark: number): void {
    this.depth--
    const start = mark + this.from
    const size = this.at - start
    const extra = uvarintLength(size) - 1
    if (extra > 0) {
      this.reserve(extra)
      const moved = mark + this.from
      this.buffer.copyWithin(moved + extra, moved, moved + size)
    }
    putUvarint(this.buffer, mark + this.from - 1, size)
  }

  /** The parts in order; the writer is spent. */
  parts(): Uint8Array[] {
    this.flush()
    return this.done
  }

  /** Everything as one run of bytes; the writer is spent. */
  bytes(): Uint8Array {
    return gathered(this.parts())
  }

  private textLength(length: number, compact: boolean): void {
    if (length > 0x7fff) throw new EncodeError(`a string of ${length} bytes; 32767 is the most`)
    if (compact) this.uvarint(length + 1)
    else this.int16(length)
  }

  private int64Sentinel(value: number): void {
    if (value !== LONG_MAX && value !== LONG_MIN) throw outside(value, 'exact int64')
    const at = this.reserve(8)
    this.view.setInt32(at, value === LONG_MAX ? 0x7fff_ffff : -0x8000_0000)
    this.view.setUint32(at + 4, value === LONG_MAX ? 0xffff_ffff : 0)
  }

  private flush(): void {
    if (this.at === this.from) return
    this.done.push(this.buffer.subarray(this.from, this.at))
    this.doneBytes += this.at - this.from
    this.from = this.at
  }

  /** Makes room for `length` bytes and returns where they start. It may replace `buffer` and `view`: read them afterwards. */
  private reserve(length: number): number {
    const at = this.at
    if (at + length <= this.buffer.length) {
      this.at = at + length
      return at
    }
    return this.grow(length)
  }

  /** Moves the unfinished part to a larger buffer; finished parts keep the old one. */
  private grow(length: number): number {
    const held = this.at - this.from
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, held + length))
    larger.set(this.buffer.subarray(this.from, this.at))
    this.buffer = larger
    this.view = new DataView(larger.buffer)
    this.from = 0
    this.at = held + length
    return held
  }
}

function putUvarint(into: Uint8Array, at: number, value: number): number {
  let rest = value
  let to = at
  while (rest > 0x7f) {
    into[to++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  into[to++] = rest
  return to - at
}

function uvarintLength(value: number): number {
  let length = 1
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) length++
  return length
}

function outside(value: unknown, what: string): EncodeError {
  return new EncodeError(`${describe(value)} is not an ${what}`)
}

function describe(value: unknown): string {
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
