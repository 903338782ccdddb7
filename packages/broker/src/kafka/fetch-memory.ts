import type { ReadMemory } from '@millrace/storage'
import { BUFFER_BYTES, type BufferPool } from './buffer-pool.ts'

const MIB = 1024 * 1024
/** What one fetch may borrow, and so one connection, which builds one answer at a time: a quarter of the pool. */
const SHARE_BUFFERS = 8
/** Reads begin at a cache line of their own. */
const ALIGNMENT = 64

/**
 * The memory of one fetch's answer: the reads of all its partitions, small ones packed together. Borrowed while they are made, given back
 * at once when the answer is with the kernel or nobody wants it, but never under the hands of a read.
 */
export class FetchMemory implements ReadMemory {
  private readonly pool: BufferPool
  private buffers: Uint8Array[] = []
  /** What is taken of the last buffer. */
  private used = 0
  private reads = 0
  private released = false

  constructor(pool: BufferPool) {
    this.pool = pool
  }

  /** The bytes that an answer should gather now: less when others have borrowed much, but always enough to go on. */
  get room(): number {
    return Math.max(1, Math.min(SHARE_BUFFERS - this.buffers.length, this.pool.available)) * MIB
  }

  take(bytes: number): Uint8Array {
    const last = this.buffers.at(-1)
    if (last !== undefined && this.used + bytes <= last.length) return this.carve(last, bytes)
    const more = bytes <= BUFFER_BYTES && this.buffers.length < SHARE_BUFFERS ? this.pool.borrow() : null
    if (more === null) return Buffer.allocUnsafeSlow(bytes)
    this.buffers.push(more)
    this.used = 0
    return this.carve(more, bytes)
  }

  /** A read that puts its bytes here is under way until `readEnded`. */
  readBegan(): void {
    this.reads++
  }

  readEnded(): void {
    this.reads--
    if (this.released) this.giveBack()
  }

  /** The answer has left, or never will. */
  release(): void {
    this.released = true
    this.giveBack()
  }

  private carve(buffer: Uint8Array, bytes: number): Uint8Array {
    const at = this.used
    this.used = Math.ceil((at + bytes) / ALIGNMENT) * ALIGNMENT
    return buffer.subarray(at, at + bytes)
  }

  private giveBack(): void {
    if (this.reads > 0) return
    const { buffers } = this
    this.buffers = []
    for (const buffer of buffers) this.pool.giveBack(buffer)
  }
}
