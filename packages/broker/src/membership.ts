import { ErrorCode, errorName, MillraceError, type Uuid, type World } from '@millrace/base'
import { createImage, type FollowedImage } from '@millrace/metadata'
import type {
  BrokerFrame,
  ControllerFrame,
  DamagedPartition,
  Heartbeat,
  Hello,
  QuarantinedPartition,
  Register,
  TypeOf,
} from '@millrace/rpc'
import { AlterRequests } from './alter-requests.ts'
import { ControllerSession, type ControllerSessionHost } from './controller-session.ts'
import { Forwards } from './forwards.ts'
import { CollectedChanges } from './image-changes.ts'
import { ImageFeed } from './image-feed.ts'
import type { BrokerCounters } from './metrics.ts'
import { ProducerIdRequests } from './producer-id-requests.ts'
import { HTTP_LISTENER, PEER_LISTENER } from './listener-names.ts'
import type { BrokerConfig, ControllerLink, ForwardRequest } from './seams.ts'

type FrameOf<K extends ControllerFrame['kind']> = Extract<ControllerFrame, { kind: K }>
type Damaged = TypeOf<typeof DamagedPartition>

/** Of the inter-node protocol. */
const PROTOCOL_VERSION = 1
/** After metadata was applied the controller hears of it within this time: a controlled shutdown elsewhere may wait for it. */
const APPLIED_NOTICE_US = 50_000
const STOPPING_HEARTBEAT_MS = 100

export interface MembershipHost {
  readonly world: World
  readonly config: BrokerConfig
  readonly counters: BrokerCounters
  /** What recovery found wrong. */
  readonly damaged: readonly Damaged[]
  /** The epoch of the last incarnation when it stopped cleanly, else -1. */
  readonly previousBrokerEpoch: number
  /** Still opening its logs: not to be given leaderships yet. */
  readonly wantFence: boolean
  readonly stopping: boolean
  offlineDirectories(): readonly Uuid[]
  schedule(): void
  /** The image went on, and holds this broker's registration. */
  imageChanged(changes: CollectedChanges): void
  /** This broker got an epoch other than the one it had, or another incarnation took its place. */
  epochOver(): void
  registrationFailed(error: MillraceError): void
  confirmed(): void
  mayShutDown(): void
}

/**
 * This broker as a member of its cluster: its registration, the image that it follows, and what it asks of the controller. Nothing is
 * served before the image holds the own registration.
 */
export class Membership implements ControllerSessionHost, ControllerLink {
  readonly image: FollowedImage = createImage()
  readonly alters: AlterRequests
  brokerEpoch = -1
  private readonly host: MembershipHost
  private readonly session: ControllerSession
  private readonly forwards: Forwards
  private readonly producerIdRequests: ProducerIdRequests
  private readonly feed: ImageFeed
  /** Replicas that must leave ISR and ELR, by partition. */
  private readonly quarantined = new Map<string, QuarantinedPartition>()
  private clusterId: Uuid | null
  /** The image holds the registration of this epoch. */
  private isApplied = false
  /** The controller has taken note of the damage that recovery found. */
  private damageTold = false
  private noticePending = false

  constructor(host: MembershipHost) {
    this.host = host
    const { world, config } = host
    this.clusterId = config.clusterId
    this.feed = new ImageFeed(this.image, world.log)
    this.session = new ControllerSession(world, config, this)
    const sendFrame = (frame: BrokerFrame): boolean => this.session.send(frame)
    this.forwards = new Forwards({
      timers: world.timers,
      sendFrame,
      appliedIndex: () => this.image.index,
    })
    const brokerEpoch = (): number => this.brokerEpoch
    this.producerIdRequests = new ProducerIdRequests({ timers: world.timers, sendFrame, brokerEpoch })
    this.alters = new AlterRequests({
      counters: host.counters,
      sendFrame,
      wantsFlush: () => host.schedule(),
      brokerEpoch,
    })
  }

  get controllerId(): number {
    return this.session.controllerId
  }

