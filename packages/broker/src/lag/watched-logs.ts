import { LogHistory } from '@millrace/groups'
import type { TopicImage } from '@millrace/metadata'
import type { PartitionId } from './offset-streams.ts'

/** A partition that some group of this broker has committed for. */
export interface WatchedLog extends PartitionId {
  readonly history: LogHistory
  /** The last survey that wanted it. */
  survey: number
}

/** The logs that groups read, by topic. A topic that was made anew is another one. */
export class WatchedLogs {
  private readonly topics = new Map<string, { readonly id: string; readonly partitions: Map<number, WatchedLog> }>()

  find({ id, name }: TopicImage, partition: number): WatchedLog | null {
    const topic = this.topics.get(name)
    return topic?.id === id ? (topic.partitions.get(partition) ?? null) : null
  }

  /** The partition's entry, made if need be, marked as wanted by the survey. True when it was not wanted by it yet. */
  want({ id, name }: TopicImage, partition: number, survey: number): boolean {
    let topic = this.topics.get(name)
    if (topic?.id !== id) this.topics.set(name, (topic = { id, partitions: new Map() }))
    const log = topic.partitions.get(partition)
    if (log === undefined) {
      topic.partitions.set(partition, { topicId: id, partition, history: new LogHistory(), survey })
      return true
    }
    const isNew = log.survey !== survey
    log.survey = survey
    return isNew
  }

  /** Forgets those that the survey did not want. */
  keepOnly(survey: number): void {
    for (const [name, { partitions }] of this.topics) {
      for (const [partition, log] of partitions) if (log.survey !== survey) partitions.delete(partition)
      if (partitions.size === 0) this.topics.delete(name)
    }
  }
}
