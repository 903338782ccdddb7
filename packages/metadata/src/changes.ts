import type { Uuid } from '@millrace/base'
import type { ClusterImage, ConfigResource, ImageChanges, PartitionImage, TopicImage } from './image.ts'

/** Collects what one batch touches; the answer is made once, from the state after it. */
export class ChangeLog {
  private readonly touched = new Map<Uuid, Set<number>>()
  private readonly created = new Set<Uuid>()
  private readonly deleted: TopicImage[] = []
  private readonly brokers = new Set<number>()
  private readonly configs = new Map<string, ConfigResource>()

  topicCreated(id: Uuid): void {
    this.created.add(id)
  }

  topicDeleted(topic: TopicImage): void {
    this.touched.delete(topic.id)
    if (!this.created.delete(topic.id)) this.deleted.push(topic)
  }

  partition(topicId: Uuid, partition: number): void {
    const known = this.touched.get(topicId)
    if (known === undefined) this.touched.set(topicId, new Set([partition]))
    else known.add(partition)
  }

  broker(id: number): void {
    this.brokers.add(id)
  }

  config(resource: ConfigResource): void {
    this.configs.set(`${resource.kind}/${resource.name}`, resource)
  }

  asOf(image: ClusterImage): ImageChanges {
    const partitions: PartitionImage[] = []
    for (const [topicId, indexes] of this.touched)
      for (const index of indexes) partitions.push(image.partition(topicId, index) as PartitionImage)
    return {
      all: false,
      partitions,
      createdTopics: [...this.created].map((id) => image.topics.get(id) as TopicImage),
      deletedTopics: this.deleted,
      brokers: [...this.brokers],
      configs: [...this.configs.values()],
    }
  }
}

/** What a loaded snapshot answers. */
export const EVERYTHING: ImageChanges = Object.freeze({
  all: true,
  partitions: [],
  createdTopics: [],
  deletedTopics: [],
  brokers: [],
  configs: [],
})
