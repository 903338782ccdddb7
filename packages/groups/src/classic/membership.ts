import { ErrorCode } from '@millrace/base'
import type { Heartbeat, LeaveGroup, LeaveGroupResponse, SyncGroup } from '../seams.ts'
import type { Turn } from '../turn.ts'
import type { ClassicGroup } from './group.ts'
import { syncFailed } from './responses.ts'

/** SyncGroup, all versions: followers wait for what the leader brings. */
export function syncGroup(group: ClassicGroup, request: SyncGroup, turn: Turn): void {
  const { nowMs, out } = turn
  const fail = (error: ErrorCode): void => out.answer(group.groupId, request.reply, syncFailed(error))
  const error = syncProblem(group, request)
  const member = group.roster.get(request.memberId)
  if (error !== ErrorCode.NONE || member === null) return fail(error)
  if (group.state !== 'CompletingRebalance' && group.state !== 'Stable') return fail(ErrorCode.REBALANCE_IN_PROGRESS)
  // The newer of two SyncGroups of a member is the one that counts.
  group.answerSync(member, out, ErrorCode.REBALANCE_IN_PROGRESS)
  member.sync = request.reply
  member.synced = true
  if (group.state === 'Stable') {
    group.answerSync(member, out, ErrorCode.NONE)
    group.heardOf(member, nowMs)
  } else if (group.roster.leader === member.memberId)
    group.settle(new Map(request.assignments.map((one) => [one.memberId, one.assignment.slice()])), turn)
}

function syncProblem(group: ClassicGroup, request: SyncGroup): ErrorCode {
  const { memberId, groupInstanceId, generation, protocolType, protocolName } = request
  const error = group.roster.check(memberId, groupInstanceId)
  if (error !== ErrorCode.NONE) return error
  if (generation !== group.generation) return ErrorCode.ILLEGAL_GENERATION
  const sameType = protocolType === null || protocolType === group.protocolType
  const sameName = protocolName === null || group.protocol === null || protocolName === group.protocol
  return sameType && sameName ? ErrorCode.NONE : ErrorCode.INCONSISTENT_GROUP_PROTOCOL
}

/** Heartbeat, all versions. */
export function heartbeat(group: ClassicGroup, request: Heartbeat, turn: Turn): void {
  turn.out.answer(group.groupId, request.reply, { error: heartbeatOutcome(group, request, turn.nowMs) })
}

function heartbeatOutcome(group: ClassicGroup, request: Heartbeat, nowMs: number): ErrorCode {
  const error = group.roster.check(request.memberId, request.groupInstanceId)
  const member = group.roster.get(request.memberId)
  if (error !== ErrorCode.NONE || member === null) return error
  if (request.generation !== group.generation) return ErrorCode.ILLEGAL_GENERATION
  if (!member.isNew) group.heardOf(member, nowMs)
  return group.state === 'PreparingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
}

/** LeaveGroup, all versions: each member named leaves or has an error of its own; those who stay rebalance once. */
export function leaveGroup(group: ClassicGroup, request: LeaveGroup, turn: Turn): void {
  const members = request.members.map(({ memberId, groupInstanceId, reason }) => ({
    memberId,
    groupInstanceId,
    error: leave(group, { memberId, groupInstanceId, reason }, turn),
  }))
  turn.out.answer(group.groupId, request.reply, { error: ErrorCode.NONE, members })
  if (!members.some(({ error }) => error === ErrorCode.NONE)) return
  if (group.state === 'PreparingRebalance') group.joinedOrLeft(turn)
  else if (group.state !== 'Empty') group.prepareRebalance(turn)
}

function leave(group: ClassicGroup, leaving: LeaveGroup['members'][number], turn: Turn): ErrorCode {
  const { groupInstanceId, reason } = leaving
  if (leaving.memberId !== '' && group.pending.remove(leaving.memberId)) return ErrorCode.NONE
  // Operators remove static members without knowing their ids.
  const byInstance = leaving.memberId === '' && groupInstanceId !== null
  const memberId = byInstance ? (group.roster.staticMemberId(groupInstanceId) ?? '') : leaving.memberId
  const error = group.roster.check(memberId, groupInstanceId)
  const member = group.roster.get(memberId)
  if (error !== ErrorCode.NONE || member === null) return error
  group.cause(byInstance ? 'removed' : 'left', member, reason ?? '', turn.nowMs)
  group.remove(member, turn.out)
  return ErrorCode.NONE
}

/** LeaveGroup where there is no such group. */
export function leftNothing(error: ErrorCode): LeaveGroupResponse {
  return { error, members: [] }
}
