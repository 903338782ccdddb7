import { ErrorCode } from '@millrace/base'
import type { OffsetCommit, TopicPartitions } from '../seams.ts'
import type { ConsumerGroupState } from './group-state.ts'
import type { Member } from './member.ts'

/**
 * Whether a member may commit for a partition in this epoch of its: the current one, or an older one in which it had the partition already,
 * so that nobody else can have read further.
 */
export function commitProblem(
  group: ConsumerGroupState,
  { memberId, generation, knowsMemberEpochs }: Pick<OffsetCommit, 'memberId' | 'generation' | 'knowsMemberEpochs'>,
  topicId: TopicPartitions['topicId'],
  partition: number,
): ErrorCode {
  const member = group.members.get(memberId)
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
  // Clients that speak of member epochs say so by the version of their request.
  if (!member.isClassic && !knowsMemberEpochs) return ErrorCode.UNSUPPORTED_VERSION
  const { memberEpoch, assigned, revoking } = member.current
  if (generation === memberEpoch && generation > 0) return ErrorCode.NONE
  const given = assigned.get(topicId)?.get(partition) ?? revoking.get(topicId)?.get(partition)
  const isOwn = given !== undefined && generation >= given && generation < memberEpoch
  return isOwn ? ErrorCode.NONE : staleEpoch(member)
}

/** Whether a member in this epoch of its may read the group's offsets. */
export function fetchProblem(group: ConsumerGroupState, memberId: string, memberEpoch: number): ErrorCode {
  const member = group.members.get(memberId)
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
  return member.current.memberEpoch === memberEpoch && memberEpoch > 0 ? ErrorCode.NONE : staleEpoch(member)
}

function staleEpoch({ isClassic }: Member): ErrorCode {
  return isClassic ? ErrorCode.ILLEGAL_GENERATION : ErrorCode.STALE_MEMBER_EPOCH
}
