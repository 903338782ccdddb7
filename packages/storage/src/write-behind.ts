import { IoError, type Timer, type World } from '@millrace/base'
import type { Chunk, Slab, TailCache } from './tail-cache.ts'

/** What all logs together may keep from their files: a small part of the tail cache, whose memory it pins. */
const MOST_BYTES = 4 * 1024 * 1024
/** Nothing is kept from its file for much longer than this. */
const LONGEST_US = 1_000_000

/** Somebody whose file lacks what was appended. */
export interface Lagging {
  /** Throws `IoError`; nothing has changed then. */
  writeOut(): void
}

/**
 * Appends that are in the journal's hands and not in their segment files yet. Every write of a file costs the kernel a search for pages, and the
 * first and last of them belong to its neighbours, too; many batches at once cost a third of what they cost one by one. A crash finds them in the
 * journal, as it finds what the page cache lost.
 */
export class WriteBehind {
  /** How much one log may keep from its file. */
  readonly bytesPerLog: number
  private readonly tails: TailCache
  private readonly world: World
  private readonly failed: (error: IoError) => void
  private readonly ranOut: () => void
  private readonly lagging = new Set<Lagging>()
  private bytes = 0
  private timer: Timer | null = null
  private ended = false

  constructor(world: World, options: WriteBehindOptions) {
    this.world = world
    this.bytesPerLog = options.bytesPerLog
    this.tails = options.tails
    this.failed = options.failed
    this.ranOut = options.ranOut
  }

  /** One more append of `who` is kept from its file. */
  kept(who: Lagging, bytes: number): void {
    this.bytes += bytes
    this.lagging.add(who)
    // A log with little traffic would hold the memory of its busy neighbours.
    if (this.bytes > MOST_BYTES || this.tails.crowded) this.writeOut()
    else this.wait()
  }

  /** What `who` kept is written, or is not wanted any more. */
  gone(who: Lagging, bytes: number): void {
    this.bytes -= bytes
    this.lagging.delete(who)
  }

  /** All files have all that was appended; else the reason: want of space, which passes, or a disk that has failed. */
  writeOut(): IoError | null {
    let refused: IoError | null = null
    for (const who of this.lagging) {
      const error = attempted(() => who.writeOut())
      if (error === null || this.ended) continue
      refused ??= error
      if (error.code === 'ENOSPC') this.ranOut()
      else this.failed(error)
    }
    if (this.lagging.size > 0) this.wait()
    return refused
  }

  /** Nothing is written by itself any more. */
  end(): void {
    this.ended = true
    this.timer?.cancel()
    this.timer = null
  }

  private wait(): void {
    if (this.ended) return
    this.timer ??= this.world.timers.after(LONGEST_US, () => {
      this.timer = null
      this.writeOut()
    })
  }
}

export interface WriteBehindOptions {
  readonly bytesPerLog: number
  readonly tails: TailCache
  /** The disk failed in the midst of nobody's call. */
  readonly failed: (error: IoError) => void
  readonly ranOut: () => void
}

interface Region {
  readonly slab: Slab
  readonly at: number
  to: number
}

/** What one log keeps from its file, where the tail cache has it, in the order of the appends. */
export class KeptAppends {
  /** The offset of the first of them. */
  from = -1
  bytes = 0
  private regions: Region[] = []
  private readonly tails: TailCache

  constructor(tails: TailCache) {
    this.tails = tails
  }

  add(copy: Chunk): void {
    const { slab, at, end } = copy
    if (this.bytes === 0) this.from = copy.baseOffset
    this.bytes += end - at
    const last = this.regions.at(-1)
    if (last !== undefined && last.slab === slab && last.to === at) {
      last.to = end
      return
    }
    this.tails.pin(slab)
    this.regions.push({ slab, at, to: end })
  }

  get parts(): Uint8Array[] {
    return this.regions.map(({ slab, at, to }) => slab.bytes.subarray(at, to))
  }

  clear(): void {
    for (const { slab } of this.regions) this.tails.unpin(slab)
    this.regions = []
    this.bytes = 0
  }
}

/** Runs a change of files; what the disk said against it, or null. */
export function attempted(run: () => void): IoError | null {
  try {
    run()
    return null
  } catch (error) {
    if (error instanceof IoError) return error
    throw error
  }
}
