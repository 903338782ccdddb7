import { ErrorCode } from '@millrace/base'
import { areBounded } from './bounds.ts'
import type { ClassicGroup } from './classic/group.ts'
import { joinGroup } from './classic/join.ts'
import { heartbeat, leaveGroup, leftNothing, syncGroup } from './classic/membership.ts'
import { joinFailed, syncFailed } from './classic/responses.ts'
import { refused } from './consumer/heartbeats.ts'
import { downgrade } from './migration/downgrade.ts'
import { upgrade, upgradeProblem } from './migration/upgrade.ts'
import type { Registry } from './registry.ts'
import type { ConsumerHeartbeat, Heartbeat, JoinGroup, LeaveGroup, SyncGroup } from './seams.ts'
import type { Turn } from './turn.ts'

/**
 * What members of either protocol ask of a group, and which type the group has or gets by that:
 *
 * | the group is          | a classic member joins           | a member of the newer protocol joins           |
 * |-----------------------|----------------------------------|------------------------------------------------|
 * | not there, or empty   | it is a classic one              | it is one of the newer protocol                |
 * | classic               | as ever                          | it becomes one of the newer protocol (upgrade) |
 * | of the newer protocol | it is a member beside the others | as ever                                        |
 *
 * When the last member of the newer protocol is gone and others are there it becomes classic (downgrade).
 */
export class Members {
  private readonly registry: Registry

  constructor(registry: Registry) {
    this.registry = registry
  }

  join(request: JoinGroup, turn: Turn): void {
    const { groupId, memberId, reply } = request
    const group = this.registry.get(groupId)
    const error = this.joinProblem(request)
    if (error !== ErrorCode.NONE) turn.out.answer(groupId, reply, joinFailed(memberId, error))
    else if (group?.type === 'consumer' && group.members > 0) group.joinClassic(request, turn)
    else joinGroup(this.classicToJoin(groupId, turn), request, turn, this.registry.context.random)
  }

  private joinProblem(request: JoinGroup): ErrorCode {
    const { groupId, memberId, sessionTimeoutMs, protocolType, protocols } = request
    if (groupId === '' || !areBounded(groupId)) return ErrorCode.INVALID_GROUP_ID
    if (!areBounded(memberId, request.groupInstanceId, protocolType, ...protocols.map(({ name }) => name)))
      return ErrorCode.INVALID_REQUEST
    const { minSessionTimeoutMs, maxSessionTimeoutMs, consumer } = this.registry.context.config
    if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs)
      return ErrorCode.INVALID_SESSION_TIMEOUT
    const group = this.registry.get(groupId)
    if (group?.type === 'classic') return ErrorCode.NONE
    if (group !== null && group.members > 0)
      return consumer.migrationPolicy === 'disabled' ? ErrorCode.INCONSISTENT_GROUP_PROTOCOL : ErrorCode.NONE
    if (memberId !== '') return ErrorCode.UNKNOWN_MEMBER_ID
    // Nothing is given up for a member that can not join.
    return protocolType === '' || protocols.length === 0 ? ErrorCode.INCONSISTENT_GROUP_PROTOCOL : ErrorCode.NONE
  }

  /** The classic group, made if there is none; an empty one of the newer protocol becomes one. */
  private classicToJoin(groupId: string, { out }: Turn): ClassicGroup {
    const group = this.registry.get(groupId)
    if (group?.type === 'classic') return group
    group?.tombstones(out)
    const made = this.registry.newClassic(groupId)
    this.registry.put(made)
    return made
  }

  sync(request: SyncGroup, turn: Turn): void {
    const group = this.registry.get(request.groupId)
    if (group === null) turn.out.answer(request.groupId, request.reply, syncFailed(noMember(request.groupId)))
    else if (group.type === 'consumer') group.syncClassic(request, turn)
    else syncGroup(group, request, turn)
  }

  heartbeat(request: Heartbeat, turn: Turn): void {
    const group = this.registry.get(request.groupId)
    if (group === null) turn.out.answer(request.groupId, request.reply, { error: noMember(request.groupId) })
    else if (group.type === 'consumer') group.heartbeatClassic(request, turn)
    else heartbeat(group, request, turn)
  }

  leave(request: LeaveGroup, turn: Turn): void {
    const group = this.registry.get(request.groupId)
    if (group === null) turn.out.answer(request.groupId, request.reply, leftNothing(noMember(request.groupId)))
    else if (group.type === 'consumer') group.leaveClassic(request, turn)
    else leaveGroup(group, request, turn)
  }

  consumerHeartbeat(request: ConsumerHeartbeat, { nowMs, out }: Turn): void {
    const { groupId } = request
    const group = this.registry.get(groupId)
    if (group?.type === 'consumer') return group.heartbeat(request, nowMs, out)
    const made = this.registry.newConsumer(groupId)
    const hasMembers = group !== null && group.state !== 'Empty'
    const problem = hasMembers ? upgradeProblem(group, made, request) : null
    if (problem !== null) return out.answer(groupId, request.reply, refused(problem))
    this.registry.put(made)
    if (hasMembers) upgrade(group, made, nowMs, out)
    made.heartbeat(request, nowMs, out)
    if (group === null || hasMembers) return
    if (made.exists) group.erase(out)
    else this.registry.put(group)
  }

  /** After whatever may have taken members from a group. */
  settle(groupId: string, turn: Turn): void {
    const group = this.registry.get(groupId)
    if (group?.type !== 'consumer' || !group.course.becomesClassic) return
    const made = this.registry.newClassic(groupId)
    downgrade(group, made, turn, () => this.registry.put(made))
  }
}

/** Where there is no such group there is no such member; a group without a name can not be. */
function noMember(groupId: string): ErrorCode {
  return groupId === '' ? ErrorCode.INVALID_GROUP_ID : ErrorCode.UNKNOWN_MEMBER_ID
}
