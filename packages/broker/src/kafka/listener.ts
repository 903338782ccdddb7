import { SteadyLog } from '@millrace/base'
import type { Address, ByteStream, Done, Listener, Timer, World } from '@millrace/base'
import type { BrokerContext, BrokerListenerConfig } from '../seams.ts'
import { Connection } from './connection.ts'
import type { ConnectionHost, ConnectionLimits } from './connection.ts'
import { Dispatch } from './dispatch.ts'
import { MemoryBudget } from './memory-budget.ts'
import { OutputBudget } from './output-budget.ts'
import { PartitionWatches } from './purgatory/partition-watches.ts'
import { TimingWheel } from './purgatory/timing-wheel.ts'
import type { Services } from './services.ts'
import { TopicCreation } from './topic-creation.ts'
import { TopicSettings } from './topic-settings.ts'

const MIB = 1024 * 1024
const SWEEP_US = 1_000_000
/** Requests held by all connections of a listener where `queued.max.request.bytes` says nothing, unless one may be larger. */
const BUDGET_BYTES = 256 * MIB
/** The watches are swept this much less often than the connections. */
const WATCH_SWEEP_TICKS = 10
/** Answers of all connections that are being read or written; beyond it fetches gather little. */
const OUTPUT_BYTES = 512 * MIB

/** The broker's door for Kafka clients: one listener of `listeners`. */
export interface KafkaListener {
  /** Binds; the value is the real address. Fails with `IoError` when the port is taken. */
  start(done: Done<Address>): void
  /** Accepts nothing more and ends all connections. Answers that are not written are lost, as with any broken connection. */
  stop(done: Done<void>): void
}

/**
 * Serves Kafka's protocol on one address, over the world's byte streams. Everything a handler needs is in `context`; nothing is served
 * from anywhere else, so a broker without its own metadata answers with errors that clients retry.
 */
export function createKafkaListener(context: BrokerContext, listenerConfig: BrokerListenerConfig): KafkaListener {
  return new KafkaDoor(context, listenerConfig)
}

class KafkaDoor implements KafkaListener, ConnectionHost {
  readonly world: World
  readonly limits: ConnectionLimits
  readonly budget: MemoryBudget
  readonly output = new OutputBudget(OUTPUT_BYTES)
  readonly log: SteadyLog
  private readonly config: BrokerListenerConfig
  private readonly services: Services
  private readonly dispatch: Dispatch
  private readonly connections = new Set<Connection>()
  private listener: Listener | null = null
  private sweeper: Timer | null = null
  private sweeps = 0
  private stopped = false

  constructor(context: BrokerContext, config: BrokerListenerConfig) {
    this.world = context.world
    this.config = config
    this.limits = limitsOf(context)
    this.log = new SteadyLog(context.world.log, context.world.clock)
    const settings = new TopicSettings(context)
    const budget = Number(settings.broker('queued.max.request.bytes'))
    this.budget = new MemoryBudget(budget > 0 ? budget : Math.max(BUDGET_BYTES, 2 * context.config.maxRequestBytes))
    this.services = {
      broker: context,
      listener: config,
      wheel: new TimingWheel(context.world.clock, context.world.timers),
      watches: new PartitionWatches(context.world.clock),
      settings,
      creation: new TopicCreation(context, settings),
      output: this.output,
    }
    this.dispatch = new Dispatch(this.services)
  }

  start(done: Done<Address>): void {
    this.world.streams.listen(
      this.config.bind,
      (stream) => this.connect(stream),
      (error, listener) => {
        if (error !== null) {
          done(error, this.config.bind)
          return
        }
        this.listener = listener
        if (this.stopped) listener.close(() => {})
        else this.scheduleSweep()
        done(null, listener.address)
      },
    )
  }

  stop(done: Done<void>): void {
    this.stopped = true
    this.sweeper?.cancel()
    this.services.wheel.stop()
    for (const connection of this.connections) connection.close()
    this.services.watches.stop()
    if (this.listener === null) this.world.timers.endOfTurn(() => done(null, undefined))
    else this.listener.close(done)
  }

  accept(connection: Connection, frame: Uint8Array): void {
    this.dispatch.accept(connection, frame)
  }

  closed(connection: Connection): void {
    this.connections.delete(connection)
  }

  private connect(stream: ByteStream): Connection {
    const connection = new Connection(stream, this)
    this.connections.add(connection)
    if (this.stopped) this.world.timers.endOfTurn(() => connection.close())
    return connection
  }

  private scheduleSweep(): void {
    this.sweeper = this.world.timers.after(SWEEP_US, () => this.sweep())
  }

  private sweep(): void {
    const now = this.world.clock.monotonicUs()
    for (const connection of this.connections) connection.sweep(now)
    this.services.broker.buffers.sweep()
    if (this.budget.lookStuck()) this.shed()
    if (this.sweeps++ % WATCH_SWEEP_TICKS === 0) this.services.watches.sweep(now)
    this.scheduleSweep()
  }

  /**
   * For a whole interval the memory was used up and nothing gave it back: it is held by requests that have not arrived whole and may never.
   * Those connections go, the largest first, until a quarter is free.
   */
  private shed(): void {
    const unserved = [...this.connections].filter(({ hasPending }) => !hasPending)
    unserved.sort((a, b) => b.heldBytes - a.heldBytes)
    for (const connection of unserved) {
      if (this.budget.used <= (this.budget.limit / 4) * 3) return
      connection.refuse(
        'memory',
        'requests that clients began to send and did not finish use up the memory for requests',
      )
    }
  }
}

function limitsOf({ config }: BrokerContext): ConnectionLimits {
  return {
    maxRequestBytes: config.maxRequestBytes,
    maxPipelined: 64,
    maxPipelinedBytes: 16 * MIB,
    maxUnwrittenBytes: MIB,
    headerDeadlineMs: 10_000,
    idleMs: config.idleConnectionMs,
  }
}
