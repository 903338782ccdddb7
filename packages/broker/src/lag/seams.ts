import type { GroupMemberView, GroupState, GroupView, LagStatus, RebalanceReason } from '@millrace/groups'

/** How far behind a group is on one partition now; where the log ends is as of the last survey where this broker has no copy. Null where it is not known. */
export interface PartitionLag {
  readonly topic: string
  readonly partition: number
  /** What the group committed last, and when, in milliseconds since 1970. */
  readonly offset: number
  readonly commitMs: number
  readonly logStart: number | null
  readonly logEnd: number | null
  /** Records that are left to read. */
  readonly lag: number | null
  /** How long ago the first record that is left to read was written; 0 where none is. */
  readonly lagSeconds: number | null
  /** Until retention removes the first record that is left to read: 0 when it did, Infinity while nothing will be lost. */
  readonly secondsToRetention: number | null
  readonly status: LagStatus
  /** Who has the partition. */
  readonly member: GroupMemberView | null
}

/** What became of a group's rebalances since this broker coordinates it. */
export interface RebalanceTally {
  readonly count: number
  readonly totalMs: number
  /** By the reason of the cause that began each. */
  readonly reasons: ReadonlyMap<RebalanceReason, number>
}

/** A group and its lag; sums and maxima are over the partitions that are known, null while none is. */
export interface GroupLag {
  readonly groupId: string
  readonly type: GroupView['type']
  readonly state: GroupState
  readonly generation: number
  readonly members: number
  /** The worst of its partitions. */
  readonly status: LagStatus
  readonly sumLag: number | null
  readonly maxLag: number | null
  readonly maxLagSeconds: number | null
  readonly secondsToRetention: number | null
  readonly partitions: readonly PartitionLag[]
  /** Since when it is watched here: a window of commits, and the tally, begin anew with every coordinator. */
  readonly sinceMs: number
  readonly rebalances: RebalanceTally
}

/** The lag of the groups that this broker coordinates. What is told is computed when it is asked for. */
export interface GroupLags {
  /** When the last survey ended, in milliseconds since 1970; null before the first. */
  readonly surveyedMs: number | null
  /** All of them, one at a time: who writes them down may let others have their turn in between. */
  all(): Iterable<GroupLag>
  of(group: GroupView): GroupLag
}
