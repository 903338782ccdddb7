import { ErrorCode, randomUuid } from '@millrace/base'
import type { Random, Uuid } from '@millrace/base'
import { NO_PARTITIONS } from '../assignors/assignment.ts'
import type { OutcomeBuilder } from '../outcome.ts'
import type { TopicNames } from '../regex/topic-names.ts'
import type {
  ConsumerHeartbeat,
  ConsumerHeartbeatResponse,
  ConsumerTimes,
  DescribeConsumerGroupResponse,
  GroupMemberView,
  GroupsConfig,
  GroupState,
  Rebalance,
  RebalanceCause,
  RebalanceReason,
  TopicsView,
} from '../seams.ts'
import { joinProblem, memberProblem, membershipProblem, patternProblem } from './admission.ts'
import { consumerRoster, describeGroup } from './description.ts'
import { currentRecord, groupTombstones, memberTombstones, targetRecord } from './group-records.ts'
import { ConsumerGroupState } from './group-state.ts'
import type { ConsumerRecord } from './group-state.ts'
import { heartbeatProblem, LEAVE, LEAVE_FOR_A_WHILE, refusal } from './heartbeat-problem.ts'
import type { Refusal } from './heartbeat-problem.ts'
import { NOTHING, samePartitions, topicPartitions } from './holding.ts'
import type { Member } from './member.ts'
import { factsAfter, sameFacts, subscribesAlike } from './member-facts.ts'
import { MemberState, reconcile } from './reconciliation.ts'
import type { Current } from './reconciliation.ts'
import { RebalanceStory } from './rebalance-story.ts'
import { Subscriptions } from './subscriptions.ts'
import { changedTargets, preferredAssignor } from './targets.ts'
import type { AssignorName } from './targets.ts'

export interface ConsumerContext {
  readonly config: GroupsConfig
  readonly topics: TopicsView
  readonly random: Random
  /** Shared by the groups of a shard. */
  readonly names: TopicNames
}

/**
 * How soon members are to ask again while the group rebalances: nobody can tell them when partitions are free, or that there is another target. A group sends
 * no more than a hundred heartbeats a second for that.
 */
const REBALANCING_HEARTBEAT_MS = 500
const REBALANCING_HEARTBEAT_PER_MEMBER_MS = 10
/** Brokers that create the group with its first member are in the second epoch then; tools compare. */
const FIRST_EPOCH = 1

/**
 * A group of the newer protocol (KIP-848). A heartbeat brings what a member has and wants; in answer it is told what it may have. What that comes to for
 * the group is an epoch: it rises with every change of members, subscriptions or topics, then the assignor gives each member
 * a target as of that epoch, and each member gets there with its own heartbeats (see `reconcile`).
 *
 * Durable state changes through `replay` alone. Timers and the story of the rebalance are lost with the coordinator.
 */
export class ConsumerGroup {
  readonly type = 'consumer'
  readonly groupId: string
  private readonly context: ConsumerContext
  private readonly durable: ConsumerGroupState
  private readonly subscriptions: Subscriptions
  private readonly story = new RebalanceStory()
  private due = Number.POSITIVE_INFINITY

  constructor(context: ConsumerContext, groupId: string) {
    this.context = context
    this.groupId = groupId
    this.durable = new ConsumerGroupState((topic, partition, before) =>
      this.story.leaves(topic, partition, this.identityOf(before)),
    )
    this.subscriptions = new Subscriptions({ groupId, topics: context.topics, names: context.names }, this.durable)
  }

  /** False when nothing of the group is in the log (any more): it can be forgotten. */
  get exists(): boolean {
    return this.durable.exists
  }

  get state(): GroupState {
    return this.durable.state()
  }

  get generation(): number {
    return this.durable.epoch
  }

  get members(): number {
    return this.durable.members.size
  }

  /** The last rebalances that ended, oldest first; at most 20. */
  get rebalances(): readonly Rebalance[] {
    return this.story.last
  }

  roster(): GroupMemberView[] {
    return consumerRoster(this.durable, this.context.topics)
  }

  /** When `tick` has something to do at the earliest; it may turn out to be nothing. */
  get dueMs(): number {
    return this.due
  }

  private get assignor(): AssignorName {
    return preferredAssignor(this.durable, this.context.config.consumer.assignors)
  }

  replay(record: ConsumerRecord): void {
    this.durable.replay(record)
  }

  /** The log was replayed: members have their whole time from now on, and topics may have changed meanwhile. */
  loaded(nowMs: number): void {
    for (const member of this.durable.members.values()) this.restartTimers(member, nowMs)
    if (this.durable.members.size > 0) this.due = nowMs
  }

