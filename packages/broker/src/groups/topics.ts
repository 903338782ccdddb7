import type { Uuid } from '@millrace/base'
import type { TopicFacts, TopicsView } from '@millrace/groups'
import type { ClusterImage, PartitionImage, TopicImage } from '@millrace/metadata'
import type { CollectedChanges } from '../image-changes.ts'

const NOBODY: readonly string[] = Object.freeze([])

/** The topics of the image, as groups see them: leaders and in-sync sets come and go without their notice. */
export class ImageTopics implements TopicsView {
  version = 1
  private readonly image: () => ClusterImage
  /** What is known of each topic: the replicas of its partitions. */
  private known = new Map<Uuid, readonly PartitionImage[]>()
  private racks = new Map<number, string | null>()

  constructor(image: () => ClusterImage) {
    this.image = image
  }

  byName(name: string): TopicFacts | null {
    const topic = this.image().topicByName(name)
    return topic === null ? null : this.factsOf(topic)
  }

  byId(id: Uuid): TopicFacts | null {
    const topic = this.image().topics.get(id)
    return topic === undefined ? null : this.factsOf(topic)
  }

  *names(): Iterable<string> {
    for (const { name } of this.image().topics.values()) yield name
  }

  /** The image changed. True when anything did that groups care about. */
  follow(changes: CollectedChanges): boolean {
    const before = this.version
    if (changes.all) {
      this.version++
      this.known = new Map()
      for (const { id, partitions } of this.image().topics.values()) this.known.set(id, partitions)
    }
    for (const id of changes.deletedTopics.keys()) if (this.known.delete(id)) this.version++
    for (const id of changes.touchedTopics) this.look(id)
    if (changes.all || changes.brokers.size > 0) this.lookAtRacks()
    return this.version !== before
  }

  private look(id: Uuid): void {
    const now = this.image().topics.get(id)?.partitions
    if (now === undefined) return
    const before = this.known.get(id)
    this.known.set(id, now)
    if (before === undefined || before.length !== now.length || !now.every((one, at) => sameReplicas(one, before[at])))
      this.version++
  }

  private lookAtRacks(): void {
    const now = new Map<number, string | null>()
    for (const { id, rack } of this.image().brokers.values()) now.set(id, rack)
    const same = now.size === this.racks.size && [...now].every(([id, rack]) => this.racks.get(id) === rack)
    this.racks = now
    if (!same) this.version++
  }

  private factsOf({ id, name, partitions }: TopicImage): TopicFacts {
    return { id, name, partitions: partitions.length, racksOf: (partition) => this.racksOf(partitions[partition]) }
  }

  private racksOf(partition: PartitionImage | undefined): readonly string[] {
    if (partition === undefined) return NOBODY
    const racks = new Set<string>()
    for (const id of partition.replicas) {
      const rack = this.image().brokers.get(id)?.rack ?? null
      if (rack !== null) racks.add(rack)
    }
    return racks.size === 0 ? NOBODY : [...racks]
  }
}

function sameReplicas(one: PartitionImage, other: PartitionImage | undefined): boolean {
  if (one === other || one.replicas === other?.replicas) return true
  return one.replicas.length === other?.replicas.length && one.replicas.every((id, at) => id === other.replicas[at])
}