  /** The own registration is applied. */
  get applied(): boolean {
    return this.isApplied
  }

  /** Whether the controller keeps leaderships away from this broker. */
  get fenced(): boolean {
    return this.image.brokers.get(this.host.config.nodeId)?.fenced ?? true
  }

  get connected(): boolean {
    return this.session.active
  }

  start(): void {
    this.session.start()
  }

  end(): void {
    this.session.end('this broker stops')
    this.forwards.end()
  }

  forward(request: ForwardRequest, done: (error: ErrorCode, body: Uint8Array | null) => void): void {
    this.forwards.forward(request, done)
  }

  allocateProducerIds(done: (error: ErrorCode, first: number, count: number) => void): void {
    this.producerIdRequests.ask(done)
  }

  /** Something that the controller should know of changed. */
  heartbeatSoon(): void {
    this.session.heartbeatSoon()
  }

  slept(): void {
    this.session.slept()
  }

  /**
   * The replica must leave ISR and ELR; told to every controller until the image says that it did. To be called again whenever the partition
   * is another: the controller may have decided something else meanwhile.
   */
  reportQuarantine(report: QuarantinedPartition): void {
    const key = `${report.topicId}/${report.partition}`
    if (this.quarantined.get(key)?.partitionEpoch === report.partitionEpoch) return
    this.quarantined.set(key, report)
    this.session.send({ kind: 'quarantined', brokerEpoch: this.brokerEpoch, partitions: [report] })
  }

  quarantineOver(topicId: Uuid, partition: number): void {
    this.quarantined.delete(`${topicId}/${partition}`)
  }

  /** The hello of this broker's own streams to other brokers; null while it may not replicate. */
  replicationHello(): Hello | null {
    return this.isApplied ? { ...this.hello(), purpose: 'replication' } : null
  }

  // What the session asks.

  hello(): Hello {
    const { nodeId, incarnationId } = this.host.config
    return {
      purpose: 'broker',
      clusterId: this.clusterId ?? '',
      nodeId,
      incarnationId,
      brokerEpoch: this.brokerEpoch,
      version: PROTOCOL_VERSION,
      blank: false,
      voters: [],
      leaderId: null,
      term: 0,
    }
  }

  register(): Register {
    const { config, previousBrokerEpoch, damaged } = this.host
    this.feed.restart()
    const clients = config.listeners.map(({ name, advertised, securityProtocol }) => ({
      name,
      host: advertised.host,
      port: advertised.port,
      securityProtocol,
    }))
    const offline = new Set(this.host.offlineDirectories())
    return {
      brokerId: config.nodeId,
      incarnationId: config.incarnationId,
      rack: config.rack,
      listeners: [...clients, ...besideClients(config)],
      directories: config.logDirs.map(({ directoryId }) => directoryId).filter((id) => !offline.has(id)),
      flushMode: config.flushMode,
      previousBrokerEpoch,
      damaged: this.damageTold ? [] : damaged,
      appliedIndex: this.feed.broken || this.image.index === 0 ? -1 : this.image.index,
      version: PROTOCOL_VERSION,
    }
  }

  heartbeat(): Heartbeat {
    const { wantFence, stopping } = this.host
    return {
      brokerEpoch: this.brokerEpoch,
      appliedIndex: this.image.index,
      wantShutdown: stopping,
      wantFence,
      offlineDirectories: this.host.offlineDirectories(),
    }
  }

  heartbeatMs(): number {
    const { heartbeatMs } = this.host.config
    return this.host.stopping ? Math.min(heartbeatMs, STOPPING_HEARTBEAT_MS) : heartbeatMs
  }

  // What the session tells.

