import { ErrorCode, LONG_MAX } from '@millrace/base'
import type { Done, Uuid, World } from '@millrace/base'
import type { BrokerImage, ClusterImage, ConfigResource, PartitionImage, TopicImage } from '@millrace/metadata'
import {
  baseOffset,
  batchBytes,
  lastOffsetDelta,
  maxTimestamp,
  nextOffset,
  setBaseOffset,
  setLeaderEpoch,
  stampLogAppendTime,
} from '@millrace/records'
import type { EpochEnd, LogSlice, TimestampHit } from '@millrace/storage'
import type { ProducerView } from '@millrace/transactions'
import { BufferPool } from '../../src/kafka/buffer-pool.ts'
import { ProducerIdBlocks } from '../../src/producer-id-blocks.ts'
import { FetchSessions, sessionSlots } from '../../src/kafka/fetch-sessions.ts'
import type {
  AppendAnswer,
  BrokerConfig,
  BrokerContext,
  ControllerLink,
  FetchState,
  ForwardRequest,
  Groups,
  OffsetAnswer,
  InSyncFollower,
  ReadLimits,
  ReplicaSelector,
  Replica,
  Replicas,
} from '../../src/seams.ts'

const NOTHING = { availableBytes: 0, diverging: null, preferredReplica: -1 } as const

/** A partition whose log is an array of batches. Followers are the test: `replicate` moves the watermark. */
export class FakeReplica implements Replica {
  readonly topicId: Uuid
  readonly topic: string
  readonly partition: number
  readonly batches: Uint8Array[] = []
  inSync: InSyncFollower[] = []
  diverging: EpochEnd | null = null
  highWatermark = 0
  logStart = 0
  leaderEpoch = 5
  error: ErrorCode = ErrorCode.NONE
  appendError: ErrorCode = ErrorCode.NONE
  latestError: ErrorCode = ErrorCode.NONE
  /** Whether one replica is enough for everything. */
  alone = true
  /** Reads are answered later, as from a disk. */
  cold = false
  readErrors = 0
  producers: ProducerView[] = []
  lag = 0
  /** The topic's timestamps are the broker's. */
  logAppendTime = false
  watches = 0
  readonly watchers = new Set<() => void>()
  private readonly world: World
  private readonly waiting: { end: number; run: () => void }[] = []

  constructor(world: World, topic: TopicImage, partition: number) {
    this.world = world
    this.topicId = topic.id
    this.topic = topic.name
    this.partition = partition
  }

  get endOffset(): number {
    const last = this.batches.at(-1)
    return last === undefined ? this.logStart : nextOffset(last, 0)
  }

  get sizeBytes(): number {
    return this.batches.reduce((sum, { length }) => sum + length, 0)
  }

  append(batch: Uint8Array, acks: 0 | 1 | -1, answer: AppendAnswer): void {
    const error = this.error === ErrorCode.NONE ? this.appendError : this.error
    if (error !== ErrorCode.NONE) {
      this.world.timers.endOfTurn(() => answer(error, -1, -1, -1))
      return
    }
    setBaseOffset(batch, 0, this.endOffset)
    setLeaderEpoch(batch, 0, this.leaderEpoch)
    const stampMs = this.logAppendTime ? this.world.clock.wallMs() : -1
    if (this.logAppendTime) stampLogAppendTime(batch, 0, stampMs)
    this.batches.push(batch)
    const base = baseOffset(batch, 0)
    const end = nextOffset(batch, 0)
    const tell = (): void => answer(ErrorCode.NONE, base, this.logStart, stampMs)
    this.world.timers.endOfTurn(() => {
      if (acks === 1 || (acks === -1 && this.alone)) tell()
      else if (acks === -1) this.waiting.push({ end, run: tell })
      if (this.alone) this.replicate()
    })
  }

  /** Followers have everything. */
  replicate(): void {
    this.highWatermark = this.endOffset
    const ready = this.waiting.filter(({ end }) => end <= this.highWatermark)
    this.waiting.splice(0, this.waiting.length, ...this.waiting.filter(({ end }) => end > this.highWatermark))
    for (const { run } of ready) run()
    this.move()
  }

  move(): void {
    for (const moved of this.watchers) moved()
  }

  fetchState(offset: number, { currentLeaderEpoch, selector }: ReadLimits): FetchState {
    const error = this.stateError(offset, currentLeaderEpoch)
    if (error !== ErrorCode.NONE) return { error, highWatermark: -1, lastStableOffset: -1, logStart: -1, ...NOTHING }
    const available = this.from(offset).reduce((sum, { length }) => sum + length, 0)
    const preferredReplica = this.preferred(offset, selector ?? null)
    return {
      error,
      highWatermark: this.highWatermark,
      lastStableOffset: this.highWatermark,
      logStart: this.logStart,
      diverging: this.diverging,
      preferredReplica,
      availableBytes: this.diverging === null && preferredReplica < 0 ? available : 0,
    }
  }

