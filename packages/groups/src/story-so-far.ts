import type { Rebalance, RebalanceCause } from './seams.ts'

/** What a group's rebalances were, handed on to the group of the other type that it becomes. */
export interface StorySoFar {
  /** The last ones that ended, oldest first. */
  readonly kept: readonly Rebalance[]
  readonly begun: { readonly startedMs: number; readonly causes: readonly RebalanceCause[] } | null
}
