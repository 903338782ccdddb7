import { SimClock } from '../kernel/clock.ts'
import { Draw } from '../run/draw.ts'
import type { Bench, Operation, Workload } from '../seams.ts'
import { type Crowd, SimClient } from '../workload/client.ts'
import { Elector } from '../workload/elector.ts'
import { drawRates, type WorkloadOptions } from '../workload/shape.ts'
import { type TopicOptions, UserClient } from './user-client.ts'

/** A cluster under faults, as a user's workload sees it. All times are virtual; every call tries again until it succeeds. */
export interface SimulatedCluster {
  createTopic(name: string, options?: Partial<TopicOptions>): Promise<void>
  /** Sends with acks=all. Resolves with the offset once it is acknowledged; the value may be in the log twice, as with any producer that repeats. */
  send(topic: string, partition: number, value: string): Promise<number>
  /** The values of a partition from an offset (0 unless given) up to the watermark. */
  read(topic: string, partition: number, from?: number): Promise<string[]>
  /** Virtual milliseconds. */
  sleep(ms: number): Promise<void>
  /** Resolves when the faults are over and everything that was broken is whole. */
  readonly healed: Promise<void>
}

/** Numbers of connections of one client; more than any has. */
const CONNECTIONS_OF_A_CLIENT = 100_000

/** What a user's workload needs of its run. */
export interface UserLoadParts {
  readonly bench: Bench
  readonly options: Pick<WorkloadOptions, 'bootstrap' | 'told'>
  readonly brokers: number
  readonly run: (cluster: SimulatedCluster) => Promise<void>
  readonly failed: (cause: unknown) => void
}

/** A user's function in the place of the simulator's own clients. What it sends is in the history, and is checked like theirs. */
export class UserWorkload implements Workload, Crowd, SimulatedCluster {
  readonly bench: Bench
  readonly bootstrap
  readonly epochMs = new SimClock({ nowUs: 0 }).wallMs()
  readonly rates
  readonly topics = []
  readonly quiet = false
  readonly history: Operation[] = []
  readonly healed: Promise<void>
  progress = 0
  private readonly parts: UserLoadParts
  private readonly client: UserClient
  private elections = 0
  private over = false
  private waiting: (() => void) | null = null
  private heal: () => void = () => undefined

  constructor(parts: UserLoadParts) {
    const { bench, options } = parts
    this.parts = parts
    this.bench = bench
    this.bootstrap = options.bootstrap
    const random = bench.random.fork('user')
    this.rates = { ...drawRates(new Draw(random.fork('rates'))), requestTimeoutUs: 3_000_000 }
    this.healed = new Promise((resolve) => (this.heal = resolve))
    this.client = new UserClient(new SimClient(this, { host: 'user', name: 'user', random, firstConnection: 0 }))
  }

  start(): void {
    this.parts.run(this).then(
      () => this.finish(),
      (cause: unknown) => {
        this.parts.failed(cause)
        this.finish()
      },
    )
  }

  quiesce(done: () => void): void {
    this.heal()
    if (this.over) done()
    else this.waiting = done
  }

  readAll(done: () => void): void {
    done()
  }

  lagging(): null {
    return null
  }

  elect(topic: string, partition: number): void {
    const name = `operator.${++this.elections}`
    const random = this.bench.random.fork(name)
    const firstConnection = this.elections * CONNECTIONS_OF_A_CLIENT
    const client = new SimClient(this, { host: 'operator', name, random, firstConnection })
    client.begin(new Elector(client, topic, partition))
  }

  begun(operation: Operation): void {
    this.history.push(operation)
  }

  ended(operation: Operation): void {
    this.progress++
    this.parts.options.told?.(operation)
  }

  createTopic(name: string, options: Partial<TopicOptions> = {}): Promise<void> {
    const { partitions = 1, replicas = Math.min(3, this.parts.brokers) } = options
    return this.client.createTopic(name, {
      partitions,
      replicas,
      minInSync: options.minInSync ?? Math.max(1, replicas - 1),
    })
  }

  send(topic: string, partition: number, value: string): Promise<number> {
    return this.client.send(topic, partition, value)
  }

  read(topic: string, partition: number, from = 0): Promise<string[]> {
    return this.client.read(topic, partition, from)
  }

  sleep(ms: number): Promise<void> {
    return this.client.sleep(ms)
  }

  private finish(): void {
    this.over = true
    this.waiting?.()
  }
}