  describe(): DescribeConsumerGroupResponse {
    return describeGroup(this.durable, this.context.topics, this.assignor)
  }

  /** Whether a member subscribes to the topic, by its name or a regular expression. */
  isSubscribed(topic: string): boolean {
    return this.subscriptions.isSubscribed(topic)
  }

  /**
   * Whether a member may commit for a partition in this epoch of its: the current one, or an older one in which it had the partition already,
   * so that nobody else can have read further.
   */
  checkCommit(memberId: string, epoch: number, topicId: Uuid, partition: number): ErrorCode {
    const member = this.durable.members.get(memberId)
    if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    const { memberEpoch, assigned, revoking } = member.current
    if (epoch === memberEpoch && epoch > 0) return ErrorCode.NONE
    const given = assigned.get(topicId)?.get(partition) ?? revoking.get(topicId)?.get(partition)
    const isOwn = given !== undefined && epoch >= given && epoch < memberEpoch
    return isOwn ? ErrorCode.NONE : ErrorCode.STALE_MEMBER_EPOCH
  }

  /** Whether a member in this epoch of its may read the group's offsets. */
  checkFetch(memberId: string, memberEpoch: number): ErrorCode {
    const member = this.durable.members.get(memberId)
    if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    return member.current.memberEpoch === memberEpoch && memberEpoch > 0 ? ErrorCode.NONE : ErrorCode.STALE_MEMBER_EPOCH
  }

  /** Removes all that the log holds of the group itself; its offsets are another's. */
  tombstones(out: OutcomeBuilder): void {
    for (const record of groupTombstones(this.groupId, this.durable)) out.record(record)
  }

  heartbeat(request: ConsumerHeartbeat, nowMs: number, out: OutcomeBuilder): void {
    out.answer(this.groupId, request.reply, this.respond(request, nowMs, out))
  }

  private respond(request: ConsumerHeartbeat, nowMs: number, out: OutcomeBuilder): ConsumerHeartbeatResponse {
    const problem = heartbeatProblem(request, this.context.config) ?? patternProblem(this.durable, request)
    if (problem !== null) return this.refused(problem)
    if (request.memberEpoch !== 0 && !this.exists)
      return this.refused(refusal(ErrorCode.GROUP_ID_NOT_FOUND, `there is no group ${JSON.stringify(this.groupId)}`))
    if (request.memberEpoch === LEAVE) return this.leave(request, nowMs, out)
    if (request.memberEpoch === LEAVE_FOR_A_WHILE) return this.leaveForAWhile(request, nowMs, out)
    const refused =
      request.memberEpoch === 0
        ? joinProblem(this.durable, request, this.context.config.consumer.maxSize)
        : memberProblem(this.durable, request)
    if (refused !== null) return this.refused(refused)
    if (request.memberEpoch === 0) return this.join(request, nowMs, out)
    return this.steady(request, this.durable.members.get(request.memberId) as Member, { nowMs, out })
  }

  private refused({ error, message }: Refusal): ConsumerHeartbeatResponse {
    return { error, message, memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null }
  }

  private leave(request: ConsumerHeartbeat, nowMs: number, out: OutcomeBuilder): ConsumerHeartbeatResponse {
    const problem = membershipProblem(this.durable, request)
    if (problem !== null) return this.refused(problem)
    this.remove([this.durable.members.get(request.memberId) as Member], 'left', { nowMs, out })
    return this.farewell(request)
  }

  /** The member keeps what it has, except for what it was told to give up: its process ends. */
  private leaveForAWhile(request: ConsumerHeartbeat, nowMs: number, out: OutcomeBuilder): ConsumerHeartbeatResponse {
    const problem = membershipProblem(this.durable, request)
    if (problem !== null) return this.refused(problem)
    const member = this.durable.members.get(request.memberId) as Member
    const departed = { memberEpoch: LEAVE_FOR_A_WHILE, state: MemberState.stable, revoking: NOTHING }
    out.record(currentRecord(this.keyOf(member.memberId), { ...member.current, ...departed }))
    this.restartTimers(member, nowMs)
    return this.farewell(request)
  }

  private farewell({ memberId, memberEpoch }: ConsumerHeartbeat): ConsumerHeartbeatResponse {
    return { error: ErrorCode.NONE, message: null, memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null }
  }

  private join(request: ConsumerHeartbeat, nowMs: number, out: OutcomeBuilder): ConsumerHeartbeatResponse {
    const memberId = request.memberId === '' ? randomUuid(this.context.random) : request.memberId
    const { members, statics } = this.durable
    const replaced = request.instanceId === null ? undefined : statics.get(request.instanceId)
    if (replaced !== undefined && replaced !== memberId) this.replace(replaced, memberId, out)
    else if (!members.has(memberId)) this.story.cause(cause('joined', memberId, request), nowMs)
    const isNew = !members.has(memberId)
    this.update(request, memberId, { isNew, nowMs, out })
    const member = members.get(memberId) as Member
    return this.answer(request, this.advance(member, [], { nowMs, out }))
  }

