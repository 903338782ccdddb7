import { gatherInto } from '@millrace/base'
import { baseOffset, batchBytes, isGap, nextOffset } from '@millrace/records'
import { OWN_MEMORY } from './read-memory.ts'
import type { LogSlice, ReadMemory } from './types.ts'

/** What is allocated at once, unless the whole cache is small. */
const SLAB_BYTES = 1024 * 1024
/** Slabs that a small cache has at least. */
const LEAST_SLABS = 8

/** A piece of the cache's memory; appends of all logs follow each other in it. */
export interface Slab {
  readonly bytes: Uint8Array
  used: number
  /** Appends in it that are still held, and pins. */
  live: number
}

/** What one append wrote, in one piece. */
export interface Chunk {
  readonly tail: LogTail
  readonly slab: Slab
  readonly at: number
  end: number
  readonly baseOffset: number
  endOffset: number
  /** Its number in the order of all appends; -1 once it is gone. */
  sequence: number
}

/**
 * The recent appends of all logs of a directory, in memory, so that readers of the tail need no disk. The bytes are copied into slabs
 * that are used again and again, and out of them for readers: that costs 0.1 s of processor time per GB, while network buffers that
 * were held until they are old would each have to be found by full collections of the heap. The oldest append of any log goes first.
 */
export class TailCache {
  private readonly limitBytes: number
  private readonly slabBytes: number
  private allocated = 0
  private current: Slab | null = null
  private readonly free: Slab[] = []
  /** In order of appends; a chunk that a truncation dropped stays as null until its turn. */
  private queue: (Chunk | null)[] = []
  /** The number of the queue's first element, and of the oldest chunk. */
  private first = 0
  private oldest = 0

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
    this.slabBytes = Math.min(SLAB_BYTES, Math.floor(limitBytes / LEAST_SLABS))
  }

  /** Memory that is allocated, whether it is in use or not. */
  get allocatedBytes(): number {
    return this.allocated
  }

  /** Pins hold more than the cache should take. */
  get crowded(): boolean {
    return this.allocated > this.limitBytes
  }

  /** Whether an append of so many bytes has room. */
  holds(bytes: number): boolean {
    return bytes <= this.limitBytes
  }

  /** Copies what was appended; null when it is larger than all of the cache. */
  hold(tail: LogTail, batches: readonly Uint8Array[], from: number, to: number): Chunk | null {
    let bytes = 0
    for (const batch of batches) bytes += batch.length
    const slab = this.slabFor(bytes)
    if (slab === null) return null
    const at = slab.used
    for (const batch of batches) {
      slab.bytes.set(batch, slab.used)
      slab.used += batch.length
    }
    slab.live++
    const sequence = this.first + this.queue.length
    const chunk: Chunk = { tail, slab, at, end: slab.used, baseOffset: from, endOffset: to, sequence }
    this.queue.push(chunk)
    return chunk
  }

  drop(chunk: Chunk): void {
    if (chunk.sequence < 0) return
    this.queue[chunk.sequence - this.first] = null
    this.release(chunk)
  }

  /** What lies in the slab stays as it is until `unpin`, whatever the cache forgets meanwhile. */
  pin(slab: Slab): void {
    slab.live++
  }

  unpin(slab: Slab): void {
    if (--slab.live === 0) this.emptied(slab)
  }

  private slabFor(bytes: number): Slab | null {
    if (bytes > this.limitBytes) return null
    if (bytes > this.slabBytes) return this.largeSlab(bytes)
    const { current } = this
    if (current !== null && current.used + bytes <= current.bytes.length) return current
    // What is full is given back by the last of its appends; nothing of it may be held any more even now.
    this.current = null
    if (current !== null && current.live === 0) this.giveBack(current)
    while (this.free.length === 0 && this.allocated + this.slabBytes > this.limitBytes && this.evictOldest());
    this.current = this.free.pop() ?? this.allocate(this.slabBytes)
    return this.current
  }

  /** An append that is larger than a slab has one of its own, which is not used again. */
  private largeSlab(bytes: number): Slab {
    while (this.allocated + bytes > this.limitBytes) {
      const spare = this.free.pop()
      if (spare !== undefined) this.allocated -= spare.bytes.length
      else if (this.evictOldest()) continue
      else if (this.current !== null) this.forgetCurrent()
      // What is pinned comes back by itself; until then the cache is larger than it should be.
      else break
    }
    return this.allocate(bytes)
  }

  /** All appends are evicted. What is pinned is given back when it is let go. */
  private forgetCurrent(): void {
    const { current } = this
    this.current = null
    if (current !== null && current.live === 0) this.allocated -= current.bytes.length
  }

  private allocate(bytes: number): Slab {
    this.allocated += bytes
    return { bytes: Buffer.allocUnsafeSlow(bytes), used: 0, live: 0 }
  }

  /** False when nothing is left. */
  private evictOldest(): boolean {
    if (this.oldest === this.first + this.queue.length) return false
    const place = this.oldest++ - this.first
    const chunk = this.queue[place]
    this.queue[place] = null
    if (place > 1024 && place * 2 > this.queue.length) {
      this.queue = this.queue.slice(place + 1)
      this.first = this.oldest
    }
    if (chunk === null || chunk === undefined) return true
    chunk.tail.dropOldest()
    this.release(chunk)
    return true
  }

  private release(chunk: Chunk): void {
    chunk.sequence = -1
    this.unpin(chunk.slab)
  }

  private emptied(slab: Slab): void {
    if (slab === this.current) slab.used = 0
    else this.giveBack(slab)
  }

  private giveBack(slab: Slab): void {
    slab.used = 0
    if (slab.bytes.length === this.slabBytes && this.allocated <= this.limitBytes) this.free.push(slab)
    else this.allocated -= slab.bytes.length
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

  /** Keeps a copy, and tells where; null when it is larger than all of the cache. `endOffset` follows the last batch. */
  add(batches: readonly Uint8Array[], baseOffset: number, endOffset: number): Chunk | null {
    const chunk = this.cache.hold(this, batches, baseOffset, endOffset)
    if (chunk === null) this.clear()
    else this.chunks.push(chunk)
    return chunk
  }

  /** A copy of what the cache holds from `from` on, or null when it does not hold that offset. */
  // oxlint-disable-next-line max-params -- what, how much, up to where, and where to.
  read(from: number, maxBytes: number, below: number, memory: ReadMemory = OWN_MEMORY): LogSlice | null {
    const slice = this.peek(from, maxBytes, below)
    if (slice === null || slice.bytes === 0) return slice
    return { ...slice, parts: [gatherInto(memory.take(slice.bytes), slice.parts)] }
  }

  /** The same where it lies in the cache, which takes it back with the next append. */
  peek(from: number, maxBytes: number, below: number): LogSlice | null {
    let at = this.chunkOf(from)
    if (at === null || this.dividesGap(at, from)) return null
    const regions: Uint8Array[] = []
    const found = { from, maxBytes, below, bytes: 0, nextOffset: from }
    for (; at < this.chunks.length; at++) {
      const chunk = this.chunks[at] as Chunk
      const before = found.bytes
      const end = walk(chunk, found)
      if (found.bytes > before) regions.push(chunk.slab.bytes.subarray(end - (found.bytes - before), end))
      if (end < chunk.end) break
    }
    return { parts: regions, bytes: found.bytes, nextOffset: found.nextOffset }
  }

  /** A part of a gap is not to be had without a copy. */
  private dividesGap(number: number, from: number): boolean {
    const { slab, at } = this.chunks[number] as Chunk
    const { bytes } = slab
    let position = at
    while (nextOffset(bytes, position) <= from) position += batchBytes(bytes, position)
    return baseOffset(bytes, position) < from && isGap(bytes, position)
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
    for (let last = this.chunks.at(-1); last !== undefined; last = this.chunks.at(-1)) {
      if (this.chunks.length === this.head || last.endOffset <= offset || cut(last, offset)) return
      this.chunks.pop()
      this.cache.drop(last)
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

/** How far a read has come: `bytes` of batches that end before `nextOffset`. */
interface Progress {
  readonly from: number
  readonly maxBytes: number
  readonly below: number
  bytes: number
  nextOffset: number
}

/** Counts the batches of a chunk that are asked for, which follow each other; returns where the walk ended. */
function walk({ slab, at, end }: Chunk, found: Progress): number {
  const { bytes } = slab
  let position = at
  while (position < end) {
    const size = batchBytes(bytes, position)
    const next = nextOffset(bytes, position)
    if (next > found.from) {
      if (found.bytes > 0 && found.bytes + size > found.maxBytes) break
      if (baseOffset(bytes, position) >= found.below) break
      found.bytes += size
      found.nextOffset = next
    }
    position += size
  }
  return position
}

/** Takes the batches that reach past `offset` from the chunk's end. False when that is all of it. */
function cut(chunk: Chunk, offset: number): boolean {
  const { bytes } = chunk.slab
  let position = chunk.at
  let kept = -1
  while (position < chunk.end && nextOffset(bytes, position) <= offset) {
    kept = nextOffset(bytes, position)
    position += batchBytes(bytes, position)
  }
  if (kept < 0) return false
  chunk.end = position
  chunk.endOffset = kept
  return true
}
