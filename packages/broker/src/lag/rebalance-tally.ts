import type { Rebalance, RebalanceReason } from '@millrace/groups'
import type { RebalanceTally } from './seams.ts'

/** Counts a group's rebalances. */
export class RebalanceCount implements RebalanceTally {
  count = 0
  totalMs = 0
  readonly reasons = new Map<RebalanceReason, number>()

  add({ startedMs, endedMs, causes }: Rebalance): void {
    this.count++
    this.totalMs += Math.max(0, endedMs - startedMs)
    const reason = causes[0]?.reason
    if (reason !== undefined) this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1)
  }
}

export const NO_REBALANCES: RebalanceTally = Object.freeze({ count: 0, totalMs: 0, reasons: new Map() })
