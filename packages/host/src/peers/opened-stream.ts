import { Client, credentials, status } from '@grpc/grpc-js'
import type { ClientDuplexStream, StatusObject } from '@grpc/grpc-js'
import type { Address, PeerHandler, PeerStream } from '@millrace/base'
import { FrameQueue } from './frame-queue.ts'
import { CHANNEL_OPTIONS } from './peer-service.ts'
import type { FrameMethod } from './peer-service.ts'
import { runOwn } from './uncaught.ts'

/** How long an opener waits for the acceptor's hello, and a closer for the acceptor to end its side. */
const OPEN_TIMEOUT_MS = 5000
const CLOSE_TIMEOUT_MS = 1000

/**
 * The opener's end of a stream. It has a channel of its own, which dials once and ends with the stream: a channel that outlived it would
 * hold back the next attempt by its own reckoning of when to dial again.
 */
export class OpenedStream implements PeerStream {
  private readonly client: Client
  private readonly call: ClientDuplexStream<Uint8Array, Uint8Array>
  private readonly queue: FrameQueue
  private readonly handler: PeerHandler
  private timeout: NodeJS.Timeout
  private timedOut = false
  private opened = false
  private over = false

  constructor(to: Address, method: FrameMethod, hello: Uint8Array, handler: PeerHandler) {
    this.handler = handler
    this.client = new Client(target(to), credentials.createInsecure(), CHANNEL_OPTIONS)
    const { path, requestSerialize, responseDeserialize } = method
    this.call = this.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
    this.queue = new FrameQueue(this.call, () => this.tell(() => handler.drained()))
    this.call.on('data', this.received)
    this.call.on('error', () => {})
    this.call.on('status', (end: StatusObject) => setImmediate(() => this.ended(end)))
    this.timeout = setTimeout(() => this.giveUp(), OPEN_TIMEOUT_MS)
    this.queue.send(hello)
  }

  get queuedBytes(): number {
    return this.queue.queuedBytes
  }

  send(frame: Uint8Array): boolean {
    return !this.over && this.queue.send(frame)
  }

  /** gRPC's client copies what it sends in a later turn. */
  sendParts(parts: readonly Uint8Array[]): boolean {
    return !this.over && this.queue.send(Buffer.concat(parts))
  }

  close(reason: string): void {
    if (this.over) return
    this.over = true
    clearTimeout(this.timeout)
    if (this.opened) {
      this.call.end()
      this.timeout = setTimeout(() => this.call.cancel(), CLOSE_TIMEOUT_MS)
    } else this.call.cancel()
    setImmediate(() => this.handler.closed('local', reason))
  }

  private readonly received = (frame: Uint8Array): void => {
    if (this.over) return
    if (this.opened) return runOwn(() => this.handler.frame(frame))
    this.opened = true
    clearTimeout(this.timeout)
    runOwn(() => this.handler.opened(frame))
  }

  private giveUp(): void {
    this.timedOut = true
    this.call.cancel()
  }

  /** The call is over, whoever ended it. */
  private ended(end: StatusObject): void {
    clearTimeout(this.timeout)
    this.client.close()
    if (this.over) return
    this.over = true
    if (this.timedOut) this.handler.closed('broken', `no answer within ${OPEN_TIMEOUT_MS} ms`)
    else if (end.code === status.OK) this.handler.closed('remote', end.details)
    else if (end.code === status.FAILED_PRECONDITION) this.handler.closed('refused', end.details)
    else this.handler.closed('broken', `${end.details} (${status[end.code]})`)
  }

  private tell(callback: () => void): void {
    if (!this.over) runOwn(callback)
  }
}

function target({ host, port }: Address): string {
  return `dns:${host.includes(':') ? `[${host}]` : host}:${port}`
}
