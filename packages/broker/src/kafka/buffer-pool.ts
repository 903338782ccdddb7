import type { Clock } from '@millrace/base'

const MIB = 1024 * 1024
/** A MiB of a partition, which is what clients ask for unless told otherwise, and the part of an index interval before it. */
export const BUFFER_BYTES = MIB + 64 * 1024
/** All buffers of a node, unless said otherwise. */
const MOST_BUFFERS = 32
/** A buffer that is out for longer is with a client that reads slowly, and is left to it. */
const PATIENCE_US = 2_000_000
/** What was free for this long is not needed. */
const IDLE_US = 10_000_000

export interface BufferPoolOptions {
  readonly mostBuffers?: number
  /** Called with every buffer that comes back. */
  readonly returned?: (buffer: Uint8Array) => void
}

/**
 * The memory through which records go from the log to clients, used again and again: buffers lie outside of the heap but count against
 * it, so a new one for every read had the heap collected for every few megabytes read. Made on demand. Whoever borrows one gives it
 * back once; one that does not come back in time belongs to its borrower for good, so that slow clients cost memory, not the others' buffers.
 */
export class BufferPool {
  private readonly clock: Clock
  private readonly most: number
  private readonly returned: ((buffer: Uint8Array) => void) | undefined
  /** The last one back is the first out, as the processor's cache may still have it. */
  private readonly free: Uint8Array[] = []
  /** When they went out, the oldest first. */
  private readonly lent = new Map<Uint8Array, number>()
  /** The fewest that were free since `lookedUs`. */
  private leastFree = 0
  private lookedUs = 0

  constructor(clock: Clock, options: BufferPoolOptions = {}) {
    this.clock = clock
    this.most = options.mostBuffers ?? MOST_BUFFERS
    this.returned = options.returned
  }

  /** How many buffers could be borrowed now. */
  get available(): number {
    return this.most - this.lent.size
  }

  /** Memory that the pool has, in bytes. */
  get allocatedBytes(): number {
    return (this.free.length + this.lent.size) * BUFFER_BYTES
  }

  /** `BUFFER_BYTES` of whatever content, or null when all are out. */
  borrow(): Uint8Array | null {
    if (this.available <= 0) return null
    const buffer = this.free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
    this.leastFree = Math.min(this.leastFree, this.free.length)
    this.lent.set(buffer, this.clock.monotonicUs())
    return buffer
  }

  /** Nobody looks at the buffer or writes to it any more. */
  giveBack(buffer: Uint8Array): void {
    if (!this.lent.delete(buffer)) return
    this.returned?.(buffer)
    this.free.push(buffer)
  }

  /** To be called now and then. */
  sweep(): void {
    const now = this.clock.monotonicUs()
    for (const [buffer, sinceUs] of this.lent) {
      if (now - sinceUs < PATIENCE_US) break
      this.lent.delete(buffer)
    }
    if (now - this.lookedUs < IDLE_US) return
    this.free.splice(0, this.leastFree)
    this.leastFree = this.free.length
    this.lookedUs = now
  }
}
