import { assert } from '@millrace/base'
import type { Accepted, Lane, PeerHandler, PeerStream, Refusal, Timer } from '@millrace/base'
import { MAX_FRAME_BYTES } from '@millrace/host'
import type { Life, Schedule } from '../seams.ts'
import type { Connection, ConnectionEnd } from './connection.ts'
import type { Listening } from './host.ts'
import type { Farewell } from './parcel.ts'
import type { Pipe } from './pipe.ts'

// As in production.
const HIGH_WATER_BYTES = 256 * 1024
const LOW_WATER_BYTES = 32 * 1024
const OPEN_TIMEOUT_US = 5_000_000
const LINGER_US = 1_000_000
const CANCELLED: Farewell = { why: 'broken', detail: 'the connection to the peer is gone' }

/** What both ends of a stream between nodes have. */
export interface PeerEndParts {
  readonly schedule: Schedule
  readonly connection: Connection
  readonly life: Life
  readonly out: Pipe
}

/** One end of a stream between nodes. */
abstract class PeerEnd implements PeerStream, ConnectionEnd {
  readonly life: Life
  readonly ready = true
  over = false
  protected handler: PeerHandler | null = null
  protected readonly schedule: Schedule
  protected readonly connection: Connection
  protected readonly out: Pipe
  private full = false

  constructor({ schedule, connection, life, out }: PeerEndParts) {
    this.schedule = schedule
    this.connection = connection
    this.life = life
    this.out = out
  }

  get queuedBytes(): number {
    return this.out.queuedBytes
  }

  send(frame: Uint8Array): boolean {
    assert(frame.length <= MAX_FRAME_BYTES, `a frame of ${frame.length} bytes is larger than ${MAX_FRAME_BYTES}`)
    if (this.over) return false
    this.out.send([frame])
    if (this.out.queuedBytes >= HIGH_WATER_BYTES) this.full = true
    return !this.full
  }

  sendParts(parts: readonly Uint8Array[]): boolean {
    return this.send(Buffer.concat(parts))
  }

  abstract close(reason: string): void
  abstract connected(): void
  abstract take(bytes: Uint8Array): void

  told({ why, detail }: Farewell): void {
    if (this.over) return
    this.end()
    this.out.silence()
    this.handler?.closed(why, detail)
  }

  sent(): void {
    if (!this.full || this.over || this.out.queuedBytes > LOW_WATER_BYTES) return
    this.full = false
    this.handler?.drained()
  }

  protected end(): void {
    this.over = true
    this.connection.over(this)
  }

  /** Tells the handler in a later turn what it decided itself. */
  protected closedHere(reason: string): void {
    this.schedule.post(1, this.life, () => this.handler?.closed('local', reason))
  }
}

/** The end that dialled. */
export class OpenerEnd extends PeerEnd {
  private opened = false
  private readonly timeout: Timer

  constructor(parts: PeerEndParts, hello: Uint8Array, handler: PeerHandler) {
    super(parts)
    this.handler = handler
    this.timeout = this.schedule.post(OPEN_TIMEOUT_US, this.life, () => this.giveUp())
    this.send(hello)
  }

  connected(): void {}

  take(bytes: Uint8Array): void {
    if (this.over) return
    if (this.opened) return this.handler?.frame(bytes)
    this.opened = true
    this.timeout.cancel()
    this.handler?.opened(bytes)
  }

  /** A stream that was open goes on until the acceptor has all of it, though not for long. */
  close(reason: string): void {
    if (this.over) return
    this.closedHere(reason)
    if (!this.opened) return this.cancel()
    this.out.sayFarewell({ why: 'remote', detail: 'the peer closed the stream' })
    this.schedule.post(LINGER_US, this.life, () => this.out.giveUp(CANCELLED))
    this.end()
  }

  protected override end(): void {
    this.timeout.cancel()
    super.end()
  }

  private giveUp(): void {
    this.cancel()
    this.handler?.closed('broken', `no answer within ${OPEN_TIMEOUT_US / 1000} ms`)
  }

  private cancel(): void {
    this.end()
    this.connection.abort(this)
  }
}

/** The end that was dialled. */
export class AcceptorEnd extends PeerEnd {
  private readonly listening: Listening
  private readonly accept: (hello: Uint8Array, lane: Lane, stream: PeerStream) => Accepted | Refusal
  /** What `accept` sent before its hello could go first. */
  private early: Uint8Array[] | null = []

  constructor(parts: PeerEndParts, listening: Listening, accept: AcceptorEnd['accept']) {
    super(parts)
    this.listening = listening
    this.accept = accept
  }

  connected(): void {}

  override get queuedBytes(): number {
    return (this.early ?? []).reduce((sum, { length }) => sum + length, this.out.queuedBytes)
  }

  override send(frame: Uint8Array): boolean {
    if (this.early === null || this.over) return super.send(frame)
    this.early.push(frame)
    return true
  }

  take(bytes: Uint8Array): void {
    if (this.over) return
    if (this.handler === null) this.greet(bytes)
    else this.handler.frame(bytes)
  }

  close(reason: string): void {
    if (this.over) return
    this.closedHere(reason)
    this.out.sayFarewell({ why: 'remote', detail: reason })
    this.end()
  }

  private greet(hello: Uint8Array): void {
    if (!this.listening.open) return this.connection.abort(this)
    const answer = this.accept(hello, this.connection.dial.lane, this)
    if ('refused' in answer) return this.refuse(answer.refused)
    this.handler = answer.handler
    if (this.over) return
    const early = this.early ?? []
    this.early = null
    this.out.send([answer.hello])
    for (const frame of early) this.send(frame)
  }

  private refuse(detail: string): void {
    if (this.over) return
    this.out.sayFarewell({ why: 'refused', detail })
    this.end()
  }
}
