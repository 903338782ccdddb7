import type { RecordNamed } from '../records/kinds.ts'
import type { CommittedOffset } from '../seams.ts'

/** What a group committed of a partition, and until when that holds. */
export interface Commit extends CommittedOffset {
  /** -1 unless whoever committed asked for a retention of its own. */
  readonly expireMs: number
}

/** The committed offsets of one group. */
export class GroupOffsets {
  private readonly topics = new Map<string, Map<number, Commit>>()

  get isEmpty(): boolean {
    return this.topics.size === 0
  }

  get(topic: string, partition: number): Commit | null {
    return this.topics.get(topic)?.get(partition) ?? null
  }

  /** The topics and, of each, the commits. */
  byTopic(): Iterable<readonly [topic: string, commits: ReadonlyMap<number, Commit>]> {
    return this.topics
  }

  ofTopic(topic: string): ReadonlyMap<number, Commit> | null {
    return this.topics.get(topic) ?? null
  }

  *all(): Iterable<Commit> {
    for (const commits of this.topics.values()) yield* commits.values()
  }

  replay({ key, value }: RecordNamed<'offsetCommit'>): void {
    const { topic, partition } = key
    const commits = this.topics.get(topic)
    if (value === null) {
      commits?.delete(partition)
      if (commits?.size === 0) this.topics.delete(topic)
      return
    }
    const { offset, leaderEpoch, metadata, commitMs, expireMs } = value
    const commit: Commit = { topic, partition, offset, leaderEpoch, metadata, commitMs, expireMs }
    if (commits === undefined) this.topics.set(topic, new Map([[partition, commit]]))
    else commits.set(partition, commit)
  }
}
