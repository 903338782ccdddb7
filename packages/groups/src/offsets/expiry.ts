import type { OutcomeBuilder } from '../outcome.ts'
import type { Group, Registry } from '../registry.ts'
import type { Commit } from './group-offsets.ts'

/** What one turn looks at and removes at most: the records of a turn are one write, and requests wait for it. */
const LOOKS_PER_TURN = 20_000
const REMOVALS_PER_TURN = 1000

/** Removes offsets that nobody uses any more, and groups that have none left: all groups every now and then, a part of them at a time. */
export class OffsetExpiry {
  dueMs = Number.POSITIVE_INFINITY
  private readonly registry: Registry
  /** Groups that were not looked at yet in this round, the next one last. */
  private left: string[] = []

  constructor(registry: Registry) {
    this.registry = registry
  }

  begin(nowMs: number): void {
    this.dueMs = nowMs + this.registry.context.config.offsetsCheckMs
  }

  /** The groups that lost something are told to `changed`. */
  tick(nowMs: number, out: OutcomeBuilder, changed: (groupId: string) => void): void {
    if (nowMs < this.dueMs) return
    if (this.left.length === 0) this.left = [...this.registry.ids()]
    const budget = { looks: LOOKS_PER_TURN, removals: REMOVALS_PER_TURN }
    for (let groupId = this.left.pop(); groupId !== undefined; groupId = this.left.pop()) {
      const group = this.registry.get(groupId)
      if (group === null) continue
      const before = budget.removals
      this.expire(group, nowMs, out, budget)
      if (budget.removals < before) changed(groupId)
      if (budget.looks > 0 && budget.removals > 0) continue
      // Cut short within this group, perhaps: what is left of it has its turn again.
      if (budget.removals === 0) this.left.push(groupId)
      return
    }
    this.begin(nowMs)
  }

  private expire(group: Group, nowMs: number, out: OutcomeBuilder, budget: { looks: number; removals: number }): void {
    const { groupId } = group
    budget.looks--
    const since = retainedSince(group)
    if (since !== null)
      for (const [topic, commits] of this.registry.offsetsOf(groupId)?.byTopic() ?? []) {
        if (group.isSubscribed(topic)) continue
        for (const commit of commits.values()) {
          budget.looks--
          if (!this.isOver(commit, since(commit), nowMs)) continue
          if (budget.removals === 0) return
          budget.removals--
          out.record({ name: 'offsetCommit', key: { groupId, topic, partition: commit.partition }, value: null })
        }
      }
    if (group.state !== 'Empty' || this.registry.offsetsOf(groupId) !== null) return
    budget.removals = Math.max(budget.removals - 1, 0)
    if (group.type === 'classic') group.erase(out)
    else group.tombstones(out)
  }

  private isOver(commit: Commit, sinceMs: number, nowMs: number): boolean {
    if (commit.expireMs !== -1) return nowMs >= commit.expireMs
    return nowMs - sinceMs >= this.registry.context.config.offsetsRetentionMs
  }
}

/** From when on offsets of a group are kept for the retention time; null while none of them may go. */
function retainedSince(group: Group): ((commit: Commit) => number) | null {
  const byCommit = ({ commitMs }: Commit): number => commitMs
  // Nobody is in it, or nobody ever was: then whoever commits is all that there is.
  if (group.type === 'consumer' || group.protocolType === '') return byCommit
  if (group.state === 'Empty') return group.stateMs === -1 ? byCommit : () => group.stateMs
  return group.state === 'Stable' && group.knowsSubscriptions ? byCommit : null
}
