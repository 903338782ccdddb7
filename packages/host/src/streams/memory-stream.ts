import type { ByteHandler, ByteStream } from '@millrace/base'
import type { LaterTurns } from '../turns.ts'

/** How much may be under way before a writer is told to stop. */
const HIGH_WATER_BYTES = 1024 * 1024

/** A part on its way: its writer's memory until it is delivered, as with a socket. */
interface Sent {
  readonly bytes: Uint8Array
  /** For the last part of a write. */
  readonly written: (() => void) | undefined
}

/** One end of a stream in memory. It holds what the other end wrote until its handler takes it. */
export class MemoryStream implements ByteStream {
  readonly remote: string
  handler: ByteHandler | null = null
  private readonly turns: LaterTurns
  private peer: MemoryStream | null = null
  /** What the other end wrote. */
  private arrived: Sent[] = []
  private arrivedBytes = 0
  /** What was written before there was another end. */
  private early: Sent[] = []
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

  write(parts: readonly Uint8Array[], written?: () => void): boolean {
    if (this.closed || parts.length === 0) {
      if (written !== undefined) this.turns.later(written)
      return !this.closed && !this.full
    }
    const last = parts.length - 1
    const sent = parts.map((bytes, at) => ({ bytes, written: at === last ? written : undefined }))
    if (this.peer === null) this.early.push(...sent)
    else if (!this.peer.take(sent)) this.full = true
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
    this.drop(this.arrived)
    this.drop(this.early)
    this.turns.later(() => this.handler?.closed(why))
    const { peer } = this
    if (peer === null) return
    peer.peerClosed = true
    peer.schedule()
  }

  /** Takes what the other end wrote; false when it is to wait. */
  private take(sent: Sent[]): boolean {
    if (this.closed) {
      this.drop(sent)
      return true
    }
    for (const part of sent) {
      this.arrived.push(part)
      this.arrivedBytes += part.bytes.length
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
      const { bytes, written } = this.arrived.shift() as Sent
      this.arrivedBytes -= bytes.length
      // A chunk belongs to its receiver, a part to its writer.
      if (bytes.length > 0) this.handler?.data(new Uint8Array(bytes))
      if (written !== undefined) this.turns.later(written)
    }
    if (this.arrived.length > 0) return
    this.peer?.relax()
    if (this.peerClosed) this.finish('the other side closed the connection')
  }

  /** Nobody will look at these. */
  private drop(sent: Sent[]): void {
    for (const { written } of sent.splice(0)) if (written !== undefined) this.turns.later(written)
  }

  private relax(): void {
    if (!this.full || this.closed) return
    this.full = false
    this.handler?.drained()
  }
}
