import { ErrorCode } from '@millrace/base'
import type { PeerHandler, PeerStream, World } from '@millrace/base'
import { BrokerFrame, ControllerFrame, RpcDecodeError } from '@millrace/rpc'
import type { Hello, Register } from '@millrace/rpc'
import type { Committed } from './committed.ts'
import { Feed } from './feed.ts'

type Frame<K extends BrokerFrame['kind']> = Extract<BrokerFrame, { readonly kind: K }>

/** What a session asks of the active controller. */
export interface Office {
  register(session: BrokerSession, frame: Register): void
  heartbeat(session: BrokerSession, frame: Frame<'heartbeat'>): void
  alterPartitions(session: BrokerSession, frame: Frame<'alterPartitions'>): void
  forward(session: BrokerSession, frame: Frame<'forward'>): void
  quarantined(session: BrokerSession, frame: Frame<'quarantined'>): void
  allocateProducerIds(session: BrokerSession, frame: Frame<'allocateProducerIds'>): void
  /** Something came in; the broker is alive. */
  heard(session: BrokerSession): void
  ended(session: BrokerSession): void
}

/** One stream of one incarnation of a broker: its frames in, answers and metadata out. It decides nothing. */
export class BrokerSession implements PeerHandler {
  readonly brokerId: number
  readonly incarnationId: string
  readonly feed: Feed
  /** Set once the registration is committed. */
  brokerEpoch: number | null = null
  /** The entry that put this broker on its way out; it may leave once the others were told. */
  leavingSince: number | null = null
  readonly stream: PeerStream
  private readonly office: Office
  private readonly log: World['log']
  private registering = false
  private open = true

  constructor(hello: Hello, stream: PeerStream, parts: { office: Office; committed: Committed; world: World }) {
    this.brokerId = hello.nodeId
    this.incarnationId = hello.incarnationId
    this.stream = stream
    this.office = parts.office
    this.log = parts.world.log.child({ broker: hello.nodeId })
    this.feed = new Feed(stream, parts.committed, parts.world.timers)
  }

  opened(): void {
    // Only the opener of a stream is told.
  }

  frame(bytes: Uint8Array): void {
    if (!this.open) return
    let frame: BrokerFrame
    try {
      frame = BrokerFrame.decode(bytes)
    } catch (error) {
      if (!(error instanceof RpcDecodeError)) throw error
      this.refuse(`a frame that is none: ${error.message}`)
      return
    }
    this.office.heard(this)
    this.dispatch(frame)
  }

  drained(): void {
    if (this.open) this.feed.pump()
  }

  closed(why: string, detail: string): void {
    const told = this.open
    this.shut()
    this.log.info({ why, detail }, 'broker stream closed')
    if (told) this.office.ended(this)
  }

  send(frame: ControllerFrame): void {
    if (this.open) this.stream.send(ControllerFrame.encode(frame))
  }

  /** Ends the stream from this side; `ended` is not told. */
  close(reason: string): void {
    if (!this.open) return
    this.shut()
    this.stream.close(reason)
  }

  get isOpen(): boolean {
    return this.open
  }

  private dispatch(frame: BrokerFrame): void {
    if (frame.kind === 'register') {
      if (this.registering) return this.refuse('a second registration on one stream')
      if (frame.brokerId !== this.brokerId || frame.incarnationId !== this.incarnationId)
        return this.refuse('a registration of somebody else than the hello says')
      this.registering = true
      return this.office.register(this, frame)
    }
    if (this.brokerEpoch === null) return this.refuse(`${frame.kind} before the registration was answered`)
    switch (frame.kind) {
      case 'heartbeat':
        return this.office.heartbeat(this, frame)
      case 'alterPartitions':
        return this.office.alterPartitions(this, frame)
      case 'forward':
        return this.office.forward(this, frame)
      case 'quarantined':
        return this.office.quarantined(this, frame)
      case 'allocateProducerIds':
        return this.office.allocateProducerIds(this, frame)
    }
  }

  private refuse(reason: string): void {
    this.log.warn({ reason }, 'broker stream refused')
    this.close(reason)
    this.office.ended(this)
  }

  private shut(): void {
    this.open = false
    this.feed.stop()
  }
}

/** What a registration that cannot be is answered with; the broker tries again when it may change. */
export function refusal(error: ErrorCode, message: string | null): ControllerFrame {
  return {
    kind: 'registrationRefused',
    error,
    message: message ?? '',
    retriable: error === ErrorCode.DUPLICATE_BROKER_REGISTRATION || error === ErrorCode.NOT_CONTROLLER,
  }
}