  registered({ brokerEpoch, clusterId }: FrameOf<'registered'>): string | null {
    if (this.clusterId !== null && clusterId !== this.clusterId) {
      this.host.world.log.error({ own: this.clusterId, other: clusterId }, 'controllers of another cluster')
      this.host.registrationFailed(
        new MillraceError(
          'DIRECTORY_FOREIGN',
          `This node belongs to cluster ${this.clusterId}, the controllers to ${clusterId}.`,
          {
            fix: 'Name the controllers of its own cluster in controller.quorum.voters, or empty the folders of log.dirs.',
          },
        ),
      )
      return 'another cluster'
    }
    if (this.clusterId === null) {
      this.clusterId = clusterId
      this.host.config.clusterIdLearned(clusterId)
    }
    const before = this.brokerEpoch
    this.brokerEpoch = brokerEpoch
    this.damageTold = true
    if (before !== -1 && before !== brokerEpoch) this.loseEpoch()
    this.checkApplied(null)
    return null
  }

  registrationRefused({ error, message, retriable }: FrameOf<'registrationRefused'>): void {
    this.host.world.log.error({ error: errorName(error), message, retriable }, 'registration refused')
    if (retriable) return
    this.host.registrationFailed(
      new MillraceError('REQUEST_REFUSED', `The controller refuses this broker: ${message} (${errorName(error)}).`),
    )
  }

  active(): void {
    const partitions = [...this.quarantined.values()]
    if (partitions.length > 0) this.session.send({ kind: 'quarantined', brokerEpoch: this.brokerEpoch, partitions })
    this.alters.flush()
    this.forwards.active()
  }

  lost(): void {
    this.alters.lost()
    this.forwards.lost()
    this.producerIdRequests.lost()
  }

  confirmed(): void {
    this.host.confirmed()
  }

  mayShutDown(): void {
    this.host.mayShutDown()
  }

  metadata(frame: FrameOf<'records' | 'snapshot'>): void {
    const changes = this.feed.take(frame)
    if (changes === 'unreadable') return this.session.restart('metadata not readable')
    if (changes === null) return
    this.checkApplied(changes)
    this.forwards.applied()
    this.noticeSoon()
  }

  alterReply(frame: FrameOf<'alterReply'>): void {
    this.alters.replies(frame.items)
  }

  forwardReply(frame: FrameOf<'forwardReply'>): void {
    this.forwards.reply(frame)
  }

  producerIds(frame: FrameOf<'producerIds'>): void {
    this.producerIdRequests.reply(frame)
  }

  /** Serving begins and ends with the own registration in the image. */
  private checkApplied(changes: CollectedChanges | null): void {
    const { nodeId, incarnationId } = this.host.config
    const own = this.image.brokers.get(nodeId)
    const applied = this.brokerEpoch !== -1 && own?.epoch === this.brokerEpoch && own.incarnationId === incarnationId
    if (!applied) {
      if (this.isApplied) this.loseEpoch()
      return
    }
    if (this.isApplied) {
      if (changes !== null) this.host.imageChanged(changes)
      return
    }
    this.isApplied = true
    const everything = new CollectedChanges()
    everything.all = true
    this.host.world.log.info({ brokerEpoch: this.brokerEpoch, index: this.image.index }, 'own registration applied')
    this.host.imageChanged(everything)
    this.session.heartbeatSoon()
  }

  private loseEpoch(): void {
    if (!this.isApplied) return
    this.isApplied = false
    this.host.world.log.warn(
      { brokerEpoch: this.brokerEpoch },
      'broker epoch is over: serving nothing until registered anew',
    )
    this.host.epochOver()
  }

  private noticeSoon(): void {
    if (this.noticePending) return
    this.noticePending = true
    this.host.world.timers.after(APPLIED_NOTICE_US, () => {
      this.noticePending = false
      this.session.heartbeatSoon()
    })
  }
}

/** What a broker registers beside the listeners of its clients. */
function besideClients({ peerAddress, httpAddress = null }: BrokerConfig): Register['listeners'] {
  const peer = { name: PEER_LISTENER, ...peerAddress, securityProtocol: 'PLAINTEXT' }
  return httpAddress === null ? [peer] : [peer, { name: HTTP_LISTENER, ...httpAddress, securityProtocol: 'PLAINTEXT' }]
}