  /** Another process took over the instance: it gets what the one before had. */
  private replace(oldId: string, newId: string, out: OutcomeBuilder): void {
    const old = this.durable.members.get(oldId) as Member
    const target = this.durable.targets.get(oldId)
    const { facts } = old
    for (const record of memberTombstones(this.keyOf(oldId))) out.record(record)
    out.record({ name: 'consumerMember', key: this.keyOf(newId), value: facts })
    if (target !== undefined) out.record(targetRecord(this.keyOf(newId), target))
  }

  private steady(request: ConsumerHeartbeat, member: Member, turn: Turn): ConsumerHeartbeatResponse {
    this.update(request, member.memberId, { ...turn, isNew: false })
    return this.answer(request, this.advance(member, request.owned, turn))
  }

  /** Takes in what the member tells about itself, and has the group assigned anew if that, or the topics, call for it. */
  private update(request: ConsumerHeartbeat, memberId: string, turn: Turn & { readonly isNew: boolean }): void {
    const { nowMs, out } = turn
    const before = this.durable.members.get(memberId)?.facts ?? null
    const facts = factsAfter(before, request)
    const assignorBefore = this.assignor
    if (before === null || !sameFacts(before, facts))
      out.record({ name: 'consumerMember', key: this.keyOf(memberId), value: facts })
    const resubscribed = before === null || !subscribesAlike(before, facts)
    const otherAssignor = !turn.isNew && this.assignor !== assignorBefore
    if (resubscribed && !turn.isNew) this.story.cause(cause('subscription-changed', memberId, request), nowMs)
    if (otherAssignor)
      this.story.cause({ ...cause('assignor-changed', memberId, request), detail: this.assignor }, nowMs)
    if (resubscribed || otherAssignor) this.enterEpoch(turn)
    else this.lookAtTopics(turn)
    this.assign(turn)
  }

  private lookAtTopics(turn: Turn): void {
    if (!this.subscriptions.isStale) return
    const detail = this.subscriptions.refresh(turn.nowMs, turn.out)
    if (this.subscriptions.topics.hash() === this.durable.metadataHash) return
    this.story.cause({ reason: 'partitions-changed', memberId: '', clientId: '', detail }, turn.nowMs)
    this.recordEpoch(turn.out)
  }

  private enterEpoch({ nowMs, out }: Turn): void {
    this.subscriptions.refresh(nowMs, out)
    this.recordEpoch(out)
  }

  private recordEpoch(out: OutcomeBuilder): void {
    const epoch = Math.max(this.durable.epoch, FIRST_EPOCH) + 1
    const metadataHash = this.subscriptions.topics.hash()
    out.record({ name: 'consumerGroup', key: { groupId: this.groupId }, value: { epoch, metadataHash } })
  }

  /** Gives the members targets as of the group's epoch, unless that was done just before: then `tick` does it, for all that comes until then. */
  private assign({ nowMs, out }: Turn): void {
    const { durable, groupId } = this
    if (durable.epoch <= durable.targetEpoch || durable.members.size === 0) return
    const dueMs = this.assignmentDueMs
    if (nowMs < dueMs && nowMs >= durable.targetMs) {
      this.due = Math.min(this.due, dueMs)
      return
    }
    for (const [memberId, target] of changedTargets(durable, this.subscriptions, this.assignor))
      out.record(targetRecord(this.keyOf(memberId), target))
    out.record({ name: 'targetMetadata', key: { groupId }, value: { epoch: durable.epoch, assignedMs: nowMs } })
  }

  private get times(): ConsumerTimes {
    const { consumer } = this.context.config
    return consumer.timesOf?.(this.groupId) ?? consumer
  }

  private get assignmentDueMs(): number {
    if (this.durable.targetEpoch === 0) return 0
    return this.durable.targetMs + this.times.assignmentIntervalMs
  }

