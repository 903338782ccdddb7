import {
  type Accepted,
  type Address,
  type Done,
  type IoError,
  type Lane,
  type MillraceError,
  type PeerStream,
  type Refusal,
  type Timer,
  type Uuid,
  type World,
} from '@millrace/base'
import type { Rebalance } from '@millrace/groups'
import { type ClusterImage, originOf } from '@millrace/metadata'
import type { AlterPartition, PartitionMessage } from '@millrace/replication'
import type { Hello, QuarantinedPartition } from '@millrace/rpc'
import { Answers } from './answers.ts'
import { readBrokerEpoch, writeBrokerEpoch } from './broker-epoch-file.ts'
import { GroupCoordinator, type GroupCoordinatorHost } from './groups/coordinator.ts'
import type { CollectedChanges } from './image-changes.ts'
import type { BrokerInspection } from './inspection.ts'
import { BufferPool } from './kafka/buffer-pool.ts'
import { FetchSessions, sessionSlots } from './kafka/fetch-sessions.ts'
import { LagService, type LagServiceHost } from './lag/lag-service.ts'
import type { GroupLags } from './lag/seams.ts'
import { Membership, type MembershipHost } from './membership.ts'
import { brokerCounters, type BrokerCounters, type BrokerStatus } from './metrics.ts'
import { OwnDirectories, type OwnDirectoriesHost } from './own-directories.ts'
import type { OwnDirectory } from './own-directory.ts'
import type { BrokerReplica } from './replica.ts'
import { ProducerIdBlocks } from './producer-id-blocks.ts'
import { PartitionLines } from './partition-lines.ts'
import { ReplicaReads } from './replica-reads.ts'
import { ReplicaSet, type ReplicaSetHost } from './replica-set.ts'
import { ReplicationLanes, type ReplicationLanesHost } from './replication-lanes.ts'
import type { BrokerConfig, BrokerContext, ControllerLink } from './seams.ts'
import { SleepGuard } from './sleep-guard.ts'
import { Turn } from './turn.ts'
import { TurnWork } from './turn-work.ts'
import { Upkeep, type UpkeepHost } from './upkeep.ts'

/** A broker role of one node. */
export interface Broker {
  /** What the Kafka listeners serve from. */
  readonly context: BrokerContext
  /**
   * Recovers the logs, registers with the controller, and follows the metadata. `done` comes once this broker serves; with an error
   * (`IoError` of the directories, `MillraceError` of the registration) when it never will, and then it must be stopped.
   */
  start(done: (error: Error | null, value: void) => void): void
  /**
   * Controlled shutdown: hands its leaderships over as long as the controller takes them and the timeout allows, then answers who waits,
   * syncs, and writes the clean marker. `silent` comes in between, once everybody is answered and nobody will be any more: connections are
   * to be closed then, because syncing many logs takes seconds. Call once; safe at any time after `start`.
   */
  stop(done: Done<void>, silent?: () => void): void
  /** Another broker's stream: a follower's (`hello.purpose` is `replication`), or a coordinator's (`offsets`). */
  accept(hello: Hello, lane: Lane, stream: PeerStream): Accepted | Refusal
  /** How far the groups that this broker coordinates are behind. */
  readonly lags: GroupLags
  /** For health checks and metrics. */
  status(): BrokerStatus
  readonly inspection: BrokerInspection
}

/** Builds the broker; nothing happens before `start`. */
export function createBroker(world: World, config: BrokerConfig): Broker {
  return new BrokerNode(world, config)
}

/** A new controller is there well within this time, if a quorum is left to elect one. */
const LONELY_DRAIN_US = 4_000_000
const LONELY_LOOK_US = 250_000

type Phase = 'new' | 'opening' | 'starting' | 'running' | 'draining' | 'stopped'

/** So long the making of folders may keep a broker from taking leaderships: a disk may be full. */
const STARTING_US = 10_000_000

