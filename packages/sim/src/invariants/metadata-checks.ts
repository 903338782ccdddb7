import type { EntryKind, Uuid } from '@millrace/base'
import {
  type BrokerImage,
  type ClusterImage,
  createImage,
  type ImageChanges,
  type PartitionImage,
} from '@millrace/metadata'
import { demand } from './demand.ts'
import { Timeline } from './timeline.ts'

/** Told of every partition that a committed entry created or changed; `old` is null for a new one. */
export type PartitionDecided = (now: PartitionImage, old: PartitionImage | null) => void

/** What one committed entry changed. */
interface Change {
  readonly index: number
  readonly partitions: readonly PartitionImage[]
  readonly deleted: readonly Uuid[]
  readonly brokers: readonly number[]
}

/**
 * The cluster's metadata as the committed log makes it, applied here once, in order: what every node's image is held against, and
 * what the controller decided is judged by.
 */
export class MetadataChecks {
  readonly image = createImage()
  readonly counts = { decisions: 0, images: 0 }
  /** Names of topics that were deleted: what was promised under them may be about another topic. */
  readonly reused = new Set<string>()
  private committed = 0
  private readonly changes: Change[] = []
  private readonly partitions = new Timeline<string, PartitionImage | null>()
  private readonly brokers = new Timeline<number, BrokerImage | undefined>()
  private readonly epochs = new Map<number, number>()
  private readonly decided: PartitionDecided
  private readonly topicDeleted: (topicId: Uuid, partitions: number) => void

  constructor(decided: PartitionDecided, topicDeleted: (topicId: Uuid, partitions: number) => void) {
    this.decided = decided
    this.topicDeleted = topicDeleted
  }

  /** Entries of every kind are told of, so that an image may be as of one that is no metadata: a snapshot's. */
  entryCommitted(index: number, kind: EntryKind, payload: Uint8Array): void {
    this.committed = index
    if (kind !== 'data') return
    const changes = this.image.apply(index, payload)
    this.counts.decisions++
    const deleted: Uuid[] = []
    for (const topic of changes.deletedTopics) {
      this.reused.add(topic.name)
      deleted.push(topic.id)
      for (const { partition } of topic.partitions) this.partitions.set(partitionKey(topic.id, partition), index, null)
      this.topicDeleted(topic.id, topic.partitions.length)
    }
    this.changes.push({ index, partitions: changes.partitions, deleted, brokers: changes.brokers })
    this.takeBrokers(index, changes)
    for (const partition of changes.partitions) this.takePartition(index, partition)
    for (const id of changes.brokers) for (const partition of this.image.partitionsOf(id)) this.isrIsActive(partition)
  }

  private takeBrokers(index: number, { brokers }: ImageChanges): void {
    for (const id of brokers) {
      const broker = this.image.brokers.get(id)
      const epoch = this.epochs.get(id) ?? -1
      this.brokers.set(id, index, broker)
      if (broker === undefined) continue
      demand(
        broker.epoch >= epoch,
        'BrokerEpochMonotonic',
        () => `broker ${id} gets epoch ${broker.epoch} after ${epoch}`,
      )
      this.epochs.set(id, broker.epoch)
    }
  }

  private takePartition(index: number, now: PartitionImage): void {
    const key = partitionKey(now.topicId, now.partition)
    const old = this.partitions.asOf(key, index) ?? null
    this.partitions.set(key, index, now)
    const name = (): string => nameOf(now)
    this.isrIsActive(now)
    const { replicas, isr, elr, leader } = now
    demand(
      isr.every((id) => replicas.includes(id)),
      'IsrWithinReplicas',
      name,
    )
    demand(
      elr.every((id) => replicas.includes(id) && !isr.includes(id)),
      'ElrApartFromIsr',
      name,
    )
    demand(leader === -1 || isr.includes(leader), 'LeaderInIsr', name)
    demand(leader === -1 || isr.length > 0, 'LeaderInIsr', name)
    if (old !== null) {
      const moved = leader !== old.leader
      const rises = now.leaderEpoch >= old.leaderEpoch + (moved ? 1 : 0) && now.partitionEpoch > old.partitionEpoch
      demand(rises, 'EpochMonotonic', () => `${name()} after ${partitionText(old)}`)
    }
    this.decided(now, old)
  }

  /** A broker that is fenced or on its way out leaves the ISR, and with it all leadership, in the entry that says so. */
  private isrIsActive(partition: PartitionImage): void {
    for (const id of partition.isr) {
      const broker = this.image.brokers.get(id)
      demand(
        broker === undefined || (!broker.fenced && !broker.shuttingDown),
        'IsrIsActive',
        () => `broker ${id} is ${broker?.fenced === true ? 'fenced' : 'shutting down'}; ${nameOf(partition)}`,
      )
    }
  }

  /** A node's image went from the entry `from` to the one it has now: it must be what the committed log says. */
  imageMoved(name: string, image: ClusterImage, from: number): void {
    this.counts.images++
    const { index } = image
    demand(index > from, 'ImageMonotonic', () => `the image of ${name} goes from ${from} back to ${index}`)
    demand(
      index <= this.committed,
      'ImageIsCommitted',
      () => `${name} has applied entry ${index}, committed is ${this.committed}`,
    )
    for (let at = this.after(from); at < this.changes.length; at++) {
      const change = this.changes[at] as Change
      if (change.index > index) return
      for (const { topicId, partition } of change.partitions) this.samePartition(name, image, topicId, partition)
      for (const topicId of change.deleted)
        demand(!image.topics.has(topicId), 'ImageIsCommitted', () => `${name} still has the deleted topic ${topicId}`)
      for (const id of change.brokers) this.sameBroker(name, image, id)
    }
  }

  private samePartition(name: string, image: ClusterImage, topicId: Uuid, partition: number): void {
    const has = image.partition(topicId, partition)
    const due = this.partitions.asOf(partitionKey(topicId, partition), image.index) ?? null
    const same = has === null || due === null ? has === due : partitionText(has) === partitionText(due)
    demand(
      same,
      'ImageIsCommitted',
      () =>
        `${name} has ${due?.topic ?? topicId}-${partition} as ${has && partitionText(has)} at entry ${image.index}, committed is ${due && partitionText(due)}`,
    )
  }

  private sameBroker(name: string, image: ClusterImage, id: number): void {
    const has = image.brokers.get(id)
    const due = this.brokers.asOf(id, image.index)
    demand(
      has?.epoch === due?.epoch && has?.fenced === due?.fenced && has?.shuttingDown === due?.shuttingDown,
      'ImageIsCommitted',
      () => `${name} has broker ${id} with epoch ${has?.epoch}, committed is ${due?.epoch}`,
    )
  }

  /** Where the first change after the entry `index` is. */
  private after(index: number): number {
    let low = 0
    let high = this.changes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.changes[middle] as Change).index > index) high = middle
      else low = middle + 1
    }
    return low
  }
}

export function partitionKey(topicId: Uuid, partition: number): string {
  return `${topicId}-${partition}`
}

function nameOf(partition: PartitionImage): string {
  return `${partition.topic}-${partition.partition}: ${partitionText(partition)}`
}

/** Everything that replicas act on. */
export function partitionText(partition: PartitionImage): string {
  const { replicas, directories, isr, elr, leader, leaderEpoch, partitionEpoch, leaderRecovery } = partition
  return `leader ${leader} epoch ${leaderEpoch}.${partitionEpoch} of ${replicas.join()} in ${directories.join()}, ISR ${isr.join()}, ELR ${elr.join()}, ${leaderRecovery}`
}
