import type { Address, Random } from '@millrace/base'
import { Draw } from '../run/draw.ts'
import type { Bench, Life, Operation, Schedule } from '../seams.ts'
import { ClusterView } from './cluster-view.ts'
import { Connections } from './connections.ts'
import type { PlannedTopic, WorkloadRates } from './shape.ts'
import type { WireConnection } from './wire.ts'

/** What all clients of a workload share. */
export interface Crowd {
  readonly bench: Bench
  readonly bootstrap: readonly Address[]
  readonly epochMs: number
  readonly rates: WorkloadRates
  readonly topics: PlannedTopic[]
  /** Nobody begins anything new. */
  readonly quiet: boolean
  /** Adds an operation to the history. */
  begun(operation: Operation): void
  /** An operation has ended, with its outcome set; one that was not begun is added now. */
  ended(operation: Operation): void
}

/** What a client does. */
export interface Role {
  /** Called when a connection came up, when the view of the cluster changed, and when a pause is over. */
  wake(): void
  /** Its life is over: what is under way stays so for ever. */
  died?(): void
}

export interface ClientOptions {
  readonly host: string
  /** Unique in the run; its values begin with it. */
  readonly name: string
  readonly random: Random
  /** Its connections are numbered from here on. */
  readonly firstConnection: number
}

/** One process of a client: its life, its connections, what it knows of the cluster, and one role. */
export class SimClient {
  readonly name: string
  readonly life: Life
  readonly schedule: Schedule
  readonly draw: Draw
  readonly crowd: Crowd
  readonly connections: Connections
  readonly view: ClusterView
  private role: Role | null = null
  private readonly dial: () => Connections

  constructor(crowd: Crowd, options: ClientOptions) {
    const { schedule, network } = crowd.bench
    this.crowd = crowd
    this.name = options.name
    this.schedule = schedule
    this.draw = new Draw(options.random)
    this.life = schedule.newLife(options.name)
    const parts = {
      schedule,
      streams: network.streams(options.host, this.life),
      life: this.life,
      draw: new Draw(options.random.fork('wire')),
      clientId: options.name,
      requestTimeoutUs: crowd.rates.requestTimeoutUs,
    }
    const wake = (): void => this.wake()
    this.connections = new Connections(parts, options.firstConnection, { wake, lost: () => this.view.doubt() })
    const others = options.firstConnection + OTHER_CONNECTIONS
    this.dial = () => new Connections(parts, others, { wake, lost: wake })
    this.view = new ClusterView(parts, this.connections, crowd.bootstrap, wake)
  }

  get nowUs(): number {
    return this.schedule.nowUs
  }

  get nowMs(): number {
    return this.crowd.epochMs + Math.floor(this.schedule.nowUs / 1000)
  }

  /** Connections beside the others, for requests that may wait long: whoever is behind them on a connection waits too. To be asked for once. */
  newConnections(): Connections {
    return this.dial()
  }

  /** The connection to this broker when it is known and can take a request now; else null. */
  connectionTo(brokerId: number): WireConnection | null {
    const address = this.view.addressOf(brokerId)
    return address === null ? null : this.connections.to(address)
  }

  begin(role: Role): void {
    this.role = role
    this.life.atEnd(() => role.died?.())
    this.after(0, () => this.refreshRegularly())
  }

  after(delayUs: number, run: () => void): void {
    this.schedule.post(delayUs, this.life, run)
  }

  private wake(): void {
    if (this.life.over) return
    this.view.refresh()
    this.role?.wake()
  }

  private refreshRegularly(): void {
    this.view.refresh()
    this.after(REFRESH_US, () => this.refreshRegularly())
  }
}

/** How often a client thinks of looking at the metadata; the view itself decides whether it is time. */
const REFRESH_US = 250_000
/** The numbers of a client's connections of the other kind begin so much higher. */
const OTHER_CONNECTIONS = 50_000
