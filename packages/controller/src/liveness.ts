import type { Address, Timer, World } from '@millrace/base'
import type { BrokerImage, ClusterImage } from '@millrace/metadata'

export interface LivenessConfig {
  readonly sessionTimeoutMs: number
  /** In which a broker whose stream broke may come back before it is asked for again. */
  readonly graceMs: number
  /** In which a new controller leaves brokers the time to open their streams. */
  readonly takeoverMs: number
}

/** What the judge asks and orders. */
export interface Jurisdiction {
  /** The state that decisions are made from. */
  readonly image: ClusterImage
  /** This incarnation is gone. */
  fence(brokerId: number, brokerEpoch: number, reason: string): void
  /** This incarnation said nothing for a session: its stream is worth nothing. */
  hangUp(brokerId: number, reason: string): void
}

/** One incarnation of a broker, as far as this controller hears of it. */
interface Watched {
  readonly incarnationId: string
  connected: boolean
  silentUs: number
  /** How long it has had no stream and answered no dial. */
  lostUs: number
  probing: boolean
  grace: Timer | null
}

const TICKS_PER_SESSION = 18
/** A node whose process, container or machine is gone answers no dial for so long; one that only sleeps still does. */
const LOST_US = 2_500_000
/** Input that came in while this node was held up is processed in this time. */
const LAST_WORD_US = 10_000
const PEER = 'PEER'

/**
 * Who is alive. A broker is fenced when nothing listens at its address any more (its process is gone), when it has no stream and
 * answers no dial for a while (its container or machine is gone: nobody is left to refuse), or when it was silent for a session. A
 * broken stream alone proves nothing: the same incarnation may come back, and is asked for meanwhile. Fencing is always safe.
 *
 * Time is counted in ticks: one that comes late, because this node slept, counts once, and whoever seems silent gets a last chance for
 * what it sent meanwhile to be processed.
 */
export class Liveness {
  private readonly world: World
  private readonly config: LivenessConfig
  private readonly court: Jurisdiction
  private readonly brokers = new Map<number, Watched>()
  private readonly tickUs: number
  private tick: Timer | null = null
  private takeover: Timer | null = null
  private over = false

  constructor(world: World, config: LivenessConfig, court: Jurisdiction) {
    this.world = world
    this.config = config
    this.court = court
    this.tickUs = (config.sessionTimeoutMs * 1000) / TICKS_PER_SESSION
  }

  /** Takes over from `previousLeader`, which may be a broker, too, and gone. */
  start(previousLeader: number | null): void {
    for (const broker of this.court.image.brokers.values())
      if (!broker.fenced) this.brokers.set(broker.id, watched(broker.incarnationId, false))
    this.scheduleTick()
    this.takeover = this.world.timers.after(this.config.takeoverMs * 1000, () => {
      this.takeover = null
      for (const id of this.brokers.keys()) this.askFor(id)
    })
    if (previousLeader !== null && this.brokers.has(previousLeader)) this.askFor(previousLeader)
  }

  stop(): void {
    this.over = true
    this.tick?.cancel()
    this.takeover?.cancel()
    for (const broker of this.brokers.values()) broker.grace?.cancel()
    this.brokers.clear()
  }

  /** An incarnation has a stream, from its registration on. */
  connected(brokerId: number, incarnationId: string): void {
    const old = this.brokers.get(brokerId)
    old?.grace?.cancel()
    if (old?.incarnationId === incarnationId) {
      old.connected = true
      old.silentUs = 0
      old.grace = null
    } else this.brokers.set(brokerId, watched(incarnationId, true))
  }

  heard(brokerId: number): void {
    const broker = this.brokers.get(brokerId)
    if (broker !== undefined) broker.silentUs = 0
  }

  /** The incarnation's stream ended and no other one took its place. */
  broke(brokerId: number, incarnationId: string): void {
    const broker = this.brokers.get(brokerId)
    if (broker?.incarnationId !== incarnationId) return
    broker.connected = false
    this.askFor(brokerId)
    broker.grace?.cancel()
    broker.grace = this.world.timers.after(this.config.graceMs * 1000, () => {
      broker.grace = null
      this.askFor(brokerId)
    })
  }

  /**
   * Whether a new incarnation must wait because the registered one may be alive. Without a stream it is only taken for dead when it was
   * at the very address that the new one listens at.
   */
  mayBeAlive(registered: BrokerImage, newAddress: Address | null): boolean {
    const broker = this.brokers.get(registered.id)
    if (broker?.incarnationId !== registered.incarnationId) return false
    if (broker.connected) return true
    const old = peerAddress(registered)
    const same = old !== null && newAddress !== null && old.host === newAddress.host && old.port === newAddress.port
    return !same && !registered.fenced
  }

  private scheduleTick(): void {
    this.tick = this.world.timers.after(this.tickUs, () => {
      this.scheduleTick()
      this.count()
    })
  }

  private count(): void {
    const sessionUs = this.config.sessionTimeoutMs * 1000
    let silent = false
    for (const [id, broker] of this.brokers) {
      broker.silentUs += this.tickUs
      broker.lostUs = broker.connected ? 0 : broker.lostUs + this.tickUs
      if (broker.silentUs >= sessionUs) silent = true
      else if (!broker.connected && broker.grace === null && this.takeover === null) this.askFor(id)
    }
    if (silent) this.world.timers.after(LAST_WORD_US, () => this.judge(sessionUs))
  }

  private judge(sessionUs: number): void {
    if (this.over) return
    for (const [id, broker] of this.brokers) {
      if (broker.silentUs < sessionUs) continue
      this.brokers.delete(id)
      broker.grace?.cancel()
      this.end(id, broker, `it said nothing for ${this.config.sessionTimeoutMs} ms`)
    }
  }

  /** Dials an incarnation that has no stream; one whose address refuses is gone. */
  private askFor(id: number): void {
    const broker = this.brokers.get(id)
    const address = peerAddress(this.court.image.brokers.get(id))
    if (broker === undefined || broker.connected || broker.probing || address === null) return
    broker.probing = true
    this.world.peers.probe(address, (seen) => {
      broker.probing = false
      if (this.over || broker.connected || this.brokers.get(id) !== broker) return
      if (seen === 'alive') broker.lostUs = 0
      const gone = seen === 'refused' || (seen === 'unknown' && broker.lostUs >= LOST_US)
      if (!gone) return
      this.brokers.delete(id)
      broker.grace?.cancel()
      const how = seen === 'refused' ? 'nothing listens' : 'nothing answers'
      this.end(id, broker, `${how} at ${address.host}:${address.port}`)
    })
  }

  private end(id: number, broker: Watched, reason: string): void {
    const registered = this.court.image.brokers.get(id)
    if (registered?.incarnationId === broker.incarnationId && !registered.fenced)
      this.court.fence(id, registered.epoch, reason)
    if (broker.connected) this.court.hangUp(id, reason)
  }
}

function watched(incarnationId: string, connected: boolean): Watched {
  return { incarnationId, connected, silentUs: 0, lostUs: 0, probing: false, grace: null }
}

/** Where other nodes reach a broker. */
export function peerAddress(
  broker:
    | { readonly endpoints: readonly { readonly name: string; readonly host: string; readonly port: number }[] }
    | undefined,
): Address | null {
  return broker?.endpoints.find(({ name }) => name === PEER) ?? null
}