  /** Brings the member on its way to its target; what it had before is in the result. */
  private advance(member: Member, owned: ConsumerHeartbeat['owned'], { nowMs, out }: Turn): Advance {
    const { durable } = this
    const before = member.current
    const goal = {
      epoch: durable.targetEpoch,
      target: durable.targets.get(member.memberId) ?? NO_PARTITIONS,
      isFree: (topic: Uuid, partition: number) => {
        const holder = durable.holders.of(topic, partition)
        return holder === null || holder === member.memberId
      },
    }
    const current = reconcile(before, goal, owned)
    if (current !== before) {
      out.record(currentRecord(this.keyOf(member.memberId), current))
      member.revokeDueMs = Number.POSITIVE_INFINITY
      if (member.isRevoking) member.revokeDueMs = nowMs + member.facts.rebalanceTimeoutMs
      this.endIfSettled(nowMs, out)
    }
    member.sessionDueMs = nowMs + this.times.sessionTimeoutMs
    this.due = Math.min(this.due, member.sessionDueMs, member.revokeDueMs)
    if (this.subscriptions.isIncomplete) this.due = Math.min(this.due, nowMs)
    return { member, before }
  }

  /** The assignment is told when it changed, to who asks for all, and, other than by Kafka, to who missed the answer that brought its epoch. */
  private answer(request: ConsumerHeartbeat, { member, before }: Advance): ConsumerHeartbeatResponse {
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
      heartbeatIntervalMs: this.heartbeatIntervalMs(member),
      assignment: isTold ? topicPartitions(current.assigned) : null,
    }
  }

  private heartbeatIntervalMs({ current }: Member): number {
    const { heartbeatIntervalMs } = this.times
    if (current.state !== MemberState.waiting && !this.story.underWay) return heartbeatIntervalMs
    const soonMs = Math.max(REBALANCING_HEARTBEAT_MS, this.members * REBALANCING_HEARTBEAT_PER_MEMBER_MS)
    return Math.min(soonMs, heartbeatIntervalMs)
  }

  /** Ends sessions and revocations that took too long, looks at topics that changed, and assigns what was put off. */
  tick(nowMs: number, out: OutcomeBuilder): void {
    const turn = { nowMs, out }
    const silent: Member[] = []
    const stuck: Member[] = []
    for (const member of this.durable.members.values()) {
      if (member.sessionDueMs <= nowMs) silent.push(member)
      else if (member.revokeDueMs <= nowMs) stuck.push(member)
    }
    if (silent.length > 0) this.remove(silent, 'session-timeout', turn)
    if (stuck.length > 0) this.remove(stuck, 'rebalance-timeout', turn)
    this.topicsChanged(nowMs, out)
  }

  /** Looks at the topics and assigns what that, or what came before, calls for; silence is not judged. */
  topicsChanged(nowMs: number, out: OutcomeBuilder): void {
    const turn = { nowMs, out }
    this.due = Number.POSITIVE_INFINITY
    if (this.durable.members.size === 0) return
    this.lookAtTopics(turn)
    this.assign(turn)
    this.endIfSettled(nowMs, out)
    for (const member of this.durable.members.values())
      this.due = Math.min(this.due, member.sessionDueMs, member.revokeDueMs)
    if (this.subscriptions.isIncomplete) this.due = Math.min(this.due, nowMs)
  }

  private remove(members: readonly Member[], reason: RebalanceReason, turn: Turn): void {
    for (const { memberId, facts } of members) {
      this.story.cause({ reason, memberId, clientId: facts.clientId, detail: '' }, turn.nowMs)
      for (const record of memberTombstones(this.keyOf(memberId))) turn.out.record(record)
    }
    this.enterEpoch(turn)
    this.assign(turn)
    this.endIfSettled(turn.nowMs, turn.out)
  }

  private endIfSettled(nowMs: number, out: OutcomeBuilder): void {
    if (!this.story.underWay) return
    const state = this.durable.state()
    if (state !== 'Stable' && state !== 'Empty') return
    const rebalance = this.story.end(
      { groupId: this.groupId, generation: this.durable.epoch, members: this.durable.members.size, endedMs: nowMs },
      (topic, partition) => this.identityOf(this.durable.holders.of(topic, partition)),
    )
    if (rebalance !== null) out.rebalanced(rebalance)
  }

  private restartTimers(member: Member, nowMs: number): void {
    member.sessionDueMs = nowMs + this.times.sessionTimeoutMs
    member.revokeDueMs = member.isRevoking ? nowMs + member.facts.rebalanceTimeoutMs : Number.POSITIVE_INFINITY
  }

  private identityOf(memberId: string | null): string | null {
    return memberId === null ? null : (this.durable.members.get(memberId)?.identity ?? memberId)
  }

  private keyOf(memberId: string): { readonly groupId: string; readonly memberId: string } {
    return { groupId: this.groupId, memberId }
  }
}

interface Turn {
  readonly nowMs: number
  readonly out: OutcomeBuilder
}

interface Advance {
  readonly member: Member
  readonly before: Current
}

function cause(reason: RebalanceReason, memberId: string, { clientId }: ConsumerHeartbeat): RebalanceCause {
  return { reason, memberId, clientId, detail: '' }
}
