import type { ByteHandler, ByteStream } from '@millrace/base'
import type { LaterTurns } from '../turns.ts'

/** How much may be under way before a writer is told to stop. */
const HIGH_WATER_BYTES = 1024 * 1024

/** One end of a stream in memory. It holds what the other end wrote until its handler takes it. */
export class MemoryStream implements ByteStream {
  readonly remote: string
  handler: ByteHandler | null = null
  private readonly turns: LaterTurns
  private peer: MemoryStream | null = null
  /** What the other end wrote. */
  private arrived: Uint8Array[] = []
  private arrivedBytes = 0
  /** What was written before there was another end. */
  private early: Uint8Array[] = []
  private scheduled = false
  private isOpen = false
  private paused = false
  private full = false
  private closed = false
  private peerClosed = false

  constructor(remote: string, turns: LaterTurns) {
    this.remote = remote
    this.turns = turns
  }

  isClosed(): boolean {
    return this.closed
  }

  /** The connection stands; the handler is told in a later turn. */
  open(peer: MemoryStream): void {
    this.peer = peer
    peer.take(this.early)
    this.early = []
    this.turns.later(() => {
      if (this.closed) return
      this.isOpen = true
      this.handler?.opened()
      this.schedule()
    })
  }

  write(parts: readonly Uint8Array[]): boolean {
    if (this.closed) return false
    const copies = parts.filter((part) => part.length > 0).map((part) => new Uint8Array(part))
    if (this.peer === null) this.early.push(...copies)
    else this.full ||= !this.peer.take(copies)
    return !this.full
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.schedule()
  }

  close(): void {
    this.finish('closed here')
  }

  /** Ends this side; the other one takes what was written before and ends too. */
  finish(why: string): void {
    if (this.closed) return
    this.closed = true
    this.arrived = []
    this.turns.later(() => this.handler?.closed(why))
    const { peer } = this
    if (peer === null) return
    peer.peerClosed = true
    peer.schedule()
  }

  /** Takes what the other end wrote; false when it is to wait. */
  private take(chunks: readonly Uint8Array[]): boolean {
    if (this.closed) return true
    for (const chunk of chunks) {
      this.arrived.push(chunk)
      this.arrivedBytes += chunk.length
    }
    this.schedule()
    return this.arrivedBytes <= HIGH_WATER_BYTES
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    this.turns.later(() => {
      this.scheduled = false
      this.deliver()
    })
  }

  private deliver(): void {
    if (!this.isOpen) return
    while (!this.paused && !this.closed && this.arrived.length > 0) {
      const chunk = this.arrived.shift() as Uint8Array
      this.arrivedBytes -= chunk.length
      this.handler?.data(chunk)
    }
    if (this.arrived.length > 0) return
    this.peer?.relax()
    if (this.peerClosed) this.finish('the other side closed the connection')
  }

  private relax(): void {
    if (!this.full || this.closed) return
    this.full = false
    this.handler?.drained()
  }
}
