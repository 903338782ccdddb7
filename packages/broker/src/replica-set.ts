import { ErrorCode, type Uuid } from '@millrace/base'
import {
  type ClusterImage,
  minInsyncReplicas,
  type PartitionImage,
  type TopicImage,
  UNASSIGNED,
} from '@millrace/metadata'
import { createPartition } from '@millrace/replication'
import type { QuarantinedPartition } from '@millrace/rpc'
import type { CollectedChanges } from './image-changes.ts'
import type { OwnDirectories } from './own-directories.ts'
import type { FoundLog, OwnDirectory } from './own-directory.ts'
import { BrokerStates, partitionState } from './partition-state.ts'
import { BrokerReplica } from './replica.ts'
import type { ReplicaHost } from './replica-host.ts'
import type { BrokerConfig, Replica, Replicas } from './seams.ts'
import { brokerProperties, topicSettings, type TopicSettings } from './topic-settings.ts'

export interface ReplicaSetHost extends ReplicaHost {
  readonly config: BrokerConfig
  readonly image: ClusterImage
  readonly brokerEpoch: number
  /** This replica must leave ISR and ELR; asked again until the image says so. */
  reportQuarantine(report: QuarantinedPartition): void
  quarantineOver(topicId: Uuid, partition: number): void
}

/**
 * creating: its folder is being made. serving: it has a replica. quarantined: its log is in doubt, or not there, and waits until nobody
 * counts on the replica and there is a leader. replacing: an empty log takes the place of the doubtful one. offline: its directory failed.
 */
type Phase = 'creating' | 'serving' | 'quarantined' | 'replacing' | 'offline'

interface Slot {
  image: PartitionImage
  phase: Phase
  found: FoundLog | null
  replica: BrokerReplica | null
  /** Why it is in quarantine; null for one that has no log and that the image did not count on. */
  doubt: Doubt | null
  removed: boolean
}

/** blank: there is no log and, as far as the disks know, never was one. */
interface Doubt {
  readonly reason: string
  readonly blank: boolean
}

const NO_FOLDER = 'its folder is not there'
const EMPTY = 'its log is empty and nobody counts on it'

/** All replicas that the committed metadata places on this broker. */
export class ReplicaSet implements Replicas {
  private readonly host: ReplicaSetHost
  private readonly directories_: OwnDirectories
  private readonly slots = new Map<Uuid, (Slot | undefined)[]>()
  private readonly settings = new Map<Uuid, TopicSettings>()
  private readonly brokers = new BrokerStates()
  /** Every slot's replica, for those who walk over all of them. */
  private readonly live = new Set<BrokerReplica>()
  private creating = 0
  private started = false
  private ended = false

  constructor(host: ReplicaSetHost, directories: OwnDirectories) {
    this.host = host
    this.directories_ = directories
  }

  /** Folders that are still being made. */
  get unfinished(): number {
    return this.creating
  }

  /** The image counts on a replica in quarantine: the controller has not decided about it yet. */
  get inDoubt(): boolean {
    for (const partitions of this.slots.values())
      if (partitions.some((slot) => slot?.doubt && this.stands(slot.image))) return true
    return false
  }

  // What the Kafka handlers ask.

