import { baseOffset, nextOffset } from '@millrace/records'
import type { LogSlice } from './types.ts'

/** What one append wrote. The batches are slices of network buffers, which they keep from being freed. */
interface Chunk {
  readonly tail: LogTail
  readonly batches: readonly Uint8Array[]
  readonly baseOffset: number
  readonly endOffset: number
  /** Distinct buffers that the batches lie in. */
  readonly slabs: readonly ArrayBufferLike[]
  /** Its number in the order of all appends; -1 once it is gone. */
  sequence: number
}

/**
 * The recent appends of all logs of a directory, in memory, so that readers of the tail and followers need no disk. Bounded by what
 * it pins: the whole buffer that a batch is a slice of counts, once. The oldest append of any log goes first.
 */
export class TailCache {
  private readonly limitBytes: number
  private pinned = 0
  private readonly references = new Map<ArrayBufferLike, number>()
  /** In order of appends; a chunk that a truncation dropped stays as null until its turn. */
  private queue: (Chunk | null)[] = []
  /** The number of the queue's first element, and of the oldest chunk. */
  private first = 0
  private oldest = 0

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  get pinnedBytes(): number {
    return this.pinned
  }

  add(chunk: Chunk): void {
    for (const slab of chunk.slabs) this.pin(slab)
    chunk.sequence = this.first + this.queue.length
    this.queue.push(chunk)
    while (this.pinned > this.limitBytes && this.oldest < this.first + this.queue.length) this.evictOldest()
    if (this.oldest - this.first > 1024 && (this.oldest - this.first) * 2 > this.queue.length) {
      this.queue = this.queue.slice(this.oldest - this.first)
      this.first = this.oldest
    }
  }

  drop(chunk: Chunk): void {
    if (chunk.sequence < 0) return
    this.queue[chunk.sequence - this.first] = null
    this.release(chunk)
  }

  private evictOldest(): void {
    const place = this.oldest++ - this.first
    const chunk = this.queue[place]
    this.queue[place] = null
    if (chunk === null || chunk === undefined) return
    chunk.tail.dropOldest()
    this.release(chunk)
  }

  private release(chunk: Chunk): void {
    chunk.sequence = -1
    for (const slab of chunk.slabs) {
      const left = (this.references.get(slab) as number) - 1
      if (left > 0) this.references.set(slab, left)
      else {
        this.references.delete(slab)
        this.pinned -= slab.byteLength
      }
    }
  }

  private pin(slab: ArrayBufferLike): void {
    const count = this.references.get(slab) ?? 0
    if (count === 0) this.pinned += slab.byteLength
    this.references.set(slab, count + 1)
  }
}

/** The recent appends of one log, contiguous up to its end. */
export class LogTail {
  private readonly cache: TailCache
  private chunks: Chunk[] = []
  private head = 0

  constructor(cache: TailCache) {
    this.cache = cache
  }

  /** `endOffset` follows the last batch. The list is kept, so it must not change; neither may the batches' bytes. */
  add(batches: readonly Uint8Array[], baseOffset: number, endOffset: number): void {
    const chunk: Chunk = { tail: this, batches, baseOffset, endOffset, slabs: slabsOf(batches), sequence: -1 }
    this.chunks.push(chunk)
    this.cache.add(chunk)
  }

  /** What the cache holds from `from` on, or null when it does not hold that offset. */
  read(from: number, maxBytes: number, below: number): LogSlice | null {
    let at = this.chunkOf(from)
    if (at === null) return null
    const parts: Uint8Array[] = []
    let bytes = 0
    let next = from
    for (; at < this.chunks.length; at++) {
      for (const batch of (this.chunks[at] as Chunk).batches) {
        const end = nextOffset(batch, 0)
        if (end <= from) continue
        if (bytes > 0 && bytes + batch.length > maxBytes) return { parts, bytes, nextOffset: next }
        if (baseOffset(batch, 0) >= below) return { parts, bytes, nextOffset: next }
        parts.push(batch)
        bytes += batch.length
        next = end
      }
    }
    return { parts, bytes, nextOffset: next }
  }

  /** Called by the cache: its oldest chunk of this log is gone. */
  dropOldest(): void {
    this.head++
    if (this.head * 2 < this.chunks.length) return
    this.chunks = this.chunks.slice(this.head)
    this.head = 0
  }

  /** Forgets everything at and above `offset`. */
  truncate(offset: number): void {
    for (
      let last = this.chunks.at(-1);
      last !== undefined && this.chunks.length > this.head;
      last = this.chunks.at(-1)
    ) {
      if (last.endOffset <= offset) return
      this.chunks.pop()
      this.cache.drop(last)
      const kept = last.batches.filter((batch) => nextOffset(batch, 0) <= offset)
      if (kept.length > 0) return this.add(kept, last.baseOffset, nextOffset(kept.at(-1) as Uint8Array, 0))
    }
  }

  clear(): void {
    for (let at = this.head; at < this.chunks.length; at++) this.cache.drop(this.chunks[at] as Chunk)
    this.chunks = []
    this.head = 0
  }

  private chunkOf(offset: number): number | null {
    let low = this.head
    let high = this.chunks.length
    if (low === high || (this.chunks[low] as Chunk).baseOffset > offset) return null
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.chunks[middle] as Chunk).endOffset <= offset) low = middle + 1
      else high = middle
    }
    return low < this.chunks.length ? low : null
  }
}

function slabsOf(batches: readonly Uint8Array[]): ArrayBufferLike[] {
  const slabs: ArrayBufferLike[] = []
  // Batches of one frame follow each other, so looking at the last buffer finds nearly all repetitions; the rest is counted by references.
  for (const { buffer } of batches) if (slabs.at(-1) !== buffer) slabs.push(buffer)
  return slabs
}