class BrokerNode
  implements
    Broker,
    BrokerInspection,
    ReplicaSetHost,
    MembershipHost,
    OwnDirectoriesHost,
    ReplicationLanesHost,
    GroupCoordinatorHost,
    LagServiceHost,
    UpkeepHost
{
  readonly world: World
  readonly config: BrokerConfig
  readonly counters: BrokerCounters = brokerCounters()
  readonly answers: Answers
  readonly reads: ReplicaReads
  readonly lines: PartitionLines
  readonly context: BrokerContext
  readonly brokerId: number
  previousBrokerEpoch = -1
  phase: Phase = 'new'
  private readonly turn: Turn
  private readonly guard: SleepGuard
  readonly own: OwnDirectories
  private readonly set: ReplicaSet
  private readonly membership: Membership
  private readonly lanes: ReplicationLanes
  private readonly work: TurnWork
  private readonly upkeep: Upkeep
  readonly groups: GroupCoordinator
  readonly lags: LagService
  private startDone: ((error: Error | null, value: void) => void) | null = null
  private stopDone: Done<void> | null = null
  private silent: (() => void) | undefined
  private drainTimer: Timer | null = null
  private lonelyTimer: Timer | null = null
  private appliedAtUs = 0

  constructor(world: World, config: BrokerConfig) {
    this.world = world
    this.config = config
    this.brokerId = config.nodeId
    this.turn = new Turn(world.timers)
    this.answers = new Answers(() => this.turn.schedule())
    this.lines = new PartitionLines(world.log, () => this.turn.schedule())
    this.reads = new ReplicaReads(this.counters, world.log)
    this.membership = new Membership(this)
    this.guard = new SleepGuard(world.clock, world.log, config.sessionTimeoutMs, () => this.membership.slept())
    this.own = new OwnDirectories(this)
    this.set = new ReplicaSet(this, this.own)
    this.lanes = new ReplicationLanes(this)
    this.work = new TurnWork(() => this.turn.schedule())
    this.upkeep = new Upkeep(this)
    this.groups = new GroupCoordinator(this)
    this.lags = new LagService(this)
    const { membership, set, groups } = this
    const buffers = new BufferPool(world.clock)
    const producerIds = new ProducerIdBlocks(membership)
    const fetchSessions = new FetchSessions(world, sessionSlots(config.properties))
    this.context = {
      world,
      config,
      image: membership.image,
      replicas: set,
      controller: membership,
      groups,
      producerIds,
      buffers,
      fetchSessions,
    }
    this.turn.stage(() => this.work.write())
    this.turn.stage(() => this.membership.alters.flush())
    this.turn.stage(() => this.lanes.flush())
    this.turn.stage(() => this.answers.give())
    this.turn.stage(() => this.work.notify())
    this.turn.stage(() => this.lines.flush())
  }

  // The life of the broker.

  start(done: (error: Error | null, value: void) => void): void {
    this.phase = 'opening'
    this.startDone = done
    this.upkeep.startTicks()
    this.own.open((error) => {
      if (this.stopDone !== null) return this.finish()
      if (error !== null) return this.started(error)
      const folder = this.own.list.find(({ failure }) => failure === null) as OwnDirectory
      readBrokerEpoch(this.world.disk, folder.path, (epoch) => this.opened(epoch))
    })
  }

  stop(done: Done<void>, silent?: () => void): void {
    if (this.phase === 'stopped' || this.stopDone !== null) return this.later(() => done(null))
    this.stopDone = done
    this.silent = silent
    if (this.phase === 'opening') return
    if (this.phase !== 'running' || !this.membership.applied) return this.finish()
    this.phase = 'draining'
    this.world.log.info({}, 'handing leaderships over before the stop')
    this.membership.heartbeatSoon()
    const timeout = this.config.controlledShutdownTimeoutMs * 1000
    this.drainTimer = this.world.timers.after(timeout, () => this.drainTimedOut())
    this.watchForController(0)
  }

  /** Without a controller nobody takes the leaderships: a quorum that is gone must not hold up the stop of its last nodes. */
  private watchForController(lonelyUs: number): void {
    if (this.phase !== 'draining') return
    if (lonelyUs >= LONELY_DRAIN_US) return this.drainTimedOut()
    const alone = this.membership.connected ? 0 : lonelyUs + LONELY_LOOK_US
    this.lonelyTimer = this.world.timers.after(LONELY_LOOK_US, () => this.watchForController(alone))
  }

  accept(hello: Hello, lane: Lane, stream: PeerStream): Accepted | Refusal {
    if (this.phase === 'stopped') return { refused: 'this broker stops' }
    return hello.purpose === 'offsets' ? this.lags.accept(hello, stream) : this.lanes.accept(hello, lane, stream)
  }

  status(): BrokerStatus {
    const { membership, counters, lanes, set, guard } = this
    let leaders = 0
    let underMinIsr = 0
    let underReplicated = 0
    let waiting = 0
    for (const replica of set.all()) {
      waiting += replica.parkedCount
      if (replica.machine.role !== 'leader') continue
      leaders++
      if (!replica.machine.enoughReplicas) underMinIsr++
      if (replica.machine.isr.length < originOf(replica.image).length) underReplicated++
    }
    return {
      phase: this.phase,
      serving: this.serving(),
      brokerEpoch: membership.brokerEpoch,
      controllerId: membership.controllerId,
      fenced: membership.fenced,
      metadataIndex: membership.image.index,
      sleeps: guard.sleeps,
      partitions: { ...set.phases(), leaders, underMinIsr, underReplicated },
      waitingProduces: waiting,
      streams: lanes.counts,
      counters: { ...counters },
    }
  }

  private opened(epoch: number): void {
    if (this.stopDone !== null) return this.finish()
    const clean = this.own.list.every((directory) => directory.clean)
    this.previousBrokerEpoch = clean ? epoch : -1
    this.phase = 'starting'
    this.upkeep.startDiskWork()
    this.lags.start()
    this.membership.start()
  }

  /**
   * Serving begins once the first folders are made, no replica in doubt is counted on, and the controller has let this broker in. So a
   * replica without its folder leads only when the controller knows that it has none.
   */
  private checkStarted(): void {
    if (this.phase !== 'starting' || !this.membership.applied) return
    const now = this.clock.monotonicUs()
    if (this.appliedAtUs === 0) this.appliedAtUs = now
    if (this.set.inDoubt) return
    if (this.set.unfinished > 0 && now - this.appliedAtUs < STARTING_US) return
    this.phase = 'running'
    this.membership.heartbeatSoon()
  }

  private started(error: Error | null): void {
    const done = this.startDone
    this.startDone = null
    if (done !== null) this.later(() => done(error))
  }

  mayShutDown(): void {
    if (this.phase !== 'draining') return
    this.world.log.info({}, 'leaderships handed over')
    this.finish()
  }

  private drainTimedOut(): void {
    if (this.phase !== 'draining') return
    this.world.log.warn({}, 'stopping without having handed all leaderships over')
    this.finish()
  }

  /** What is staged is written, who waits is answered, and the logs are closed. */
  private finish(): void {
    if (this.phase === 'stopped') return
    this.phase = 'stopped'
    this.upkeep.end()
    this.lags.end()
    this.drainTimer?.cancel()
    this.lonelyTimer?.cancel()
    this.work.write()
    this.lanes.flush()
    this.groups.end()
    this.set.end()
    this.lanes.end('this broker stops')
    this.membership.end()
    this.turn.end()
    this.answers.give()
    this.work.notify()
    this.started(null)
    this.later(() => this.silent?.())
    this.writeEpoch(() =>
      this.own.close((clean) => {
        this.world.log.info({ clean }, 'broker stopped')
        const done = this.stopDone
        this.stopDone = null
        done?.(null)
      }),
    )
  }

  /** Before the clean markers, so that a marker always stands beside its epoch. */
  private writeEpoch(then: () => void): void {
    const folder = this.own.list.find(({ failure }) => failure === null)
    const { brokerEpoch } = this.membership
    if (folder === undefined || brokerEpoch === -1) return then()
    writeBrokerEpoch(this.world.disk, folder.path, brokerEpoch, (error) => {
      if (error !== null) this.world.log.error({ error }, 'broker epoch not written')
      then()
    })
  }

  ticked(): void {
    this.guard.awake()
    this.checkStarted()
  }

  // What the parts ask of each other.

  get clock(): World['clock'] {
    return this.world.clock
  }

  get timers(): World['timers'] {
    return this.world.timers
  }

  get random(): World['random'] {
    return this.world.random
  }

  get peers(): World['peers'] {
    return this.world.peers
  }

  get log(): World['log'] {
    return this.world.log
  }

  get inspection(): BrokerInspection {
    return this
  }

  get image(): ClusterImage {
    return this.membership.image
  }

  get controller(): ControllerLink {
    return this.membership
  }

  get applied(): boolean {
    return this.membership.applied
  }

  get brokerEpoch(): number {
    return this.membership.brokerEpoch
  }

  get damaged(): OwnDirectories['damaged'] {
    return this.own.damaged
  }

  get wantFence(): boolean {
    return this.phase === 'starting'
  }

  get stopping(): boolean {
    return this.phase === 'draining'
  }

  serving(): boolean {
    return (
      (this.phase === 'running' || this.phase === 'starting' || this.phase === 'draining') &&
      this.membership.applied &&
      this.guard.awake()
    )
  }

  schedule(): void {
    this.turn.schedule()
  }

  replicas(): Iterable<BrokerReplica> {
    return this.set.all()
  }

  local(topicId: string, partition: number): BrokerReplica | null {
    return this.set.local(topicId, partition)
  }

  replicationHello(): Hello | null {
    return this.phase === 'stopped' ? null : this.membership.replicationHello()
  }

  addressOf(brokerId: number): Address | null {
    return this.lanes.addressOf(brokerId)
  }

  rebalanced(rebalance: Rebalance): void {
    this.lags.rebalanced(rebalance)
  }

  offlineDirectories(): readonly Uuid[] {
    return this.own.list.filter(({ failure }) => failure !== null).map(({ directoryId }) => directoryId)
  }

  staged(replica: BrokerReplica): void {
    this.work.addStaged(replica)
  }

  inbound(replica: BrokerReplica): void {
    this.work.addInbound(replica)
  }

  touched(replica: BrokerReplica): void {
    this.work.addTouched(replica)
  }

  follows(replica: BrokerReplica): void {
    this.lanes.follows(replica)
    this.groups.replicaChanged(replica)
  }

  send(replica: BrokerReplica, message: PartitionMessage): void {
    this.lanes.send(replica, message)
  }

  alter(replica: BrokerReplica, alter: AlterPartition): void {
    this.membership.alters.ask(replica, alter)
  }

  quarantine(replica: BrokerReplica, reason: string): void {
    this.set.quarantine(replica, reason)
  }

  reportQuarantine(report: QuarantinedPartition): void {
    this.membership.reportQuarantine(report)
  }

  quarantineOver(topicId: Uuid, partition: number): void {
    this.membership.quarantineOver(topicId, partition)
  }

  ended(replica: BrokerReplica): void {
    this.membership.alters.forget(replica)
    this.lanes.follows(replica)
    this.groups.replicaChanged(replica)
  }

  diskFull(replica: BrokerReplica, error: IoError): void {
    this.world.log.error(
      { topic: replica.topic, partition: replica.partition, error },
      'write refused: the disk is full',
    )
    // Unfit until the next look at the disk finds room, so that it is not tried with every batch.
    this.own.of(replica.directory).full = true
    replica.setUnfit(true)
  }

  diskFailed(replica: BrokerReplica, error: IoError): void {
    this.logFailed(this.own.of(replica.directory), error)
  }

  /** A disk that failed once is not trusted again: its logs go offline, and the node ends when none is left. */
  logFailed(directory: OwnDirectory, error: IoError): void {
    if (directory.failure !== null || this.phase === 'stopped') return
    directory.failure = error
    this.world.log.error({ directory: directory.path, error }, 'directory failed')
    if (this.own.list.every(({ failure }) => failure !== null)) this.world.fatal('disk-failed', error)
    this.set.directoryFailed(directory)
    this.membership.heartbeatSoon()
  }

  imageChanged(changes: CollectedChanges): void {
    this.set.sync(changes)
    this.groups.imageChanged(changes)
    this.lanes.brokersChanged(changes.all ? this.image.brokers.keys() : changes.brokers)
    this.checkStarted()
    if (this.phase === 'running' && !this.membership.fenced) this.started(null)
  }

  epochOver(): void {
    this.set.rebuild()
    this.lanes.restart()
  }

  confirmed(): void {
    this.guard.confirmed()
  }

  registrationFailed(error: MillraceError): void {
    this.started(error)
  }

  private later(run: () => void): void {
    this.world.timers.after(0, run)
  }
}
