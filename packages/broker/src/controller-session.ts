import {
  type Address,
  ErrorCode,
  type Logger,
  type PeerHandler,
  type PeerStream,
  type Timer,
  type World,
} from '@millrace/base'
import { BrokerFrame, ControllerFrame, Hello, type Heartbeat, type Register, RpcDecodeError } from '@millrace/rpc'
import { Backoff } from './backoff.ts'

type FrameOf<K extends ControllerFrame['kind']> = Extract<ControllerFrame, { kind: K }>

export interface ControllerSessionConfig {
  readonly nodeId: number
  readonly controllers: readonly { readonly id: number; readonly address: Address }[]
  readonly heartbeatMs: number
  readonly sessionTimeoutMs: number
}

/** What the session needs of its broker, and tells it. */
export interface ControllerSessionHost {
  hello(): Hello
  register(): Register
  heartbeat(): Heartbeat
  /** Milliseconds until the next one. */
  heartbeatMs(): number
  /** Accepted under this epoch. Returns why this cluster's controller cannot be ours, or null. */
  registered(registered: FrameOf<'registered'>): string | null
  registrationRefused(refused: FrameOf<'registrationRefused'>): void
  /** From now on frames can be sent. */
  active(): void
  /** What was sent and not answered is lost. */
  lost(): void
  /** A round trip that began after the last sleep confirmed the broker epoch. */
  confirmed(): void
  mayShutDown(): void
  metadata(frame: FrameOf<'records' | 'snapshot'>): void
  alterReply(frame: FrameOf<'alterReply'>): void
  forwardReply(frame: FrameOf<'forwardReply'>): void
  producerIds(frame: FrameOf<'producerIds'>): void
}

type Phase = 'idle' | 'registering' | 'active' | 'ended'

/** How long a controller may take to answer the hello before the next one is tried; doubled while none does. */
const HELLO_TIMEOUT_US = 1_000_000
const LONGEST_PATIENCE_US = 8_000_000
const REGISTER_TIMEOUT_US = 5_000_000

/**
 * The stream to the active controller. It registers first, then heartbeats; it follows hints to the highest term, and reconnects by a
 * timer with backoff. What is sent on one stream and not answered there is lost: those who asked ask again.
 */
export class ControllerSession {
  private readonly world: World
  private readonly config: ControllerSessionConfig
  private readonly host: ControllerSessionHost
  private readonly log: Logger
  private readonly backoff: Backoff
  private phase: Phase = 'idle'
  private stream: PeerStream | null = null
  private connection = 0
  private target = -1
  private next = 0
  private highestTerm = -1
  /** Hints followed without a pause; two nodes may each take the other for the leader. */
  private hops = 0
  /** Dials since the last registration that nobody answered. */
  private failures = 0
  private retryTimer: Timer | null = null
  private registerTimer: Timer | null = null
  private heartbeatTimer: Timer | null = null
  private heartbeatWanted = false
  private sent = 0
  private answered = 0
  /** Heartbeats sent since the last frame of the controller. */
  private unheard = 0
  /** This node slept; the heartbeat whose answer ends that, 0 before one was sent. */
  private sleepPending = false
  private coveringHeartbeat = 0

  constructor(world: World, config: ControllerSessionConfig, host: ControllerSessionHost) {
    this.world = world
    this.config = config
    this.host = host
    this.log = world.log
    this.backoff = new Backoff(world.random)
  }

  /** The active controller's node id, or -1. */
  get controllerId(): number {
    return this.phase === 'active' ? this.target : -1
  }

  get active(): boolean {
    return this.phase === 'active'
  }

  start(): void {
    // Each broker begins with another controller, so that they do not all dial the same one.
    this.next = this.config.nodeId % Math.max(1, this.config.controllers.length)
    const own = this.config.controllers.findIndex(({ id }) => id === this.config.nodeId)
    if (own >= 0) this.next = own
    this.dial(this.nextTarget())
  }

  end(reason: string): void {
    if (this.phase === 'ended') return
    const stream = this.stream
    this.drop()
    this.phase = 'ended'
    this.retryTimer?.cancel()
    stream?.close(reason)
  }

