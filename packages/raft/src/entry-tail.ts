import { assert, type Entry } from '@millrace/base'

/**
 * The newest entries of a log, consecutive, in memory. It grows at the end, is cut at the end by a truncation and at the
 * front by `shrinkTo`. Its size counts payload bytes plus a fixed share per entry.
 */
export class EntryTail {
  #entries: Entry[] = []
  /** Slots before this one are dead; they are given back once they outnumber the living. */
  #head = 0
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  /** Index of the first entry held; 0 when empty. */
  get firstIndex(): number {
    return this.#entries[this.#head]?.index ?? 0
  }

  get length(): number {
    return this.#entries.length - this.#head
  }

  push(entry: Entry): void {
    const last = this.#entries.at(-1)
    assert(
      this.length === 0 || last?.index === entry.index - 1,
      `entry ${entry.index} does not follow ${last?.index ?? 'nothing'}`,
    )
    this.#entries.push(entry)
    this.#bytes += entryBytes(entry)
  }

  get(index: number): Entry | null {
    if (this.length === 0) return null
    return this.#entries[this.#head + index - this.firstIndex] ?? null
  }

  /** The entries [from, to], as many as fit in `maxBytes` and at least one; null when `from` is not held. */
  slice(from: number, to: number, maxBytes: number): readonly Entry[] | null {
    if (this.length === 0 || from < this.firstIndex) return null
    const found: Entry[] = []
    let bytes = 0
    for (let index = from; index <= to; index++) {
      const entry = this.get(index)
      if (entry === null) break
      bytes += entryBytes(entry)
      if (found.length > 0 && bytes > maxBytes) break
      found.push(entry)
    }
    return found.length > 0 ? found : null
  }

  /** Drops the entries with this index and above. */
  truncateFrom(index: number): void {
    while (this.length > 0 && (this.#entries.at(-1) as Entry).index >= index)
      this.#bytes -= entryBytes(this.#entries.pop() as Entry)
    if (this.length === 0) this.clear()
  }

  /** Drops the oldest entries while more than `maxBytes` are held, but none above `index`. */
  shrinkTo(maxBytes: number, index: number): void {
    while (this.length > 0 && this.#bytes > maxBytes && this.firstIndex <= index) {
      this.#bytes -= entryBytes(this.#entries[this.#head] as Entry)
      this.#head++
    }
    if (this.length === 0) this.clear()
    else if (this.#head > 64 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }

  clear(): void {
    this.#entries = []
    this.#head = 0
    this.#bytes = 0
  }
}

/** What an entry counts for in byte bounds: an empty one is not free. */
export function entryBytes(entry: Entry): number {
  return entry.payload.length + 32
}
