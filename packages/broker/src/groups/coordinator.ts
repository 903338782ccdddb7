import { ErrorCode, OFFSETS_TOPIC, type World } from '@millrace/base'
import type { GroupShard, GroupView, Rebalance } from '@millrace/groups'
import type { ClusterImage, PartitionImage } from '@millrace/metadata'
import type { CollectedChanges } from '../image-changes.ts'
import type { BrokerConfig, ControllerLink, GroupQuestion, Groups, ListedGroups } from '../seams.ts'
import { GroupPartition, type GroupPartitionHost } from './group-partition.ts'
import { LoadTurns } from './load-turns.ts'
import { GROUP_MACHINES, type GroupMachines } from './machines.ts'
import { OffsetsTopic } from './offsets-topic.ts'
import type { CoordinatedReplica } from './replica-view.ts'
import { commitTimeoutMs, groupsConfig } from './settings.ts'
import { SteadyTime } from './steady-time.ts'
import { ImageTopics } from './topics.ts'

export interface GroupCoordinatorHost {
  readonly world: World
  readonly config: BrokerConfig
  readonly image: ClusterImage
  readonly controller: ControllerLink
  /** The own registration is applied, and this node did not sleep. */
  serving(): boolean
  /** A group's rebalance came to its end. */
  rebalanced(rebalance: Rebalance): void
}

/** The groups that this broker coordinates: those of the partitions of `__consumer_offsets` that it leads. */
export class GroupCoordinator implements Groups, GroupPartitionHost {
  readonly world: World
  readonly time: SteadyTime
  readonly loads: LoadTurns
  readonly commitTimeoutMs: number
  readonly createShard: () => GroupShard
  private readonly host: GroupCoordinatorHost
  private readonly machines: GroupMachines
  private readonly topic: OffsetsTopic
  private readonly topics: ImageTopics
  private readonly partitions = new Map<number, GroupPartition>()

  constructor(host: GroupCoordinatorHost, machines: GroupMachines = GROUP_MACHINES) {
    this.host = host
    this.machines = machines
    this.world = host.world
    this.time = new SteadyTime(host.world.clock)
    this.loads = new LoadTurns(host.world.timers)
    this.topic = new OffsetsTopic(host)
    this.topics = new ImageTopics(() => host.image)
    this.commitTimeoutMs = commitTimeoutMs(host.config.properties)
    const config = groupsConfig(host.config.properties, (name) => host.image.configs({ kind: 'group', name }))
    this.createShard = () => machines.createShard(config, this.topics, host.world.random)
  }

  // What the Kafka handlers ask.

  ask<R>(question: GroupQuestion<R>): () => void {
    const partition = this.partitionFor(question.groupId)
    if (typeof partition !== 'number') return partition.ask(question)
    question.failed(partition)
    return () => {}
  }

  homeOf(groupId: string): PartitionImage | null {
    if (!this.serving()) return null
    const topic = this.host.image.topicByName(OFFSETS_TOPIC)
    if (topic !== null) return topic.partitions[this.machines.partitionOf(groupId, topic.partitions.length)] ?? null
    this.topic.want()
    return null
  }

  list(states: readonly string[], types: readonly string[]): ListedGroups | ErrorCode {
    if (!this.serving()) return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const all: ListedGroups[number][] = []
    for (const partition of this.partitions.values()) {
      const listed = partition.list(states, types)
      if (listed === null) return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
      all.push(...listed)
    }
    return all
  }

  view(groupId: string): GroupView | ErrorCode {
    const partition = this.partitionFor(groupId)
    if (typeof partition === 'number') return partition
    if (partition.active === null) return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    return partition.view(groupId) ?? ErrorCode.GROUP_ID_NOT_FOUND
  }

  *views(): Iterable<GroupView> {
    for (const partition of this.partitions.values()) yield* partition.views() ?? []
  }

  // What the broker tells.

  /** A replica may have begun or ended to lead, or does so under another epoch. */
  replicaChanged(replica: CoordinatedReplica): void {
    if (replica.topic !== OFFSETS_TOPIC) return
    const { machine, partition: number } = replica
    const leads = machine.role === 'leader' && replica.outOfService === ErrorCode.NONE
    const before = this.partitions.get(number)
    if (before?.replica === replica && leads && before.leaderEpoch === machine.leaderEpoch) return
    // A replica of a topic that was made anew takes the place of the old one's, whose end must not be its own.
    if (before !== undefined && (before.replica === replica || leads)) {
      this.partitions.delete(number)
      before.end()
    }
    if (leads) this.partitions.set(number, new GroupPartition(this, replica))
  }

  imageChanged(changes: CollectedChanges): void {
    const changed = this.topics.follow(changes)
    if (!changed) return
    const deleted = [...changes.deletedTopics].map(([id, name]) => ({ id, name }))
    for (const partition of this.partitions.values()) {
      partition.topicsChanged(deleted)
      if (changes.all) partition.forgetMissingTopics()
    }
  }

  /** The broker stops: everybody who waits is told to look elsewhere. */
  end(): void {
    for (const partition of this.partitions.values()) partition.end()
    this.partitions.clear()
  }

  // What the partitions ask.

  serving(): boolean {
    return this.host.serving()
  }

  missing(topic: string): boolean {
    return this.host.image.topicByName(topic) === null
  }

  rebalanced(rebalance: Rebalance): void {
    const { groupId, generation, causes, startedMs, endedMs, members, moved } = rebalance
    const fields = { group: groupId, generation, durationMs: endedMs - startedMs, members, moved, causes }
    this.world.log.info(fields, 'group rebalanced')
    this.host.rebalanced(rebalance)
  }

  private partitionFor(groupId: string): GroupPartition | ErrorCode {
    if (!this.serving()) return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const home = this.homeOf(groupId)
    if (home === null) return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const led = this.partitions.get(home.partition)
    if (led !== undefined && led.replica.topicId === home.topicId) return led
    // The replica may be in the making.
    const own = home.leader === this.host.config.nodeId
    return own ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : ErrorCode.NOT_COORDINATOR
  }
}
