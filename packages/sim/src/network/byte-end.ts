import type { ByteHandler, ByteStream } from '@millrace/base'
import type { Life, Schedule } from '../seams.ts'
import type { Connection, ConnectionEnd } from './connection.ts'
import type { Listening } from './host.ts'
import type { Farewell } from './parcel.ts'
import type { Pipe } from './pipe.ts'

// As in production.
const HIGH_WATER_BYTES = 1024 * 1024
const LINGER_US = 2_000_000
const ENDED: Farewell = { why: 'remote', detail: 'the other side closed the connection' }
const CUT_SHORT: Farewell = { why: 'broken', detail: 'the connection is gone (ECONNRESET)' }

/** What both ends of a byte stream have. */
export interface ByteEndParts {
  readonly schedule: Schedule
  readonly connection: Connection
  readonly life: Life
  readonly out: Pipe
  readonly remote: string
}

/** One end of a byte stream. */
abstract class ByteEnd implements ByteStream, ConnectionEnd {
  readonly life: Life
  readonly remote: string
  over = false
  protected isOpen = false
  protected handler: ByteHandler | null = null
  protected readonly schedule: Schedule
  protected readonly connection: Connection
  protected readonly out: Pipe
  private paused = false
  private full = false

  constructor({ schedule, connection, life, out, remote }: ByteEndParts) {
    this.schedule = schedule
    this.connection = connection
    this.life = life
    this.out = out
    this.remote = remote
  }

  /** Whoever closed takes what still comes, and drops it. */
  get ready(): boolean {
    return this.over || !this.paused
  }

  write(parts: readonly Uint8Array[], written?: () => void): boolean {
    if (!this.over && parts.some(({ length }) => length > 0)) this.out.send(parts, written)
    else if (written !== undefined) this.schedule.post(1, this.life, written)
    if (this.over) return false
    if (this.out.queuedBytes > HIGH_WATER_BYTES) this.full = true
    return !this.full
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.connection.ready(this)
  }

  close(): void {
    this.finish('closed here')
  }

  abstract connected(): void
  abstract take(bytes: Uint8Array): void

  told({ why, detail }: Farewell): void {
    if (this.over) return
    if (why === 'remote') return this.finish(detail)
    this.end()
    this.out.silence()
    this.handler?.closed(detail)
  }

  sent(): void {
    if (!this.full || this.over || this.out.queuedBytes > 0) return
    this.full = false
    this.handler?.drained()
  }

  /** What was written before is sent, though not for long; what still comes is dropped. */
  protected finish(why: string): void {
    if (this.over) return
    this.schedule.post(1, this.life, () => this.handler?.closed(why))
    this.end()
    if (!this.isOpen) return this.connection.abort(this)
    this.out.sayFarewell(ENDED)
    this.schedule.post(LINGER_US, this.life, () => this.out.giveUp(CUT_SHORT))
  }

  protected end(): void {
    this.over = true
    this.connection.over(this)
  }
}

/** The end that dialled. */
export class ConnectorEnd extends ByteEnd {
  constructor(parts: ByteEndParts, handler: ByteHandler) {
    super(parts)
    this.handler = handler
    // The last packet of the handshake comes before all that is written.
    this.out.send([])
  }

  connected(): void {
    this.isOpen = true
    this.handler?.opened()
  }

  take(bytes: Uint8Array): void {
    if (!this.over) this.handler?.data(bytes)
  }
}

/** The end that was dialled. */
export class ListenerEnd extends ByteEnd {
  private readonly listening: Listening
  private readonly accept: (stream: ByteStream) => ByteHandler

  constructor(parts: ByteEndParts, listening: Listening, accept: ListenerEnd['accept']) {
    super(parts)
    this.listening = listening
    this.accept = accept
  }

  connected(): void {}

  /** Between the accept and `opened` nothing is taken. */
  override get ready(): boolean {
    return super.ready && (this.isOpen || this.handler === null)
  }

  take(bytes: Uint8Array): void {
    if (this.over) return
    if (this.handler !== null) return this.handler.data(bytes)
    if (!this.listening.open) return this.connection.abort(this)
    this.handler = this.accept(this)
    this.schedule.post(1, this.life, () => this.opened())
  }

  private opened(): void {
    if (this.over) return
    this.isOpen = true
    this.handler?.opened()
    this.connection.ready(this)
  }
}
