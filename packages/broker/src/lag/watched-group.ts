import { type CommittedOffset, LagWindow } from '@millrace/groups'
import { RebalanceCount } from './rebalance-tally.ts'

/** A group that this broker coordinates: windows of its commits by partition, and a tally of its rebalances. */
export class WatchedGroup {
  readonly sinceMs: number
  readonly rebalances = new RebalanceCount()
  /** The last survey that saw the group. */
  survey: number
  private topics = new Map<string, Map<number, LagWindow>>()
  /** Those that this survey has seen so far; the others are forgotten with its end. */
  private seen = new Map<string, Map<number, LagWindow>>()

  constructor(nowMs: number, survey: number) {
    this.sinceMs = nowMs
    this.survey = survey
  }

  window(topic: string, partition: number): LagWindow | null {
    return this.topics.get(topic)?.get(partition) ?? this.seen.get(topic)?.get(partition) ?? null
  }

  /** A look at a commit; `logEnd` is null where the log could not be looked at, and the window stays as it is. */
  look({ topic, partition, offset, commitMs }: CommittedOffset, logEnd: number | null, nowMs: number): void {
    const window = this.window(topic, partition) ?? new LagWindow()
    if (logEnd !== null) window.look({ offset, commitMs, logEnd, nowMs })
    const partitions = this.seen.get(topic)
    if (partitions === undefined) this.seen.set(topic, new Map([[partition, window]]))
    else partitions.set(partition, window)
  }

  /** All offsets of the group were looked at. */
  surveyed(survey: number): void {
    this.survey = survey
    this.topics = this.seen
    this.seen = new Map()
  }
}
