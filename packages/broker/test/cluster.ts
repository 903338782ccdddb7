import { type Clock, type Disk, ErrorCode, type IoError, randomUuid, type World } from '@millrace/base'
import { DirectNetwork, MemoryDisk, MemoryLogger, memoryWorld, SeededRandom, SystemClock } from '@millrace/host'
import { type BatchOptions, encodeBatch, readRecords, splitBatches } from '@millrace/records'
import { Hello } from '@millrace/rpc'
import type { LogSlice } from '@millrace/storage'
import { type Broker, type BrokerConfig, createBroker, type Replica } from '../src/index.ts'
import { FakeController } from './fake-controller.ts'
import { type Faults, Life, mortalDisk, mortalTimers } from './mortal.ts'

export const SETTINGS = {
  heartbeatMs: 40,
  sessionTimeoutMs: 2_000,
  replicaLagTimeMaxMs: 1_000,
  controlledShutdownTimeoutMs: 1_500,
}

/** The machine's clock, which a test may set ahead: what a process sees that was paused. */
export class JumpingClock implements Clock {
  private readonly inner = new SystemClock()
  private aheadUs = 0

  monotonicUs(): number {
    return this.inner.monotonicUs() + this.aheadUs
  }

  wallMs(): number {
    return this.inner.wallMs() + Math.floor(this.aheadUs / 1000)
  }

  jump(ms: number): void {
    this.aheadUs += ms * 1000
  }
}

export interface Produced {
  readonly error: ErrorCode
  readonly baseOffset: number
  readonly logStart: number
  readonly logAppendTimeMs: number
}

/** One broker of a test, over all its incarnations. */
export class TestBroker {
  readonly id: number
  readonly name: string
  readonly clock = new JumpingClock()
  disk: Disk
  directoryId: string
  log = new MemoryLogger()
  faults: Faults = { append: null, under: '/', held: null, mkdir: null }
  broker: Broker | null = null
  config: BrokerConfig | null = null
  world: World | null = null
  fatal: string | null = null
  private life = new Life()
  private readonly cluster: Cluster

  constructor(cluster: Cluster, id: number) {
    this.cluster = cluster
    this.id = id
    this.name = `b${id}`
    this.disk = new MemoryDisk({ clock: this.clock })
    this.directoryId = randomUuid(cluster.random)
  }

  get running(): Broker {
    if (this.broker === null) throw new Error(`${this.name} does not run`)
    return this.broker
  }

  /** Starts an incarnation; resolves when it serves. */
  start(change: Partial<BrokerConfig> = {}): Promise<void> {
    const { cluster } = this
    this.life = new Life()
    this.faults = { append: null, under: '/', held: null, mkdir: null }
    this.log = new MemoryLogger()
    const { life } = this
    const inner = memoryWorld({
      name: this.name,
      seed: `${cluster.seed}/${cluster.incarnations++}`,
      network: cluster.network,
      disk: this.disk,
      log: this.log,
      clock: this.clock,
      fatal: (code) => {
        this.fatal = code
        this.kill()
      },
    })
    const world: World = {
      ...inner,
      timers: mortalTimers(inner.timers, life),
      disk: mortalDisk(this.disk, life, this.faults),
    }
    this.world = world
    this.config = { ...this.configOf(world), ...change }
    const broker = createBroker(world, this.config)
    this.broker = broker
    return new Promise((resolve, reject) => {
      world.peers.listen(
        { host: this.name, port: 1 },
        (bytes, lane, stream) => broker.accept(Hello.decode(bytes), lane, stream),
        () => broker.start((error) => (error === null ? resolve() : reject(error))),
      )
    })
  }

  /** As SIGKILL: nothing is written or said any more. */
  kill(): void {
    this.life.alive = false
    this.cluster.network.kill(this.name)
    this.broker = null
  }

  stop(): Promise<void> {
    const { running } = this
    return new Promise((resolve, reject) => {
      running.stop((error: IoError | null) => {
        this.kill()
        if (error === null) resolve()
        else reject(error)
      })
    })
  }

  /** Another, empty disk with another identity. */
  wipe(): void {
    this.disk = new MemoryDisk({ clock: this.clock })
    this.directoryId = randomUuid(this.cluster.random)
  }

  replica(topic: string, partition = 0): Replica {
    const found = this.running.context.replicas.find(topic, partition)
    if (typeof found === 'number') throw new Error(`${this.name} has no ${topic}-${partition}: ${found}`)
    return found
  }

  append(topic: string, batch: Uint8Array, acks: 0 | 1 | -1 = -1, partition = 0): Promise<Produced> {
    const found = this.running.context.replicas.find(topic, partition)
    if (typeof found === 'number')
      return Promise.resolve({ error: found, baseOffset: -1, logStart: -1, logAppendTimeMs: -1 })
    return new Promise((resolve) => {
      let called = 0
      found.append(batch, acks, (error, baseOffset, logStart, logAppendTimeMs) => {
        if (++called > 1) throw new Error('answered twice')
        resolve({ error, baseOffset, logStart, logAppendTimeMs })
      })
      if (called > 0) throw new Error('answered inside the call')
    })
  }

