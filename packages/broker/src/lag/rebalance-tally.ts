import type { Rebalance, RebalanceReason } from '@millrace/groups'
import type { RebalanceTally } from './seams.ts'

/** Counts a group's rebalances. */
export class RebalanceCount implements RebalanceTally {
  count = 0
  totalMs = 0
  readonly reasons = new Map<RebalanceReason, number>()
  last: Rebalance | null = null

  add(rebalance: Rebalance): void {
    this.count++
    this.totalMs += Math.max(0, rebalance.endedMs - rebalance.startedMs)
    this.last = rebalance
    const reason = rebalance.causes[0]?.reason
    if (reason !== undefined) this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1)
  }
}

export const NO_REBALANCES: RebalanceTally = new RebalanceCount()
