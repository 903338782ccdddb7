import { ErrorCode, randomUuid } from '@millrace/base'
import { CONSUMER_PROTOCOL, encodeAssignment, readSubscription } from '../classic/consumer-protocol.ts'
import type { PartitionsByName, Subscription } from '../classic/consumer-protocol.ts'
import { fitsRecord } from '../classic/member.ts'
import { joinFailed, syncFailed } from '../classic/responses.ts'
import type {
  Heartbeat,
  JoinGroup,
  JoinGroupResponse,
  LeaveGroup,
  LeaveGroupResponse,
  MemberClaim,
  SyncGroup,
  SyncGroupResponse,
  TopicPartitions,
  TopicsView,
} from '../seams.ts'
import type { Turn } from '../turn.ts'
import type { Course } from './course.ts'
import type { Member } from './member.ts'
import { classicFacts } from './member-facts.ts'
import { MemberState } from './reconciliation.ts'

/**
 * Members of the classic protocol in a group of the newer one. Nobody waits: a JoinGroup is answered at once with the member's epoch as the generation, a
 * SyncGroup with what it may have in it, and a Heartbeat says REBALANCE_IN_PROGRESS whenever joining again would bring it further. No member leads. The
 * bytes that clients exchange through a classic coordinator are read and written here.
 */

/** JoinGroup, all versions. What is wrong with the request alone was looked at before. */
export function joinClassic(course: Course, request: JoinGroup, turn: Turn): void {
  turn.out.answer(course.groupId, request.reply, joinOutcome(course, request, turn))
}

