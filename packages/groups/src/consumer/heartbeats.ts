import { ErrorCode, randomUuid } from '@millrace/base'
import type { ConsumerHeartbeat, ConsumerHeartbeatResponse } from '../seams.ts'
import type { Turn } from '../turn.ts'
import { joinProblem, memberProblem, membershipProblem, patternProblem } from './admission.ts'
import type { Advance, Course } from './course.ts'
import { currentRecord } from './group-records.ts'
import { heartbeatProblem, LEAVE, LEAVE_FOR_A_WHILE, refusal } from './heartbeat-problem.ts'
import type { Refusal } from './heartbeat-problem.ts'
import { NOTHING, samePartitions, topicPartitions } from './holding.ts'
import type { Member } from './member.ts'
import { factsAfter } from './member-facts.ts'
import { MemberState } from './reconciliation.ts'

/**
 * How soon members are to ask again while the group rebalances: nobody can tell them when partitions are free, or that there is another target. A group sends
 * no more than a hundred heartbeats a second for that.
 */
const REBALANCING_HEARTBEAT_MS = 500
const REBALANCING_HEARTBEAT_PER_MEMBER_MS = 10

/** ConsumerGroupHeartbeat, all versions: a member joins, goes on, or leaves. */
export function respond(course: Course, request: ConsumerHeartbeat, turn: Turn): ConsumerHeartbeatResponse {
  const problem = heartbeatProblem(request, course.context.config) ?? patternProblem(course.durable, request)
  if (problem !== null) return refused(problem)
  if (request.memberEpoch !== 0 && !course.durable.exists)
    return refused(refusal(ErrorCode.GROUP_ID_NOT_FOUND, `there is no group ${JSON.stringify(course.groupId)}`))
  if (request.memberEpoch === LEAVE) return leave(course, request, turn)
  if (request.memberEpoch === LEAVE_FOR_A_WHILE) return leaveForAWhile(course, request, turn)
  const unfit =
    request.memberEpoch === 0
      ? joinProblem(course.durable, request, course.context.config.consumer.maxSize)
      : memberProblem(course.durable, request)
  if (unfit !== null) return refused(unfit)
  return request.memberEpoch === 0 ? join(course, request, turn) : goOn(course, request, turn)
}

/** A heartbeat that is answered with an error. */
export function refused({ error, message }: Refusal): ConsumerHeartbeatResponse {
  return { error, message, memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null }
}

function leave(course: Course, request: ConsumerHeartbeat, turn: Turn): ConsumerHeartbeatResponse {
  const problem = membershipProblem(course.durable, request)
  if (problem !== null) return refused(problem)
  course.remove([course.durable.members.get(request.memberId) as Member], 'left', turn)
  return farewell(request)
}

/** The member keeps what it has, except for what it was told to give up: its process ends. */
function leaveForAWhile(course: Course, request: ConsumerHeartbeat, turn: Turn): ConsumerHeartbeatResponse {
  const problem = membershipProblem(course.durable, request)
  if (problem !== null) return refused(problem)
  const member = course.durable.members.get(request.memberId) as Member
  const departed = { memberEpoch: LEAVE_FOR_A_WHILE, state: MemberState.stable, revoking: NOTHING }
  turn.out.record(currentRecord(course.keyOf(member.memberId), { ...member.current, ...departed }))
  course.restartTimers(member, turn.nowMs)
  return farewell(request)
}

function farewell({ memberId, memberEpoch }: ConsumerHeartbeat): ConsumerHeartbeatResponse {
  return { error: ErrorCode.NONE, message: null, memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null }
}

function join(course: Course, request: ConsumerHeartbeat, turn: Turn): ConsumerHeartbeatResponse {
  const memberId = request.memberId === '' ? randomUuid(course.context.random) : request.memberId
  const { members, statics } = course.durable
  const replaced = request.instanceId === null ? undefined : statics.get(request.instanceId)
  if (replaced !== undefined && replaced !== memberId) course.replace(replaced, memberId, turn.out)
  else if (!members.has(memberId))
    course.cause({ reason: 'joined', memberId, clientId: request.clientId, detail: '' }, turn.nowMs)
  update(course, request, memberId, turn)
  return answer(course, request, course.advance(members.get(memberId) as Member, [], turn))
}

function goOn(course: Course, request: ConsumerHeartbeat, turn: Turn): ConsumerHeartbeatResponse {
  update(course, request, request.memberId, turn)
  const member = course.durable.members.get(request.memberId) as Member
  return answer(course, request, course.advance(member, request.owned, turn))
}

function update(course: Course, request: ConsumerHeartbeat, memberId: string, turn: Turn): void {
  const member = course.durable.members.get(memberId) ?? null
  course.update({ memberId, facts: factsAfter(member?.facts ?? null, request), isNew: member === null }, turn)
  // Whatever it was to do as a member of the classic protocol is nobody's business any more.
  if (member?.isClassic === false) member.restClassic()
}

/** The assignment is told when it changed, to who asks for all, and, other than by Kafka, to who missed the answer that brought its epoch. */
function answer(course: Course, request: ConsumerHeartbeat, { member, before }: Advance): ConsumerHeartbeatResponse {
  const { current, memberId } = member
  const subscribes = request.topicNames !== null || request.topicRegex !== null
  const isWhole = request.rebalanceTimeoutMs !== -1 && subscribes && request.owned !== null
  const isNews = request.memberEpoch !== before.memberEpoch || !samePartitions(before.assigned, current.assigned)
  const isTold = request.memberEpoch === 0 || isWhole || isNews
  return {
    error: ErrorCode.NONE,
    message: null,
    memberId,
    memberEpoch: current.memberEpoch,
    heartbeatIntervalMs: heartbeatIntervalMs(course, member),
    assignment: isTold ? topicPartitions(current.assigned) : null,
  }
}

function heartbeatIntervalMs(course: Course, { current }: Member): number {
  const { heartbeatIntervalMs: usualMs } = course.times
  if (current.state !== MemberState.waiting && !course.story.underWay) return usualMs
  const { size } = course.durable.members
  return Math.min(Math.max(REBALANCING_HEARTBEAT_MS, size * REBALANCING_HEARTBEAT_PER_MEMBER_MS), usualMs)
}
