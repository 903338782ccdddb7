import { ErrorCode } from '@millrace/base'
import { TopicPattern } from '../regex/topic-pattern.ts'
import type { ConsumerHeartbeat } from '../seams.ts'
import type { ConsumerGroupState } from './group-state.ts'
import { LEAVE_FOR_A_WHILE, refusal } from './heartbeat-problem.ts'
import type { Refusal } from './heartbeat-problem.ts'
import { ownsOnly } from './holding.ts'
import type { Member } from './member.ts'

/** Null for a regular expression that can be matched; one that a member of the group has already can be. */
export function patternProblem(group: ConsumerGroupState, { topicRegex }: ConsumerHeartbeat): Refusal | null {
  if (topicRegex === null || topicRegex === '' || group.patterns.of(topicRegex) > 0) return null
  const pattern = TopicPattern.compile(topicRegex)
  if (pattern instanceof TopicPattern) return null
  return refusal(ErrorCode.INVALID_REGULAR_EXPRESSION, pattern.problem)
}

/**
 * What speaks against a member that wants to join, or to join again: that it owns nothing lets it in whatever its epoch was. Kafka refuses a static member that
 * is in the group already even by its own id (111), which its client takes for fatal; here a join whose answer was lost can be said again.
 */
export function joinProblem(group: ConsumerGroupState, request: ConsumerHeartbeat, maxSize: number): Refusal | null {
  const { members, statics } = group
  const { memberId, instanceId } = request
  const holder = instanceId === null ? undefined : statics.get(instanceId)
  if (holder !== undefined && holder !== memberId) {
    const held = members.get(holder)
    // A member of the classic protocol that comes back by the newer one was upgraded: its former process has no way to say that it ends.
    if (held?.current.memberEpoch === LEAVE_FOR_A_WHILE || held?.isClassic === true) return null
    return refusal(
      ErrorCode.UNRELEASED_INSTANCE_ID,
      `the instance id ${JSON.stringify(instanceId)} is in use by member ${holder}`,
    )
  }
  if (members.has(memberId) || members.size < maxSize) return null
  return refusal(ErrorCode.GROUP_MAX_SIZE_REACHED, `the group has ${maxSize} members, and that is the most`)
}

/** What speaks against a request of a member that says it is in the group, in an epoch. */
export function memberProblem(group: ConsumerGroupState, request: ConsumerHeartbeat): Refusal | null {
  const unknown = membershipProblem(group, request)
  if (unknown !== null) return unknown
  const { memberEpoch, previousEpoch, assigned } = (group.members.get(request.memberId) as Member).current
  if (request.memberEpoch === memberEpoch) return null
  // The answer that told the newer epoch may be lost, unless the member has something that it can only have from elsewhere.
  const missedAnswer = request.memberEpoch < memberEpoch && request.memberEpoch === previousEpoch
  if (missedAnswer && request.owned !== null && ownsOnly(request.owned, assigned)) return null
  return refusal(
    ErrorCode.FENCED_MEMBER_EPOCH,
    `member epoch ${request.memberEpoch} is not ${memberEpoch}, as the coordinator knows it: give up all partitions and join again`,
  )
}

/** What speaks against a request of a member that says it is in the group. */
export function membershipProblem(group: ConsumerGroupState, request: ConsumerHeartbeat): Refusal | null {
  const { memberId, instanceId } = request
  const holder = instanceId === null ? undefined : group.statics.get(instanceId)
  if (holder !== undefined && holder !== memberId)
    return refusal(ErrorCode.FENCED_INSTANCE_ID, `the instance id ${instanceId} belongs to member ${holder} now`)
  if (group.members.has(memberId) && (instanceId === null || holder === memberId)) return null
  return refusal(ErrorCode.UNKNOWN_MEMBER_ID, `member ${memberId} is not in the group`)
}