function joinOutcome(course: Course, request: JoinGroup, turn: Turn): JoinGroupResponse {
  const { groupInstanceId, memberId } = request
  const error = joinProblem(course, request)
  const subscription = readSubscription(request.protocols[0]?.metadata ?? NOTHING)
  if (error !== ErrorCode.NONE) return joinFailed(error === ErrorCode.GROUP_MAX_SIZE_REACHED ? '' : memberId, error)
  // What no record can hold is not taken in.
  if (!fitsRecord(request.protocols)) return joinFailed(memberId, ErrorCode.INVALID_REQUEST)
  if (subscription === null) return joinFailed(memberId, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  const id = memberId === '' ? randomUuid(course.context.random) : memberId
  if (memberId === '' && groupInstanceId === null && request.requireKnownMemberId)
    return joinFailed(id, ErrorCode.MEMBER_ID_REQUIRED)
  const member = take(course, request, { id, subscription }, turn)
  return joined(member)
}

function joinProblem(course: Course, { memberId, groupInstanceId, protocolType, protocols }: JoinGroup): ErrorCode {
  const { durable, context } = course
  const { members, statics } = durable
  const holder = groupInstanceId === null ? undefined : statics.get(groupInstanceId)
  const isThere = members.has(memberId) || holder !== undefined
  if (!isThere && members.size >= context.config.consumer.maxSize) return ErrorCode.GROUP_MAX_SIZE_REACHED
  if (protocolType !== CONSUMER_PROTOCOL || !durable.supportsOneOf(protocols.map(({ name }) => name)))
    return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
  if (groupInstanceId === null || memberId === '' || holder === memberId) return ErrorCode.NONE
  return holder === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : ErrorCode.FENCED_INSTANCE_ID
}

/** The member is in the group, with what it says it has and wants, and a step nearer to what it is to have. */
function take(
  course: Course,
  request: JoinGroup,
  { id, subscription }: { readonly id: string; readonly subscription: Subscription },
  turn: Turn,
): Member {
  const { members, statics } = course.durable
  const { groupInstanceId, clientId } = request
  const replaced = groupInstanceId === null ? undefined : statics.get(groupInstanceId)
  if (replaced !== undefined && replaced !== id) course.replace(replaced, id, turn.out)
  else if (!members.has(id))
    course.cause({ reason: 'joined', memberId: id, clientId, detail: request.reason ?? '' }, turn.nowMs)
  const known = members.get(id) ?? null
  const facts = classicFacts(known?.facts ?? null, request, subscription)
  course.update({ memberId: id, facts, isNew: known === null }, turn)
  const member = members.get(id) as Member
  member.rejoinDueMs = Number.POSITIVE_INFINITY
  member.syncDueMs = turn.nowMs + facts.rebalanceTimeoutMs
  course.advance(member, ownedBy(subscription, course.context.topics), turn)
  return member
}

function joined({ memberId, current, facts }: Member): JoinGroupResponse {
  return {
    error: ErrorCode.NONE,
    generation: current.memberEpoch,
    protocolType: CONSUMER_PROTOCOL,
    protocolName: facts.classic?.protocols[0]?.name ?? '',
    leader: '',
    skipAssignment: false,
    memberId,
    members: [],
  }
}

function ownedBy({ owned }: Subscription, topics: TopicsView): TopicPartitions[] {
  return owned.flatMap(({ topic, partitions }) => {
    const id = topics.byName(topic)?.id
    return id === undefined ? [] : [{ topicId: id, partitions }]
  })
}

/** SyncGroup, all versions: what the member may have in its generation. What it brings is nobody's assignment. */
export function syncClassic(course: Course, request: SyncGroup, turn: Turn): void {
  turn.out.answer(course.groupId, request.reply, syncOutcome(course, request, turn))
}

function syncOutcome(course: Course, request: SyncGroup, { nowMs }: Turn): SyncGroupResponse {
  const member = claimed(course, request)
  if (typeof member === 'number') return syncFailed(member)
  const protocol = member.facts.classic?.protocols[0]
  const { protocolType, protocolName } = request
  const isOther =
    (protocolType !== null && protocolType !== CONSUMER_PROTOCOL) ||
    (protocolName !== null && protocolName !== protocol?.name)
  if (isOther) return syncFailed(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  if (member.current.memberEpoch < course.durable.targetEpoch && !member.isRevoking) {
    expectRejoin(course, member, nowMs)
    return syncFailed(ErrorCode.REBALANCE_IN_PROGRESS)
  }
  member.syncDueMs = Number.POSITIVE_INFINITY
  course.heardOf(member, nowMs)
  const assignment = encodeAssignment(assignedTo(member, course.context.topics), protocol?.metadata ?? NOTHING)
  return { error: ErrorCode.NONE, protocolType: CONSUMER_PROTOCOL, protocolName: protocol?.name ?? '', assignment }
}

function assignedTo({ current }: Member, topics: TopicsView): PartitionsByName {
  return [...current.assigned].flatMap(([topicId, partitions]) => {
    const topic = topics.byId(topicId)?.name
    return topic === undefined ? [] : [{ topic, partitions: [...partitions.keys()] }]
  })
}

/** Heartbeat, all versions. */
export function heartbeatClassic(course: Course, request: Heartbeat, turn: Turn): void {
  turn.out.answer(course.groupId, request.reply, { error: heartbeatOutcome(course, request, turn.nowMs) })
}

function heartbeatOutcome(course: Course, request: Heartbeat, nowMs: number): ErrorCode {
  const member = claimed(course, request)
  if (typeof member === 'number') return member
  course.heardOf(member, nowMs)
  if (!hasToRejoin(course, member)) return ErrorCode.NONE
  expectRejoin(course, member, nowMs)
  return ErrorCode.REBALANCE_IN_PROGRESS
}

/** There is a newer target, or something to give up, or something that is free for it now. */
function hasToRejoin(course: Course, member: Member): boolean {
  if (member.current.memberEpoch < course.durable.targetEpoch || member.isRevoking) return true
  return member.current.state === MemberState.waiting && !course.waitsForOthers(member)
}

function expectRejoin(course: Course, member: Member, nowMs: number): void {
  if (member.rejoinDueMs === Number.POSITIVE_INFINITY) member.rejoinDueMs = nowMs + member.facts.rebalanceTimeoutMs
  course.expect(member.rejoinDueMs)
}

/** The member of the classic protocol that speaks, in the generation that it is in; else what is wrong with its claim. */
function claimed({ durable }: Course, { memberId, groupInstanceId, generation }: MemberClaim): Member | ErrorCode {
  if (groupInstanceId !== null) {
    const holder = durable.statics.get(groupInstanceId)
    if (holder === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    if (holder !== memberId) return ErrorCode.FENCED_INSTANCE_ID
  }
  const member = durable.members.get(memberId)
  if (member === undefined || !member.isClassic) return ErrorCode.UNKNOWN_MEMBER_ID
  return member.current.memberEpoch === generation ? member : ErrorCode.ILLEGAL_GENERATION
}

/** LeaveGroup, all versions, of members of either protocol: operators remove those too. */
export function leaveClassic(course: Course, request: LeaveGroup, turn: Turn): void {
  const leaving = new Set<Member>()
  const members = request.members.map(({ memberId, groupInstanceId }) => {
    const member = leaver(course, memberId, groupInstanceId)
    if (typeof member === 'number') return { memberId, groupInstanceId, error: member }
    leaving.add(member)
    return { memberId, groupInstanceId, error: ErrorCode.NONE }
  })
  const byOperator = request.members.every(({ memberId }) => memberId === '')
  if (leaving.size > 0) course.remove([...leaving], byOperator ? 'removed' : 'left', turn)
  const response: LeaveGroupResponse = { error: ErrorCode.NONE, members }
  turn.out.answer(course.groupId, request.reply, response)
}

function leaver({ durable }: Course, memberId: string, groupInstanceId: string | null): Member | ErrorCode {
  const holder = groupInstanceId === null ? memberId : durable.statics.get(groupInstanceId)
  const member = holder === undefined ? undefined : durable.members.get(holder)
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
  // Operators remove static members without knowing their ids.
  const isFenced = groupInstanceId !== null && memberId !== '' && memberId !== holder
  return isFenced ? ErrorCode.FENCED_INSTANCE_ID : member
}

const NOTHING = new Uint8Array(0)
