import { NO_PARTITIONS, sameAssignment } from '../assignors/assignment.ts'
import type { Assignment, Assignor } from '../assignors/assignment.ts'
import { range } from '../assignors/range.ts'
import { uniform } from '../assignors/uniform.ts'
import type { ConsumerGroupState } from './group-state.ts'
import type { Subscriptions } from './subscriptions.ts'

export type AssignorName = 'uniform' | 'range'

const ASSIGNORS: Readonly<Record<AssignorName, Assignor>> = { uniform, range }

/** The assignor that most members ask for, of those that are allowed; the first of these where nobody asks. */
export function preferredAssignor(state: ConsumerGroupState, allowed: readonly AssignorName[]): AssignorName {
  let best = allowed[0] ?? 'uniform'
  for (const name of allowed) if (state.assignorVotes.of(name) > state.assignorVotes.of(best)) best = name
  return best
}

/** The targets that differ from what they were, by member. */
export function changedTargets(
  state: ConsumerGroupState,
  subscriptions: Subscriptions,
  assignor: AssignorName,
): Map<string, Assignment> {
  const topics = subscriptions.topicsOf(state.members.values())
  const members = [...state.members.values()].map(({ memberId, facts }) => ({
    memberId,
    instanceId: facts.instanceId,
    topics: topics.get(memberId) ?? new Set<string>(),
    previous: state.targets.get(memberId) ?? NO_PARTITIONS,
  }))
  const changed = new Map<string, Assignment>()
  for (const [memberId, target] of ASSIGNORS[assignor](members, subscriptions.topics.counts())) {
    const before = state.targets.get(memberId)
    if (before === undefined || !sameAssignment(before, target)) changed.set(memberId, target)
  }
  return changed
}
