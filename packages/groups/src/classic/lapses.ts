import type { OutcomeBuilder } from '../outcome.ts'
import type { RebalanceReason } from '../seams.ts'
import type { Turn } from '../turn.ts'
import type { Gathering } from './gathering.ts'
import type { ClassicMember } from './member.ts'
import type { PendingIds } from './pending-ids.ts'
import type { Roster } from './roster.ts'

/** What of a group ends by time, and how it goes on then. */
interface Lapsing {
  readonly roster: Roster
  readonly pending: PendingIds
  readonly gathering: Gathering | null
  syncDueMs: number
  cause(reason: RebalanceReason, member: ClassicMember | null, detail: string, nowMs: number): void
  remove(member: ClassicMember, out: OutcomeBuilder): void
  membersLost(turn: Turn): void
  prepareRebalance(turn: Turn): void
}

export function earliestDueMs({ roster, pending, gathering, syncDueMs }: Lapsing): number {
  let dueMs = Math.min(syncDueMs, gathering?.dueMs ?? Number.POSITIVE_INFINITY, pending.earliestDueMs)
  for (const member of roster) dueMs = Math.min(dueMs, member.sessionDueMs)
  return dueMs
}

/** Members that were not heard of in time are gone, and ids that nobody came with are forgotten. */
export function expireMembers(group: Lapsing, turn: Turn): void {
  let lost = false
  const forgotten = group.pending.expire(turn.nowMs)
  for (const member of group.roster) {
    if (member.sessionDueMs > turn.nowMs) continue
    if (member.isWaiting && !member.isNew) {
      member.sessionDueMs = Number.POSITIVE_INFINITY
      continue
    }
    group.cause('session-timeout', member, '', turn.nowMs)
    group.remove(member, turn.out)
    lost = true
  }
  // A rebalance may have waited for those alone who are gone.
  if (lost || (forgotten && group.gathering !== null)) group.membersLost(turn)
}

/** Members that never asked for their assignment are gone, and what they were given is divided anew. */
export function expireUnsynced(group: Lapsing, turn: Turn): void {
  group.syncDueMs = Number.POSITIVE_INFINITY
  const silent = [...group.roster].filter((member) => !member.synced)
  for (const member of silent) {
    group.cause('rebalance-timeout', member, 'it did not ask for its assignment', turn.nowMs)
    group.remove(member, turn.out)
  }
  if (silent.length > 0) group.prepareRebalance(turn)
}
