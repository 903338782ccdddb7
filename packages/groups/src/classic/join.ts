import { ErrorCode } from '@millrace/base'
import type { Random } from '@millrace/base'
import type { JoinGroup } from '../seams.ts'
import type { Turn } from '../turn.ts'
import type { ClassicGroup } from './group.ts'
import { ClassicMember, termsOf } from './member.ts'
import { newMemberId } from './member-id.ts'
import { joined, joinFailed } from './responses.ts'

/** A new member that waits is given up after this time, if the rebalance lasts that long: its client has long asked again. */
const NEW_MEMBER_TIMEOUT_MS = 5 * 60 * 1000

/** JoinGroup, all versions. What is wrong with the request alone was looked at before. */
export function joinGroup(group: ClassicGroup, request: JoinGroup, turn: Turn, random: Random): void {
  const fail = (error: ErrorCode, memberId = request.memberId): void =>
    turn.out.answer(group.groupId, request.reply, joinFailed(memberId, error))
  if (!hasRoom(group, request.memberId)) {
    giveUp(group, request.memberId, turn)
    fail(ErrorCode.GROUP_MAX_SIZE_REACHED, '')
  } else if (!speaksAlike(group, request)) fail(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  else if (request.memberId === '') joinUnknown(group, request, turn, random)
  else if (request.groupInstanceId === null && group.pending.has(request.memberId))
    addMember(group, request, request.memberId, turn)
  else {
    const error = group.roster.check(request.memberId, request.groupInstanceId)
    const member = group.roster.get(request.memberId)
    if (error !== ErrorCode.NONE || member === null) fail(error)
    else rejoin(group, request, member, turn)
  }
}

/** While members gather only those count that came, so that the last ones to come are those who find no place. */
function hasRoom(group: ClassicGroup, memberId: string): boolean {
  const { maxSize } = group.config
  const known = group.roster.get(memberId)
  switch (group.state) {
    case 'Empty':
      return true
    case 'PreparingRebalance':
      return (known !== null && known.join !== null) || group.roster.joined < maxSize
    default:
      return known !== null || group.roster.size < maxSize
  }
}

function giveUp(group: ClassicGroup, memberId: string, turn: Turn): void {
  group.pending.remove(memberId)
  const member = group.roster.get(memberId)
  if (member !== null) {
    group.cause('removed', member, 'more members than group.max.size', turn.nowMs)
    group.remove(member, turn.out)
  }
  group.joinedOrLeft(turn)
}

function speaksAlike(group: ClassicGroup, { protocolType, protocols }: JoinGroup): boolean {
  if (protocolType === '' || protocols.length === 0) return false
  if (group.state === 'Empty') return true
  return protocolType === group.protocolType && group.roster.supportsOneOf(protocols.map(({ name }) => name))
}

function joinUnknown(group: ClassicGroup, request: JoinGroup, turn: Turn, random: Random): void {
  const { groupInstanceId, clientId } = request
  const memberId = newMemberId(groupInstanceId ?? clientId, random)
  if (groupInstanceId !== null) {
    const replaced = group.roster.get(group.roster.staticMemberId(groupInstanceId) ?? '')
    if (replaced === null) addMember(group, request, memberId, turn)
    else replaceStatic(group, request, replaced, memberId, turn)
  } else if (request.requireKnownMemberId) {
    // Else a client whose first answer is lost would leave a member behind each time that it tries.
    const untilMs = turn.nowMs + request.sessionTimeoutMs
    group.pending.promise(memberId, untilMs)
    group.expect(untilMs)
    turn.out.answer(group.groupId, request.reply, joinFailed(memberId, ErrorCode.MEMBER_ID_REQUIRED))
  } else addMember(group, request, memberId, turn)
}

function addMember(group: ClassicGroup, request: JoinGroup, memberId: string, turn: Turn): void {
  const member = new ClassicMember(memberId, request.groupInstanceId, termsOf(request))
  group.pending.remove(memberId)
  if (group.roster.size === 0) group.protocolType = request.protocolType
  if (group.gathering !== null) group.gathering.newcomers = true
  group.roster.add(member)
  member.isNew = true
  member.join = request.reply
  member.sessionDueMs = turn.nowMs + NEW_MEMBER_TIMEOUT_MS
  group.expect(member.sessionDueMs)
  group.cause('joined', member, request.reason ?? '', turn.nowMs)
  group.membersChanged(turn)
}

function rejoin(group: ClassicGroup, request: JoinGroup, member: ClassicMember, turn: Turn): void {
  const { out, nowMs } = turn
  const same = member.matches(request.protocols)
  const leads = group.roster.leader === member.memberId
  switch (group.state) {
    case 'Empty':
      out.answer(group.groupId, request.reply, joinFailed(member.memberId, ErrorCode.UNKNOWN_MEMBER_ID))
      return
    case 'CompletingRebalance':
    case 'Stable':
      // The answer of this generation may be lost. A leader that asks again once all is well wants the work divided anew.
      if (same && !(leads && group.state === 'Stable')) {
        group.heardOf(member, nowMs)
        out.answer(group.groupId, request.reply, joined(group, member))
        return
      }
      group.cause(same ? 'leader-rejoined' : 'subscription-changed', member, request.reason ?? '', nowMs)
      break
    default:
      if (!same) group.cause('subscription-changed', member, request.reason ?? '', nowMs)
  }
  awaitJoin(group, request, member, turn)
  group.membersChanged(turn)
}

/** The newer of two JoinGroups of a member is the one that counts. */
function awaitJoin(group: ClassicGroup, request: JoinGroup, member: ClassicMember, turn: Turn): void {
  group.answerJoin(member, turn.out, joinFailed(member.memberId, ErrorCode.REBALANCE_IN_PROGRESS))
  group.roster.setTerms(member, termsOf(request))
  member.join = request.reply
}

/**
 * A static member comes back without its id: it takes its own place, and whoever still speaks in its name is fenced. While the group is stable
 * and its protocol stays the same nobody else notices.
 */
function replaceStatic(
  group: ClassicGroup,
  request: JoinGroup,
  old: ClassicMember,
  memberId: string,
  turn: Turn,
): void {
  const { nowMs, out } = turn
  const oldLeader = group.roster.leader ?? ''
  group.answerJoin(old, out, joinFailed(old.memberId, ErrorCode.FENCED_INSTANCE_ID))
  group.answerSync(old, out, ErrorCode.FENCED_INSTANCE_ID)
  const member = new ClassicMember(memberId, request.groupInstanceId, termsOf(request))
  member.assignment = old.assignment
  member.synced = old.synced
  group.roster.replace(old, member)
  group.heardOf(member, nowMs)
  if (group.state === 'Stable' && group.roster.elected() === group.protocol) {
    group.write(out)
    const leads = group.roster.leader === memberId
    const answer = request.supportsSkippingAssignment
      ? { ...joined(group, member), skipAssignment: leads }
      : // Whoever reads its own id as the leader's would divide the work anew.
        { ...joined(group, member), leader: oldLeader, members: [] }
    out.answer(group.groupId, request.reply, answer)
    return
  }
  member.join = request.reply
  group.cause('static-replaced', member, request.reason ?? '', nowMs)
  group.membersChanged(turn)
}