  read(offset: number, { maxBytes, memory }: ReadLimits, done: Done<LogSlice>): LogSlice | null {
    const parts: Uint8Array[] = []
    let bytes = 0
    for (const batch of this.from(offset)) {
      if (parts.length > 0 && bytes + batch.length > maxBytes) break
      parts.push(batch)
      bytes += batch.length
    }
    const last = parts.at(-1)
    // As a log does: taken at once, filled when the disk has answered.
    const into = bytes === 0 ? [] : [memory?.take(bytes) ?? new Uint8Array(bytes)]
    const slice = { parts: into, bytes, nextOffset: last === undefined ? offset : nextOffset(last, 0) }
    const fill = (): void => {
      if (into[0] !== undefined) into[0].set(Buffer.concat(parts))
    }
    if (this.readErrors > 0) {
      this.readErrors--
      this.world.timers.after(1000, () => done({ message: 'EIO' } as never, slice))
      return null
    }
    if (!this.cold) {
      fill()
      return slice
    }
    this.world.timers.after(1000, () => {
      fill()
      done(null, slice)
    })
    return null
  }

  latestOffset(currentLeaderEpoch: number): OffsetAnswer {
    const error = this.latestError === ErrorCode.NONE ? this.epochError(currentLeaderEpoch) : this.latestError
    return { error, offset: this.highWatermark, leaderEpoch: this.leaderEpoch }
  }

  earliestOffset(currentLeaderEpoch: number): OffsetAnswer {
    return { error: this.epochError(currentLeaderEpoch), offset: this.logStart, leaderEpoch: this.leaderEpoch }
  }

  offsetForTimestamp(
    timestamp: number,
    currentLeaderEpoch: number,
    done: (error: ErrorCode, hit: TimestampHit | null) => void,
  ): void {
    const found = this.batches.find((batch) => maxTimestamp(batch, 0) >= timestamp)
    const hit =
      found === undefined
        ? null
        : { offset: baseOffset(found, 0), timestamp: maxTimestamp(found, 0), leaderEpoch: this.leaderEpoch }
    this.world.timers.after(0, () => done(this.epochError(currentLeaderEpoch), hit))
  }

  maxTimestamp(currentLeaderEpoch: number, done: (error: ErrorCode, hit: TimestampHit | null) => void): void {
    const newest = [...this.batches].sort((a, b) => maxTimestamp(b, 0) - maxTimestamp(a, 0))[0]
    const hit =
      newest === undefined
        ? null
        : {
            offset: baseOffset(newest, 0) + lastOffsetDelta(newest, 0),
            timestamp: maxTimestamp(newest, 0),
            leaderEpoch: this.leaderEpoch,
          }
    this.world.timers.after(0, () => done(this.epochError(currentLeaderEpoch), hit))
  }

  epochEnd(epoch: number, currentLeaderEpoch: number): { error: ErrorCode; epoch: number; endOffset: number } {
    const error = this.epochError(currentLeaderEpoch)
    if (epoch < this.leaderEpoch) return { error, epoch: -1, endOffset: -1 }
    return { error, epoch: this.leaderEpoch, endOffset: this.endOffset }
  }

  activeProducers(): readonly ProducerView[] | ErrorCode {
    return this.error === ErrorCode.NONE ? this.producers : this.error
  }

  deleteRecords(offset: number, done: (error: ErrorCode, lowWatermark: number) => void): void {
    const target = offset === -1 ? this.highWatermark : offset
    if (target > this.highWatermark) {
      this.world.timers.endOfTurn(() => done(ErrorCode.OFFSET_OUT_OF_RANGE, -1))
      return
    }
    this.logStart = Math.max(this.logStart, target)
    if (this.alone) this.world.timers.endOfTurn(() => done(ErrorCode.NONE, this.logStart))
  }

  private preferred(offset: number, selector: ReplicaSelector | null): number {
    return selector?.choose(this.inSync.filter(({ durableEnd }) => durableEnd >= offset)) ?? -1
  }

  watch(moved: () => void): () => void {
    this.watches++
    this.watchers.add(moved)
    return () => void this.watchers.delete(moved)
  }

