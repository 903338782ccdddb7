import type { Assignment } from '../assignors/assignment.ts'
import type { ConsumerGroupState, ConsumerRecord } from './group-state.ts'
import { heldPartitions, targetPartitions } from './holding.ts'
import type { Current } from './reconciliation.ts'

interface MemberKey {
  readonly groupId: string
  readonly memberId: string
}

/** What a member is to have. */
export function targetRecord(key: MemberKey, target: Assignment): ConsumerRecord {
  return { name: 'targetMember', key, value: { topics: targetPartitions(target) } }
}

/** What a member has. */
export function currentRecord(key: MemberKey, current: Current): ConsumerRecord {
  const { memberEpoch, previousEpoch, state } = current
  const assigned = heldPartitions(current.assigned)
  const revoking = heldPartitions(current.revoking)
  return { name: 'currentAssignment', key, value: { memberEpoch, previousEpoch, state, assigned, revoking } }
}

/** A member that is gone: in this order, so that a reader of the log never sees what it has without itself. */
export function memberTombstones(key: MemberKey): ConsumerRecord[] {
  return [
    { name: 'currentAssignment', key, value: null },
    { name: 'targetMember', key, value: null },
    { name: 'consumerMember', key, value: null },
  ]
}

/** A group of which nothing is left. */
export function groupTombstones(groupId: string, { members, regexes }: ConsumerGroupState): ConsumerRecord[] {
  return [
    ...[...members.keys()].flatMap((memberId) => memberTombstones({ groupId, memberId })),
    ...[...regexes.keys()].map((regex): ConsumerRecord => {
      return { name: 'regularExpression', key: { groupId, regex }, value: null }
    }),
    { name: 'targetMetadata', key: { groupId }, value: null },
    { name: 'consumerGroup', key: { groupId }, value: null },
  ]
}
