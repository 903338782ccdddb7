import { readInt32, readInt64, writeInt32, writeInt64 } from '@millrace/records'

const FIRST_CAPACITY = 16

/** Entries of one width in the format of Kafka's index files, in a buffer that grows. */
export class IndexTable {
  readonly width: number
  count = 0
  private bytes: Uint8Array

  constructor(width: number, bytes: Uint8Array = new Uint8Array(0)) {
    this.width = width
    this.bytes = bytes
    this.count = Math.floor(bytes.length / width)
  }

  /** The entries as they stand in a file; a view. */
  get content(): Uint8Array {
    return this.bytes.subarray(0, this.count * this.width)
  }

  int32(entry: number, at: number): number {
    return readInt32(this.bytes, entry * this.width + at)
  }

  int64(entry: number, at: number): number {
    return readInt64(this.bytes, entry * this.width + at)
  }

  /** Makes room for one more entry and returns where its bytes begin. */
  push(): { readonly bytes: Uint8Array; readonly at: number } {
    const at = this.count++ * this.width
    if (at + this.width > this.bytes.length) {
      const grown = new Uint8Array(Math.max(FIRST_CAPACITY * this.width, this.bytes.length * 2))
      grown.set(this.bytes)
      this.bytes = grown
    }
    return { bytes: this.bytes, at }
  }

  /** The number of leading entries whose key, read at `at`, is at most `key`. Keys rise. */
  countUpTo(key: number, at: number, wide = false): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      const value = wide ? this.int64(middle, at) : this.int32(middle, at)
      if (value <= key) low = middle + 1
      else high = middle
    }
    return low
  }

  clear(): void {
    this.count = 0
    this.bytes = new Uint8Array(0)
  }
}

/** `int32 offset - base | int32 position`: the batch at `position` ends with that offset. */
export const OFFSET_ENTRY_BYTES = 8
/** `int64 timestamp | int32 offset - base`: no batch up to the one that ends with that offset is later than the timestamp. */
export const TIME_ENTRY_BYTES = 12

export function pushOffsetEntry(table: IndexTable, relativeOffset: number, position: number): void {
  const { bytes, at } = table.push()
  writeInt32(bytes, at, relativeOffset)
  writeInt32(bytes, at + 4, position)
}

export function pushTimeEntry(table: IndexTable, timestamp: number, relativeOffset: number): void {
  const { bytes, at } = table.push()
  writeInt64(bytes, at, timestamp)
  writeInt32(bytes, at + 8, relativeOffset)
}

/** Whether offsets and positions rise and stay within a log file of `size` bytes. */
export function isOffsetTable(table: IndexTable, size: number): boolean {
  let offset = -1
  let position = -1
  for (let i = 0; i < table.count; i++) {
    if (table.int32(i, 0) <= offset || table.int32(i, 4) <= position) return false
    offset = table.int32(i, 0)
    position = table.int32(i, 4)
  }
  return position < size
}

/** Whether timestamps rise and offsets do not fall, and both are what they can be. */
export function isTimeTable(table: IndexTable): boolean {
  let timestamp = -1
  let offset = 0
  for (let i = 0; i < table.count; i++) {
    const next = table.int64(i, 0)
    if (next <= timestamp || !Number.isSafeInteger(next) || table.int32(i, 8) < offset) return false
    timestamp = next
    offset = table.int32(i, 8)
  }
  return true
}
