import { ErrorCode } from '@millrace/base'
import type { OffsetCommit } from '../seams.ts'
import type { ClassicGroup } from './group.ts'

/**
 * Whether a commit of this member and generation counts. Also while a rebalance is prepared: consumers commit what they read before they give up
 * their partitions, and would read it again else. Such a commit keeps the member alive.
 */
export function checkClassicCommit(group: ClassicGroup, request: OffsetCommit, nowMs: number): ErrorCode {
  const { memberId, groupInstanceId, generation } = request
  // Without a generation it comes from an operator, or from a consumer that is in no group: nobody may be in its way.
  if (generation < 0 && group.state === 'Empty') return ErrorCode.NONE
  const error = group.roster.check(memberId, groupInstanceId)
  const member = group.roster.get(memberId)
  if (error !== ErrorCode.NONE || member === null) return error
  if (generation !== group.generation) return ErrorCode.ILLEGAL_GENERATION
  if (group.state === 'CompletingRebalance') return ErrorCode.REBALANCE_IN_PROGRESS
  group.heardOf(member, nowMs)
  return ErrorCode.NONE
}