  private from(offset: number): Uint8Array[] {
    return this.batches.filter(
      (batch) =>
        nextOffset(batch, 0) > offset && nextOffset(batch, 0) <= this.highWatermark && batchBytes(batch, 0) > 0,
    )
  }

  private epochError(currentLeaderEpoch: number): ErrorCode {
    if (this.error !== ErrorCode.NONE) return this.error
    if (currentLeaderEpoch === -1 || currentLeaderEpoch === this.leaderEpoch) return ErrorCode.NONE
    return currentLeaderEpoch < this.leaderEpoch ? ErrorCode.FENCED_LEADER_EPOCH : ErrorCode.UNKNOWN_LEADER_EPOCH
  }

  private stateError(offset: number, currentLeaderEpoch: number): ErrorCode {
    const error = this.epochError(currentLeaderEpoch)
    if (error !== ErrorCode.NONE) return error
    return offset < this.logStart || offset > this.endOffset ? ErrorCode.OFFSET_OUT_OF_RANGE : ErrorCode.NONE
  }
}

const NO_SETTINGS: ReadonlyMap<string, string> = new Map()

/** The id of the topic that a test first gives a name. */
export function idOf(name: string): Uuid {
  return `${name
    .replaceAll(/[^a-zA-Z0-9]/g, '')
    .padEnd(21, 'A')
    .slice(0, 21)}A`
}

/** A cluster of a few brokers, as plain values that a test may change. */
export class FakeImage implements ClusterImage {
  index = 10
  clusterId: Uuid | null = 'c1usterAAAAAAAAAAAAAAA'
  readonly brokers = new Map<number, BrokerImage>()
  readonly topics = new Map<Uuid, TopicImage>()
  readonly features = new Map<string, number>()
  readonly nextProducerId = 0
  private readonly settings = new Map<string, Map<string, string>>()

  addBroker(id: number, change: Partial<BrokerImage> = {}): void {
    this.brokers.set(id, {
      id,
      epoch: 1,
      incarnationId: 'iAAAAAAAAAAAAAAAAAAAAA',
      rack: id === 1 ? null : `rack-${id}`,
      endpoints: [
        { name: 'PLAINTEXT', host: `host-${id}`, port: 9090 + id, securityProtocol: 'PLAINTEXT' },
        { name: 'OUTSIDE', host: `outside-${id}`, port: 19090 + id, securityProtocol: 'PLAINTEXT' },
      ],
      directories: [],
      flushMode: 'fsync',
      protocolVersion: 1,
      fenced: false,
      shuttingDown: false,
      ...change,
    })
  }

  addTopic(name: string, partitions: readonly Partial<PartitionImage>[]): TopicImage {
    const id = idOf(name)
    const topic: TopicImage = {
      id,
      name,
      partitions: partitions.map((change, partition) => ({
        topicId: id,
        topic: name,
        partition,
        replicas: [1],
        directories: ['dAAAAAAAAAAAAAAAAAAAAA'],
        isr: [1],
        elr: [],
        lastKnownElr: [],
        addingReplicas: [],
        removingReplicas: [],
        leader: 1,
        leaderEpoch: 5,
        partitionEpoch: 7,
        leaderRecovery: 'recovered',
        ...change,
      })),
    }
    this.topics.set(id, topic)
    this.index++
    return topic
  }

  set(resource: ConfigResource, name: string, value: string): void {
    const key = `${resource.kind}/${resource.name}`
    // Replaced, never changed: whoever holds the old settings sees that by their identity.
    this.settings.set(key, new Map(this.settings.get(key)).set(name, value))
    this.index++
  }

  topicByName(name: string): TopicImage | null {
    for (const topic of this.topics.values()) if (topic.name === name) return topic
    return null
  }

  partition(topicId: Uuid, partition: number): PartitionImage | null {
    return this.topics.get(topicId)?.partitions[partition] ?? null
  }

  configs({ kind, name }: ConfigResource): ReadonlyMap<string, string> {
    return this.settings.get(`${kind}/${name}`) ?? NO_SETTINGS
  }

  configured(kind: ConfigResource['kind']): ReadonlyMap<string, ReadonlyMap<string, string>> {
    const of = [...this.settings].filter(([key]) => key.startsWith(`${kind}/`))
    return new Map(of.map(([key, settings]) => [key.slice(kind.length + 1), settings]))
  }

  *partitionsOf(brokerId: number): Iterable<PartitionImage> {
    for (const { partitions } of this.topics.values())
      for (const one of partitions) if (one.replicas.includes(brokerId)) yield one
  }
}

