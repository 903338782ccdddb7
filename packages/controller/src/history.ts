/** A committed entry as brokers are sent it. */
export interface CommittedEntry {
  readonly index: number
  readonly term: number
  readonly payload: Uint8Array
}

/** The newest committed entries, so that a broker that was away for a moment need not load a snapshot. */
export class History {
  private readonly maxBytes: number
  private entries: CommittedEntry[] = []
  private bytes = 0
  /** The state before `entries[0]` is that of this index. */
  private base = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  push({ index, term, payload }: CommittedEntry): void {
    // A short payload must not keep the frame alive that it came in.
    const lean = payload.buffer.byteLength > payload.length * 2 ? payload.slice() : payload
    this.entries.push({ index, term, payload: lean })
    this.bytes += payload.length
    if (this.bytes > this.maxBytes && this.entries.length > 1) this.trim()
  }

  /** A snapshot of this index replaced everything before. */
  reset(index: number): void {
    this.entries = []
    this.bytes = 0
    this.base = index
  }

  /** Whether the entries after `index` are all here. */
  continues(index: number): boolean {
    return index >= this.base
  }

  /** The entries after `index`, at most `maxBytes` of them but at least one where there is one. */
  after(index: number, maxBytes: number): readonly CommittedEntry[] {
    const found: CommittedEntry[] = []
    let bytes = 0
    for (let at = this.firstAfter(index); at < this.entries.length; at++) {
      const entry = this.entries[at] as CommittedEntry
      if (found.length > 0 && bytes + entry.payload.length > maxBytes) break
      found.push(entry)
      bytes += entry.payload.length
    }
    return found
  }

  private firstAfter(index: number): number {
    let low = 0
    let high = this.entries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.entries[middle] as CommittedEntry).index <= index) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Drops the older half at once, so that dropping costs little per entry. */
  private trim(): void {
    let dropped = 0
    while (this.bytes > this.maxBytes / 2 && dropped < this.entries.length - 1) {
      const entry = this.entries[dropped++] as CommittedEntry
      this.bytes -= entry.payload.length
      this.base = entry.index
    }
    this.entries = this.entries.slice(dropped)
  }
}
