import { status } from '@grpc/grpc-js'
import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Accepted, Lane, PeerHandler, PeerStream, Refusal } from '@millrace/base'
import { FrameQueue } from './frame-queue.ts'
import { runOwn } from './uncaught.ts'

/** How long a caller may stay without saying who it is. */
const HELLO_TIMEOUT_MS = 5000

/** Decides about a stream by the opener's hello. */
export type Accept = (hello: Uint8Array, lane: Lane, stream: PeerStream) => Accepted | Refusal

/** The acceptor's end of a stream. */
export class AcceptedStream implements PeerStream {
  private readonly call: ServerDuplexStream<Uint8Array, Uint8Array>
  private readonly lane: Lane
  private readonly accept: Accept
  private readonly queue: FrameQueue
  private readonly timeout: NodeJS.Timeout
  private handler: PeerHandler | null = null
  private over = false
  /** What `accept` sent before its hello could go first. */
  private early: Uint8Array[] | null = []
  private earlyBytes = 0

  constructor(call: ServerDuplexStream<Uint8Array, Uint8Array>, lane: Lane, accept: Accept) {
    this.call = call
    this.lane = lane
    this.accept = accept
    this.queue = new FrameQueue(call, () => this.tell((handler) => handler.drained()))
    this.timeout = setTimeout(() => this.end(status.DEADLINE_EXCEEDED, 'no hello'), HELLO_TIMEOUT_MS)
    call.on('data', this.received)
    call.on('end', () => setImmediate(() => this.halfClosed()))
    call.on('cancelled', () => this.closed('broken', 'the connection to the peer is gone'))
    call.on('error', (error) => this.closed('broken', error.message))
  }

  get queuedBytes(): number {
    return this.queue.queuedBytes + this.earlyBytes
  }

  send(frame: Uint8Array): boolean {
    if (this.over) return false
    if (this.early === null) return this.queue.send(frame)
    this.early.push(frame)
    this.earlyBytes += frame.length
    return true
  }

  sendParts(parts: readonly Uint8Array[]): boolean {
    if (this.over) return false
    return this.early === null ? this.queue.sendParts(parts) : this.send(Buffer.concat(parts))
  }

  close(reason: string): void {
    if (this.over) return
    this.end(status.OK, reason)
    setImmediate(() => this.handler?.closed('local', reason))
  }

  private readonly received = (frame: Uint8Array): void => {
    if (this.over) return
    if (this.handler === null) runOwn(() => this.greet(frame))
    else runOwn(() => this.handler?.frame(frame))
  }

  private greet(hello: Uint8Array): void {
    clearTimeout(this.timeout)
    const answer = this.accept(hello, this.lane, this)
    if ('refused' in answer) return this.end(status.FAILED_PRECONDITION, answer.refused)
    this.handler = answer.handler
    if (this.over) return
    this.queue.send(answer.hello)
    for (const frame of this.early ?? []) this.queue.send(frame)
    this.early = null
    this.earlyBytes = 0
  }

  /** A connection that breaks ends its streams' input too; that it broke is known when its other events have run. */
  private halfClosed(): void {
    if (this.call.cancelled) this.closed('broken', 'the connection to the peer is gone')
    else this.closed('remote', 'the peer closed the stream')
  }

  private closed(why: 'remote' | 'broken', detail: string): void {
    if (this.over) return
    const { handler } = this
    this.end(status.OK, '')
    if (handler !== null) setImmediate(() => handler.closed(why, detail))
  }

  /** Ends this side behind what was sent. grpc-js takes the status of a stream from an `error` event, also when it is no error. */
  private end(code: status, details: string): void {
    if (this.over) return
    this.over = true
    clearTimeout(this.timeout)
    this.call.emit('error', { code, details: details.toWellFormed() })
  }

  private tell(callback: (handler: PeerHandler) => void): void {
    const { handler } = this
    if (!this.over && handler !== null) runOwn(() => callback(handler))
  }
}