/** A controller whose answers the test writes. */
export class FakeController implements ControllerLink {
  controllerId = 2
  readonly brokerEpoch = 1
  readonly requests: ForwardRequest[] = []
  /** The block of producer ids that it gives; null while it gives none. */
  producerIds: { readonly first: number; readonly count: number } | null = null
  answer: (request: ForwardRequest) => { error: ErrorCode; body: Uint8Array | null } = () => ({
    error: ErrorCode.NOT_CONTROLLER,
    body: null,
  })
  private readonly world: World

  constructor(world: World) {
    this.world = world
  }

  forward(request: ForwardRequest, done: (error: ErrorCode, body: Uint8Array | null) => void): void {
    this.requests.push({ ...request, body: Uint8Array.from(request.body) })
    this.world.timers.after(1000, () => {
      const { error, body } = this.answer(request)
      done(error, body)
    })
  }

  allocateProducerIds(done: (error: ErrorCode, first: number, count: number) => void): void {
    const { producerIds } = this
    this.world.timers.after(1000, () => {
      if (producerIds === null) done(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, -1, 0)
      else done(ErrorCode.NONE, producerIds.first, producerIds.count)
    })
  }
}

/** A broker that coordinates nothing. */
const NO_GROUPS: Groups = {
  ask: ({ failed }) => {
    failed(ErrorCode.NOT_COORDINATOR)
    return () => {}
  },
  homeOf: () => null,
  list: () => [],
  view: () => ErrorCode.COORDINATOR_NOT_AVAILABLE,
  views: () => [],
}

export class FakeBroker implements BrokerContext {
  readonly world: World
  readonly config: BrokerConfig
  readonly image = new FakeImage()
  readonly controller: FakeController
  groups: Groups = NO_GROUPS
  readonly producerIds: ProducerIdBlocks
  /** What comes back is spoiled, so that whoever looks at it too late is found out. */
  readonly buffers: BufferPool
  readonly fetchSessions: FetchSessions
  private readonly local = new Map<string, FakeReplica>()

  constructor(world: World, properties: Readonly<Record<string, string>> = {}, change: Partial<BrokerConfig> = {}) {
    this.world = world
    this.controller = new FakeController(world)
    this.producerIds = new ProducerIdBlocks(this.controller)
    this.fetchSessions = new FetchSessions(world, sessionSlots(new Map(Object.entries(properties))))
    this.buffers = new BufferPool(world.clock, { returned: (buffer) => buffer.fill(0xdd) })
    this.config = { ...defaults(properties), ...change }
    this.image.addBroker(1)
  }

  /** A topic whose partitions all live here. */
  topic(name: string, partitions = 1): FakeReplica[] {
    const topic = this.image.addTopic(
      name,
      Array.from({ length: partitions }, () => ({})),
    )
    return topic.partitions.map(({ partition }) => {
      const replica = new FakeReplica(this.world, topic, partition)
      this.local.set(`${name}-${partition}`, replica)
      return replica
    })
  }

  readonly replicas: Replicas = {
    find: (topic, partition) => {
      const found = this.local.get(`${topic}-${partition}`)
      if (found !== undefined) return found
      const known = this.image.topicByName(topic)?.partitions[partition]
      return known === undefined ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.NOT_LEADER_OR_FOLLOWER
    },
    findById: (id, partition) => {
      const topic = this.image.topics.get(id)
      return topic === undefined ? ErrorCode.UNKNOWN_TOPIC_ID : this.replicas.find(topic.name, partition)
    },
    all: () => this.local.values(),
    directories: () => [
      {
        path: '/data/a',
        usableBytes: 1000,
        totalBytes: LONG_MAX,
        error: ErrorCode.NONE,
        replicas: [...this.local.values()],
      },
      { path: '/data/b', usableBytes: -1, totalBytes: -1, error: ErrorCode.KAFKA_STORAGE_ERROR, replicas: [] },
    ],
  }
}

function defaults(properties: Readonly<Record<string, string>>): BrokerConfig {
  const address = { host: '127.0.0.1', port: 0 }
  return {
    nodeId: 1,
    clusterId: null,
    clusterIdLearned: () => {},
    rack: null,
    incarnationId: 'iAAAAAAAAAAAAAAAAAAAAA',
    listeners: [],
    peerAddress: address,
    controllers: [],
    logDirs: [],
    flushMode: 'fsync',
    properties: new Map(Object.entries(properties)),
    heartbeatMs: 2000,
    sessionTimeoutMs: 9000,
    replicaLagTimeMaxMs: 30_000,
    maxRequestBytes: 100 * 1024 * 1024,
    idleConnectionMs: 600_000,
    controlledShutdownTimeoutMs: 30_000,
  }
}