  /** False while there is no active session. */
  send(frame: BrokerFrame): boolean {
    if (this.phase !== 'active' || this.stream === null) return false
    this.stream.send(BrokerFrame.encode(frame))
    return true
  }

  /** Something that the controller should know of changed: the next heartbeat goes out with this turn. */
  heartbeatSoon(): void {
    if (this.heartbeatWanted || this.phase !== 'active') return
    this.heartbeatWanted = true
    this.world.timers.endOfTurn(() => {
      if (this.heartbeatWanted) this.sendHeartbeat()
    })
  }

  /** Nothing counts that the controller said before this moment. */
  slept(): void {
    this.sleepPending = true
    this.coveringHeartbeat = 0
    this.heartbeatSoon()
  }

  /** Registers anew: the controller does not know the epoch any more, or another snapshot is needed. */
  restart(reason: string): void {
    if (this.phase === 'ended') return
    this.hangUp(reason)
    this.retry()
  }

  private dial(controller: { readonly id: number; readonly address: Address }): void {
    if (this.phase !== 'idle') return
    this.retryTimer?.cancel()
    this.retryTimer = null
    this.phase = 'registering'
    this.target = controller.id
    const connection = ++this.connection
    this.stream = this.world.peers.open(
      controller.address,
      'control',
      Hello.encode(this.host.hello()),
      this.handler(connection),
    )
    const covers = this.sleepPending
    this.stream.send(BrokerFrame.encode({ kind: 'register', ...this.host.register() }))
    this.coveringHeartbeat = covers ? -1 : 0
    const patience = Math.min(LONGEST_PATIENCE_US, HELLO_TIMEOUT_US * 2 ** Math.min(8, this.failures))
    this.waitFor(patience)
  }

  private waitFor(patienceUs: number): void {
    this.registerTimer?.cancel()
    this.registerTimer = this.world.timers.after(patienceUs, () => {
      this.log.warn({ controller: this.target }, 'controller does not answer')
      this.failures++
      this.hangUp('no answer')
      this.retry()
    })
  }

  private handler(connection: number): PeerHandler {
    const current = (): boolean => connection === this.connection && this.stream !== null
    return {
      // Somebody is there: a registration may take as long as a commit does.
      opened: () => void (current() && this.phase === 'registering' && this.waitFor(REGISTER_TIMEOUT_US)),
      frame: (bytes) => void (current() && this.received(bytes)),
      drained: () => {},
      closed: (why, detail) => {
        if (!current()) return
        const level = this.phase === 'active' ? 'warn' : 'debug'
        this.log[level]({ controller: this.target, why, detail }, 'controller stream closed')
        this.drop()
        this.retry()
      },
    }
  }

  private received(bytes: Uint8Array): void {
    let frame: ControllerFrame
    try {
      frame = ControllerFrame.decode(bytes)
    } catch (error) {
      if (!(error instanceof RpcDecodeError)) throw error
      this.log.error({ controller: this.target, error }, 'controller sent a frame that is none')
      return this.restart('protocol violation')
    }
    this.unheard = 0
    if (frame.kind === 'notLeader') this.notLeader(frame)
    else if (frame.kind === 'registered') this.registered(frame)
    else if (frame.kind === 'registrationRefused') this.refused(frame)
    else if (this.phase === 'active') this.whileActive(frame)
  }

  private whileActive(
    frame: Exclude<ControllerFrame, FrameOf<'notLeader' | 'registered' | 'registrationRefused'>>,
  ): void {
    switch (frame.kind) {
      case 'heartbeatReply':
        return this.heartbeatReply(frame)
      case 'records':
      case 'snapshot':
        return this.host.metadata(frame)
      case 'alterReply':
        return this.host.alterReply(frame)
      case 'forwardReply':
        return this.host.forwardReply(frame)
      case 'producerIds':
        return this.host.producerIds(frame)
    }
  }

