import { assert } from '@millrace/base'
import type { PeerHandler, PeerStream } from '@millrace/base'
import { HIGH_WATER_BYTES } from './frame-queue.ts'
import { MAX_FRAME_BYTES } from './peer-service.ts'

export type Why = 'local' | 'remote' | 'broken' | 'refused'

/** How a stream ended, as one of its ends is told. */
export interface Ending {
  readonly why: Why
  readonly detail: string
}

/** What an end asks its connection to do in a later turn. */
export interface EndTurns {
  /** Move what the end has queued. */
  move(end: DirectEnd): void
  later(task: () => void): void
}

/** One end of a stream between two nodes of a process. */
export class DirectEnd implements PeerStream {
  handler: PeerHandler | null = null
  queuedBytes = 0
  /** What the other end is to be told behind the queued frames: this one was closed. */
  farewell: Ending | null = null
  /** Nothing is taken any more, and the handler is told the end or has nothing to hear. */
  closed = false
  private readonly turns: EndTurns
  private queued: Uint8Array[] = []
  private scheduled = false
  private full = false
  private greeted = false
  private dead = false

  constructor(turns: EndTurns) {
    this.turns = turns
  }

  send(frame: Uint8Array): boolean {
    return this.sendParts([frame])
  }

  sendParts(parts: readonly Uint8Array[]): boolean {
    const frame = Buffer.concat(parts)
    assert(frame.length <= MAX_FRAME_BYTES, `a frame of ${frame.length} bytes is larger than ${MAX_FRAME_BYTES}`)
    if (this.closed) return false
    this.queued.push(frame)
    this.queuedBytes += frame.length
    if (this.queuedBytes >= HIGH_WATER_BYTES) this.full = true
    this.schedule()
    return !this.full
  }

  close(reason: string): void {
    if (this.closed) return
    if (!this.greeted) this.take()
    this.farewell = { why: 'remote', detail: reason }
    this.end({ why: 'local', detail: reason })
    this.schedule()
  }

  schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    this.turns.later(() => {
      this.scheduled = false
      if (!this.dead) this.turns.move(this)
    })
  }

  /** The acceptor's end: puts its hello before what it sent while it accepted. */
  greet(hello: Uint8Array): void {
    this.greeted = true
    if (this.closed) return
    this.queued.unshift(new Uint8Array(hello))
    this.queuedBytes += hello.length
    this.schedule()
  }

  /** Hands a frame to the handler; the opener's first one is the acceptor's hello. */
  receive(frame: Uint8Array): void {
    if (this.closed) return
    if (this.greeted) return this.handler?.frame(frame)
    this.greeted = true
    this.handler?.opened(frame)
  }

  /** All that is queued; the queue is empty afterwards. */
  take(): Uint8Array[] {
    const frames = this.queued
    this.queued = []
    this.queuedBytes = 0
    return frames
  }

  /** Lets a sender that was told to stop go on. */
  relax(): void {
    if (!this.full || this.closed || this.queuedBytes > 0) return
    this.full = false
    this.handler?.drained()
  }

  /** Tells the handler in a later turn that the stream is over, once. */
  end({ why, detail }: Ending): void {
    if (this.closed) return
    this.closed = true
    this.turns.later(() => {
      if (!this.dead) this.handler?.closed(why, detail)
    })
  }

  /** The node of this end is gone: it is told nothing more, not even what is scheduled. */
  kill(): void {
    this.dead = true
    this.closed = true
    this.farewell = null
    this.take()
  }
}
