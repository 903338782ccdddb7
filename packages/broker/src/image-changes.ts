import type { Uuid } from '@millrace/base'
import type { ImageChanges, PartitionImage } from '@millrace/metadata'

/** What the entries of one frame changed together: only where they end matters. */
export class CollectedChanges {
  all = false
  configs = false
  readonly brokers = new Set<number>()
  readonly topicConfigs = new Set<string>()
  /** Their names by id. */
  readonly deletedTopics = new Map<Uuid, string>()
  private readonly touched = new Map<Uuid, Set<number>>()

  add(changes: ImageChanges): void {
    if (changes.all) this.all = true
    for (const { id, name } of changes.deletedTopics) this.deletedTopics.set(id, name)
    for (const { topicId, partition } of changes.partitions) this.touch(topicId, partition)
    for (const { id, partitions } of changes.createdTopics)
      for (const { partition } of partitions) this.touch(id, partition)
    for (const broker of changes.brokers) this.brokers.add(broker)
    for (const { kind, name } of changes.configs)
      if (kind === 'topic') this.topicConfigs.add(name)
      else if (kind === 'broker') this.configs = true
  }

  /** The changed partitions as the image has them now. */
  *partitions(find: (topicId: Uuid, partition: number) => PartitionImage | null): Generator<PartitionImage> {
    for (const [topicId, numbers] of this.touched)
      for (const number of numbers) {
        const image = find(topicId, number)
        if (image !== null) yield image
      }
  }

  /** The topics of which any partition is new or changed. */
  get touchedTopics(): Iterable<Uuid> {
    return this.touched.keys()
  }

  private touch(topicId: Uuid, partition: number): void {
    let numbers = this.touched.get(topicId)
    if (numbers === undefined) this.touched.set(topicId, (numbers = new Set()))
    numbers.add(partition)
  }
}