  produce(topic: string, values: readonly string[], acks: 0 | 1 | -1 = -1, partition = 0): Promise<Produced> {
    return this.append(topic, batchOf(values), acks, partition)
  }

  /** The values that a consumer reads from an offset up to the watermark. */
  async read(topic: string, from = 0, partition = 0): Promise<string[]> {
    const values: string[] = []
    for (let offset = from; ;) {
      const replica = this.replica(topic, partition)
      const limits = { maxBytes: 1 << 20, currentLeaderEpoch: -1, isolation: 0 } as const
      const state = replica.fetchState(offset, limits)
      if (state.error !== ErrorCode.NONE) throw new Error(`fetch at ${offset}: ${state.error}`)
      if (state.availableBytes === 0) return values
      const slice = await new Promise<LogSlice>((resolve, reject) => {
        const now = replica.read(offset, limits, (error, late) => (error === null ? resolve(late) : reject(error)))
        if (now !== null) resolve(now)
      })
      for (const part of slice.parts)
        for (const batch of splitBatches(part))
          for (const record of readRecords(batch, 0))
            if (record.offset >= from) values.push(new TextDecoder().decode(record.value ?? new Uint8Array()))
      offset = slice.nextOffset
    }
  }

  private configOf(world: World): BrokerConfig {
    return {
      nodeId: this.id,
      clusterId: null,
      clusterIdLearned: () => {},
      rack: null,
      incarnationId: randomUuid(world.random),
      listeners: [
        {
          name: 'PLAINTEXT',
          bind: { host: this.name, port: 9 },
          advertised: { host: this.name, port: 9 },
          securityProtocol: 'PLAINTEXT',
        },
      ],
      peerAddress: { host: this.name, port: 1 },
      controllers: this.cluster.controllers.map(({ name }, at) => ({ id: 100 + at, address: { host: name, port: 1 } })),
      logDirs: [{ path: '/data', directoryId: this.directoryId }],
      flushMode: 'fsync',
      properties: new Map(),
      maxRequestBytes: 1 << 26,
      idleConnectionMs: 60_000,
      ...SETTINGS,
      ...this.cluster.settings,
    }
  }
}

/** Brokers of one process under a controller that a test holds in its hand. */
export class Cluster implements AsyncDisposable {
  readonly network = new DirectNetwork()
  readonly random: SeededRandom
  readonly controllers: FakeController[]
  readonly brokers: TestBroker[] = []
  readonly settings: Partial<BrokerConfig>
  readonly seed: string
  incarnations = 0

  constructor(seed: string, brokers: number, settings: Partial<BrokerConfig> = {}) {
    this.seed = seed
    this.settings = settings
    this.random = new SeededRandom(seed)
    this.controllers = [new FakeController({ name: 'c0', network: this.network })]
    for (let id = 1; id <= brokers; id++) this.brokers.push(new TestBroker(this, id))
  }

  get controller(): FakeController {
    return this.controllers[0] as FakeController
  }

  broker(id: number): TestBroker {
    return this.brokers[id - 1] as TestBroker
  }

  static async started(seed: string, brokers: number, settings: Partial<BrokerConfig> = {}): Promise<Cluster> {
    const cluster = new Cluster(seed, brokers, settings)
    await Promise.all(cluster.brokers.map((broker) => broker.start()))
    return cluster
  }

  /** The leader as the controller has it. */
  leader(topic: string, partition = 0): TestBroker {
    return this.broker(this.controller.partition(topic, partition).leader)
  }

  /** A topic of one partition whose replicas all serve it. */
  async topic(
    name: string,
    replicas: readonly number[],
    configs: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const id = this.controller.createTopic(name, [replicas], configs)
    for (const broker of replicas) await eventually(() => void this.broker(broker).replica(name))
    await eventually(() => {
      if (
        this.broker(replicas[0] as number)
          .replica(name)
          .latestOffset(-1, 0).error !== ErrorCode.NONE
      )
        throw new Error(`${name} has no leader yet`)
    })
    return id
  }

  async isr(topic: string, expected: readonly number[]): Promise<void> {
    await eventually(() => {
      const isr = inOrder(this.controller.partition(topic).isr)
      if (isr !== inOrder(expected)) throw new Error(`the ISR of ${topic} is ${isr}`)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const broker of this.brokers) if (broker.broker !== null) broker.kill()
  }
}

function inOrder(ids: readonly number[]): string {
  return [...ids].sort((a, b) => a - b).join()
}

export function batchOf(values: readonly string[], timestamp = 1_700_000_000_000, options?: BatchOptions): Uint8Array {
  return encodeBatch(
    values.map((value) => ({ timestamp, key: null, value: new TextEncoder().encode(value) })),
    options,
  )
}

export function bigBatch(bytes: number): Uint8Array {
  return encodeBatch([{ timestamp: 1_700_000_000_000, key: null, value: new Uint8Array(bytes) }])
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Tries until it does not throw; then the last reason is thrown. */
export async function eventually<T>(attempt: () => T | Promise<T>, withinMs = 8_000): Promise<T> {
  const until = performance.now() + withinMs
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > until) throw error
      await sleep(5)
    }
  }
}