  private notLeader({ leaderId, term }: FrameOf<'notLeader'>): void {
    const newer = term > this.highestTerm
    this.highestTerm = Math.max(this.highestTerm, term)
    this.hangUp('not the leader')
    const hinted = this.config.controllers.find(({ id }) => id === leaderId)
    if (hinted === undefined) {
      // The quorum is electing: that takes less than the longer pauses.
      this.backoff.reset()
      return this.retry()
    }
    if (term < this.highestTerm) return this.retry()
    this.hops = newer ? 0 : this.hops + 1
    if (this.hops > this.config.controllers.length) return this.retry()
    this.dial(hinted)
  }

  private registered(frame: FrameOf<'registered'>): void {
    if (this.phase !== 'registering') return
    if (frame.term < this.highestTerm) {
      this.hangUp('an old term')
      return this.retry()
    }
    this.highestTerm = frame.term
    const problem = this.host.registered(frame)
    if (problem !== null) {
      this.hangUp(problem)
      return this.retry()
    }
    this.registerTimer?.cancel()
    this.phase = 'active'
    this.hops = 0
    this.failures = 0
    this.log.info(
      { controller: this.target, term: frame.term, brokerEpoch: frame.brokerEpoch },
      'registered with controller',
    )
    if (this.sleepPending && this.coveringHeartbeat === -1) this.confirmed()
    this.host.active()
    this.sendHeartbeat()
  }

  private refused(frame: FrameOf<'registrationRefused'>): void {
    this.hangUp('registration refused')
    this.retry()
    this.host.registrationRefused(frame)
  }

  private heartbeatReply(frame: FrameOf<'heartbeatReply'>): void {
    this.answered++
    if (frame.error !== ErrorCode.NONE) {
      this.log.warn(
        { controller: this.target, error: frame.error },
        'controller does not accept the heartbeat, registering anew',
      )
      return this.restart('heartbeat refused')
    }
    // Not at the registration already: what follows it may not be readable.
    this.backoff.reset()
    if (this.sleepPending && this.coveringHeartbeat > 0 && this.answered >= this.coveringHeartbeat) this.confirmed()
    if (frame.mayShutDown) this.host.mayShutDown()
  }

  private confirmed(): void {
    this.sleepPending = false
    this.coveringHeartbeat = 0
    this.host.confirmed()
  }

  private sendHeartbeat(): void {
    this.heartbeatWanted = false
    if (this.phase !== 'active') return
    this.heartbeatTimer?.cancel()
    this.heartbeatTimer = this.world.timers.after(this.host.heartbeatMs() * 1000, () => this.heartbeatDue())
    this.sent++
    if (this.sleepPending && this.coveringHeartbeat <= 0) this.coveringHeartbeat = this.sent
    this.send({ kind: 'heartbeat', ...this.host.heartbeat() })
  }

  /** A silent controller is left before it would fence this broker. Counted in heartbeats, so that a late timer counts as one. */
  private heartbeatDue(): void {
    this.unheard++
    const limit = Math.max(1, Math.round(this.config.sessionTimeoutMs / 4 / this.config.heartbeatMs))
    if (this.unheard <= limit) return this.sendHeartbeat()
    this.log.warn({ controller: this.target, heartbeats: this.unheard }, 'controller is silent')
    this.restart('silent')
  }

  private hangUp(reason: string): void {
    const stream = this.stream
    this.drop()
    stream?.close(reason)
  }

  /** The stream is gone. */
  private drop(): void {
    const wasActive = this.phase === 'active'
    if (this.phase !== 'ended') this.phase = 'idle'
    this.stream = null
    this.registerTimer?.cancel()
    this.heartbeatTimer?.cancel()
    this.heartbeatWanted = false
    this.sent = 0
    this.answered = 0
    this.unheard = 0
    this.coveringHeartbeat = 0
    if (wasActive) this.host.lost()
  }

  private retry(): void {
    if (this.phase !== 'idle' || this.retryTimer !== null) return
    this.retryTimer = this.world.timers.after(this.backoff.nextUs(), () => {
      this.retryTimer = null
      this.dial(this.nextTarget())
    })
  }

  private nextTarget(): { readonly id: number; readonly address: Address } {
    const { controllers } = this.config
    const target = controllers[this.next % controllers.length] as { readonly id: number; readonly address: Address }
    this.next = (this.next + 1) % controllers.length
    return target
  }
}