  find(topic: string, partition: number): Replica | ErrorCode {
    const image = this.host.image.topicByName(topic)
    return this.findIn(image, partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  }

  findById(topicId: Uuid, partition: number): Replica | ErrorCode {
    return this.findIn(this.host.image.topics.get(topicId) ?? null, partition, ErrorCode.UNKNOWN_TOPIC_ID)
  }

  all(): Iterable<BrokerReplica> {
    return this.live
  }

  directories(): ReturnType<Replicas['directories']> {
    return this.directories_.list.map((directory) => ({
      path: directory.path,
      usableBytes: directory.logs.usableBytes,
      totalBytes: directory.logs.totalBytes,
      error: directory.error,
      replicas: [...this.all()].filter((replica) => replica.directory === directory.logs),
    }))
  }

  /** The replica in service, or null. */
  local(topicId: Uuid, partition: number): BrokerReplica | null {
    const replica = this.slots.get(topicId)?.[partition]?.replica ?? null
    return replica?.outOfService === ErrorCode.NONE ? replica : null
  }

  /** How many replicas there are in each phase. */
  phases(): Readonly<Record<Phase, number>> {
    const count: Record<Phase, number> = { creating: 0, serving: 0, quarantined: 0, replacing: 0, offline: 0 }
    for (const partitions of this.slots.values()) for (const slot of partitions) if (slot) count[slot.phase]++
    return count
  }

  // What the metadata says.

  /** Follows what changed in the image. Only called while the image holds this broker's own registration. */
  sync(changes: CollectedChanges): void {
    const { image, config } = this.host
    this.brokers.follow(image)
    if (changes.all) return this.syncAll()
    for (const topicId of changes.deletedTopics.keys()) this.removeTopic(topicId)
    const updated = new Set<PartitionImage>()
    for (const partition of changes.partitions((topicId, number) => image.partition(topicId, number))) {
      updated.add(partition)
      this.place(partition)
    }
    if (changes.configs) this.settings.clear()
    for (const name of changes.topicConfigs) this.settings.delete(image.topicByName(name)?.id ?? '')
    const reconfigured = changes.configs || changes.topicConfigs.size > 0
    if (!reconfigured && changes.brokers.size === 0) return
    for (const partition of image.partitionsOf(config.nodeId))
      if (!updated.has(partition) && this.concerned(partition, changes)) this.place(partition)
  }

  /** Everything is looked at anew: after the registration, and after a snapshot. */
  private syncAll(): void {
    const { image, config } = this.host
    this.settings.clear()
    for (const [topicId, partitions] of this.slots)
      for (const slot of partitions) {
        const now = slot && image.partition(topicId, slot.image.partition)
        if (slot && (!now || !now.replicas.includes(config.nodeId))) this.remove(slot)
      }
    // Before the new ones are made: a topic that was made again has the folder names of its former self.
    this.directories_.moveStraysAside(
      (topicId, number) => image.partition(topicId, number)?.replicas.includes(config.nodeId) ?? false,
    )
    for (const partition of image.partitionsOf(config.nodeId)) this.place(partition)
    this.directories_.moveUnclaimedAside()
    this.started = true
  }

  /** The broker got another epoch: no machine may go on under the old one. */
  rebuild(): void {
    for (const partitions of this.slots.values())
      for (const slot of partitions) if (slot) this.retire(slot, ErrorCode.NOT_LEADER_OR_FOLLOWER)
  }

  /** Takes a replica in doubt out of service, until the controller has taken it out of ISR and ELR. */
  quarantine(replica: BrokerReplica, reason: string): void {
    const slot = this.slotOf(replica)
    if (slot === null) return
    this.retire(slot, ErrorCode.KAFKA_STORAGE_ERROR)
    this.enterQuarantine(slot, { reason, blank: false })
  }

  directoryFailed(directory: OwnDirectory): void {
    for (const partitions of this.slots.values())
      for (const slot of partitions) {
        if (slot?.found?.directory !== directory) continue
        slot.phase = 'offline'
        this.retire(slot, ErrorCode.KAFKA_STORAGE_ERROR)
      }
  }

  /** Nothing is served any more; the logs stay as they are. */
  end(): void {
    this.ended = true
    for (const replica of this.all()) replica.end(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  }

  private findIn(topic: TopicImage | null, partition: number, unknown: ErrorCode): Replica | ErrorCode {
    // Before the own registration is applied the image says nothing yet.
    if (!this.host.serving()) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    if (topic === null) return unknown
    if (partition < 0 || partition >= topic.partitions.length) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    const slot = this.slots.get(topic.id)?.[partition]
    if (slot === undefined) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    if (slot.replica !== null) return slot.replica
    const inDoubt = slot.phase === 'offline' || slot.phase === 'quarantined' || slot.phase === 'replacing'
    return inDoubt ? ErrorCode.KAFKA_STORAGE_ERROR : ErrorCode.NOT_LEADER_OR_FOLLOWER
  }

  private concerned(partition: PartitionImage, changes: CollectedChanges): boolean {
    if (changes.configs || changes.topicConfigs.has(partition.topic)) return true
    return partition.replicas.some((id) => changes.brokers.has(id))
  }

  /** One partition as the image has it now. */
  private place(image: PartitionImage): void {
    const slot = this.slots.get(image.topicId)?.[image.partition]
    if (!image.replicas.includes(this.host.config.nodeId)) {
      if (slot !== undefined) this.remove(slot)
      return
    }
    if (slot === undefined) return this.admit(image)
    slot.image = image
    if (slot.phase === 'quarantined') this.tryReplace(slot)
    else if (slot.replica !== null) {
      this.update(slot.replica, image)
      this.tellEmpty(slot)
    } else if (slot.phase === 'serving' && slot.found !== null) this.serve(slot, slot.found)
  }

  private admit(image: PartitionImage): void {
    const slot: Slot = { image, phase: 'creating', found: null, replica: null, doubt: null, removed: false }
    let partitions = this.slots.get(image.topicId)
    if (partitions === undefined) this.slots.set(image.topicId, (partitions = []))
    partitions[image.partition] = slot
    const assigned = this.assignedDirectory(image)
    const found = this.directories_.claim(image, assigned)
    if (found === null) return this.admitWithoutLog(slot)
    found.directory.replicas++
    slot.found = found
    const reason = found.log.quarantined
    if (reason === null) return this.serve(slot, found)
    // Should the topic be deleted before it is served, its delay counts all the same.
    found.log.configure(this.settingsOf(image).log)
    this.enterQuarantine(slot, { reason, blank: false })
  }

  private admitWithoutLog(slot: Slot): void {
    if (this.lacksLog(slot)) this.enterQuarantine(slot, { reason: NO_FOLDER, blank: this.allOpened })
    else if (this.assignedDirectory(slot.image) !== UNASSIGNED) this.create(slot)
    else {
      slot.phase = 'quarantined'
      this.tryReplace(slot)
    }
  }

  /** No log is where nobody could look. */
  private get allOpened(): boolean {
    return this.directories_.list.every(({ failure }) => failure === null)
  }

  /**
   * A replica that nobody counts on tells when the partition has no leader and its own log is empty: perhaps nobody ever wrote anything,
   * and the others' logs are not there at all. A directory that is not the assigned one replaces one that was lost, and a log that recovery
   * had to cut was not always empty.
   */
  private tellEmpty({ image, found }: Slot): void {
    const { topicId, partition, partitionEpoch, leader, replicas, lastKnownElr } = image
    const waits = leader === -1 && !this.stands(image) && !lastKnownElr.includes(this.host.config.nodeId)
    if (!waits) return this.host.quarantineOver(topicId, partition)
    const cut = this.directories_.damaged.some((one) => one.topicId === topicId && one.partition === partition)
    const empty = found?.log.endOffset === 0 && found.directory.directoryId === this.assignedDirectory(image)
    if (empty && !cut && this.allOpened && replicas.length > 1)
      this.host.reportQuarantine({ topicId, partition, partitionEpoch, reason: EMPTY, blank: true })
  }

  /**
   * At the start of this node a replica in the ISR or ELR has its folder, unless the node ended before it could make it. Nobody can tell
   * which it is, so it must not lead with nothing where another replica may have records: only the controller knows whether all say so.
   */
  private lacksLog({ image }: Slot): boolean {
    return !this.started && this.stands(image) && image.replicas.length > 1
  }

  /** This replica is counted on: it is in the ISR or may lead. */
  private stands({ isr, elr }: PartitionImage): boolean {
    const { nodeId } = this.host.config
    return isr.includes(nodeId) || elr.includes(nodeId)
  }

  private create(slot: Slot): void {
    const { topic, topicId, partition } = slot.image
    const directory = this.directories_.choose(this.assignedDirectory(slot.image))
    if (directory === null) {
      slot.phase = 'offline'
      return
    }
    this.creating++
    directory.replicas++
    const config = this.settingsOf(slot.image).log
    const request = { topic, topicId, partition, config, startOffset: 0 }
    const wanted = (): boolean => !slot.removed
    this.directories_.create(directory, request, wanted, (found) => {
      this.creating--
      this.created(slot, directory, found)
    })
  }

  private created(slot: Slot, directory: OwnDirectory, found: FoundLog | null): void {
    if (this.ended) return
    if (found === null) {
      directory.replicas--
      slot.phase = 'offline'
      return
    }
    slot.found = found
    if (slot.removed) this.deleteLog(found)
    else if (directory.failure !== null) slot.phase = 'offline'
    else this.serve(slot, found)
  }

  private serve(slot: Slot, found: FoundLog): void {
    const { host } = this
    const { image } = slot
    const { log, directory } = found
    const settings = this.settingsOf(image)
    log.configure(settings.log)
    const { logStart, endOffset, durableEnd, lastEpoch, highWatermark, generation } = log
    const machine = createPartition(
      {
        brokerId: host.config.nodeId,
        brokerEpoch: host.brokerEpoch,
        topicId: image.topicId,
        partition: image.partition,
      },
      { logStart, endOffset, durableEnd, lastEpoch, highWatermark, generation },
      log,
      {
        flushMode: host.config.flushMode,
        lagTimeMaxUs: host.config.replicaLagTimeMaxMs * 1000,
        random: host.world.random,
      },
    )
    const replica = new BrokerReplica({ host, image, directory: directory.logs, log, machine, settings })
    log.attach(replica)
    slot.phase = 'serving'
    slot.doubt = null
    slot.replica = replica
    this.live.add(replica)
    replica.tick(host.world.clock.monotonicUs())
    if (directory.full) replica.setUnfit(true)
    this.update(replica, image)
    this.tellEmpty(slot)
  }

  private update(replica: BrokerReplica, image: PartitionImage): void {
    const settings = this.settingsOf(image)
    if (settings !== replica.settings) {
      replica.settings = settings
      replica.log.configure(settings.log)
    }
    replica.update(image, partitionState(image, minInsyncReplicas(this.host.image, image.topic)), this.brokers.map)
  }

  private enterQuarantine(slot: Slot, doubt: Doubt): void {
    const { topic, topicId, partition, leaderEpoch, partitionEpoch } = slot.image
    slot.phase = 'quarantined'
    slot.doubt = doubt
    this.host.counters.quarantines++
    this.host.lines.error({ topic, partition, epoch: leaderEpoch, ...doubt }, 'replica quarantined')
    this.host.reportQuarantine({ topicId, partition, partitionEpoch, ...doubt })
    this.tryReplace(slot)
  }

  /**
   * Begins again from nothing, but only once nobody counted on this replica and there is a leader: another one, or this replica itself
   * where it never had a log.
   */
  private tryReplace(slot: Slot): void {
    const { nodeId } = this.host.config
    const { leader, topic, topicId, partition, partitionEpoch } = slot.image
    if (slot.doubt !== null && this.stands(slot.image))
      return this.host.reportQuarantine({ topicId, partition, partitionEpoch, ...slot.doubt })
    if (slot.found === null) slot.doubt = null
    this.host.quarantineOver(topicId, partition)
    if (leader === -1 || (leader === nodeId && slot.found !== null)) return
    slot.phase = 'replacing'
    if (slot.found === null) return this.create(slot)
    this.creating++
    this.directories_.replace(slot.found, this.settingsOf(slot.image).log, (found) => {
      this.creating--
      if (this.ended) return
      if (found === null) {
        slot.phase = 'offline'
        return
      }
      slot.found = found
      this.host.lines.warn({ topic, partition }, 'quarantined replica begins anew from its leader')
      if (slot.removed) this.deleteLog(found)
      else this.serve(slot, found)
    })
  }

  private removeTopic(topicId: Uuid): void {
    for (const slot of this.slots.get(topicId) ?? []) if (slot) this.remove(slot)
  }

  /** The topic is deleted, or the replica assigned elsewhere. */
  private remove(slot: Slot): void {
    const { topicId, topic, partition, leaderEpoch } = slot.image
    const partitions = this.slots.get(topicId)
    if (partitions !== undefined) {
      partitions[partition] = undefined
      if (partitions.every((other) => other === undefined)) {
        this.slots.delete(topicId)
        this.settings.delete(topicId)
      }
    }
    slot.removed = true
    this.host.quarantineOver(topicId, partition)
    const known = this.host.image.topics.has(topicId)
    this.retire(slot, known ? ErrorCode.NOT_LEADER_OR_FOLLOWER : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    this.host.lines.info({ topic, partition, epoch: leaderEpoch }, 'replica removed')
    const busy = slot.phase === 'creating' || slot.phase === 'replacing'
    if (slot.found !== null && !busy) this.deleteLog(slot.found)
  }

  private deleteLog({ directory, log }: FoundLog): void {
    directory.replicas--
    if (directory.failure === null) directory.logs.delete(log)
  }

  private retire(slot: Slot, error: ErrorCode): void {
    const { replica } = slot
    if (replica === null) return
    slot.replica = null
    this.live.delete(replica)
    replica.end(error)
  }

  /** The directory that the metadata assigns, or null where it leaves the choice. */
  private assignedDirectory(image: PartitionImage): Uuid | null {
    const at = image.replicas.indexOf(this.host.config.nodeId)
    return image.directories[at] ?? null
  }

  private settingsOf({ topicId, topic }: PartitionImage): TopicSettings {
    let settings = this.settings.get(topicId)
    if (settings === undefined) {
      const { image, config } = this.host
      settings = topicSettings(image, topic, brokerProperties(image, config.nodeId, config.properties))
      this.settings.set(topicId, settings)
    }
    return settings
  }

  private slotOf(replica: BrokerReplica): Slot | null {
    const slot = this.slots.get(replica.topicId)?.[replica.partition]
    return slot?.replica === replica ? slot : null
  }
}
