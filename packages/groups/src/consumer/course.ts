import type { Random, Uuid } from '@millrace/base'
import { NO_PARTITIONS } from '../assignors/assignment.ts'
import type { OutcomeBuilder } from '../outcome.ts'
import type { TopicNames } from '../regex/topic-names.ts'
import type {
  ConsumerTimes,
  GroupsConfig,
  RebalanceCause,
  RebalanceReason,
  TopicPartitions,
  TopicsView,
} from '../seams.ts'
import type { Turn } from '../turn.ts'
import { currentRecord, memberTombstones, targetRecord } from './group-records.ts'
import { ConsumerGroupState } from './group-state.ts'
import type { Member, MemberFacts } from './member.ts'
import { sameFacts, subscribesAlike } from './member-facts.ts'
import { reconcile } from './reconciliation.ts'
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

/** Brokers that create the group with its first member are in the second epoch then; tools compare. */
const FIRST_EPOCH = 1
/** What one record of a classic group can hold, with room to spare: a group that is larger stays of the newer protocol. */
const MAX_CLASSIC_BYTES = 8 * 1024 * 1024

/** A member on its way, and what it had before. */
export interface Advance {
  readonly member: Member
  readonly before: Current
}

/** Who tells what about itself, whichever protocol it speaks. */
export interface Told {
  readonly memberId: string
  readonly facts: MemberFacts
  /** It was not in the group before. */
  readonly isNew: boolean
}

/**
 * How a group of the newer protocol gets from one assignment to the next: what members tell makes an epoch, an epoch makes targets, and each member gets to its
 * target with its own requests. Which protocol a member speaks, and how it is answered, is others' business.
 */
export class Course {
  readonly groupId: string
  readonly context: ConsumerContext
  readonly durable: ConsumerGroupState
  readonly subscriptions: Subscriptions
  readonly story = new RebalanceStory()
  /** When `tick` has something to do at the earliest; it may turn out to be nothing. */
  dueMs = Number.POSITIVE_INFINITY
  /** Members are gone, and what they had was given to nobody: the classic group that this one becomes divides it. */
  private hasVacancies = false

  constructor(context: ConsumerContext, groupId: string) {
    this.context = context
    this.groupId = groupId
    this.durable = new ConsumerGroupState((topic, partition, before) =>
      this.story.leaves(topic, partition, this.identityOf(before)),
    )
    this.subscriptions = new Subscriptions({ groupId, topics: context.topics, names: context.names }, this.durable)
  }

  get times(): ConsumerTimes {
    const { consumer } = this.context.config
    return consumer.timesOf?.(this.groupId) ?? consumer
  }

  get assignor(): AssignorName {
    return preferredAssignor(this.durable, this.context.config.consumer.assignors)
  }

  /** Nobody in the group speaks the newer protocol any more, and it may become a classic one. */
  get becomesClassic(): boolean {
    const { members, consumers } = this.durable
    const { maxSize, consumer } = this.context.config
    if (consumers > 0 || members.size === 0 || members.size > maxSize) return false
    if (consumer.migrationPolicy !== 'bidirectional' && consumer.migrationPolicy !== 'downgrade') return false
    let bytes = 0
    for (const { facts } of members.values())
      for (const { metadata } of facts.classic?.protocols ?? []) bytes += metadata.length
    return bytes <= MAX_CLASSIC_BYTES
  }

  /** All that there is to divide is divided, and every member has what it is to have. */
  get isAtRest(): boolean {
    return !this.hasVacancies && this.durable.state() === 'Stable'
  }

  // Who is in the group.

  /** Another process took over the instance: it gets what the one before had. */
  replace(oldId: string, newId: string, out: OutcomeBuilder): void {
    const old = this.durable.members.get(oldId) as Member
    const target = this.durable.targets.get(oldId)
    const { facts } = old
    for (const record of memberTombstones(this.keyOf(oldId))) out.record(record)
    out.record({ name: 'consumerMember', key: this.keyOf(newId), value: facts })
    if (target !== undefined) out.record(targetRecord(this.keyOf(newId), target))
  }

  /** Takes in what a member tells about itself, and has the group assigned anew if that, or the topics, call for it. */
  update({ memberId, facts, isNew }: Told, turn: Turn): void {
    const { nowMs, out } = turn
    const before = this.durable.members.get(memberId)?.facts ?? null
    const assignorBefore = this.assignor
    if (before === null || !sameFacts(before, facts))
      out.record({ name: 'consumerMember', key: this.keyOf(memberId), value: facts })
    const resubscribed = before === null || !subscribesAlike(before, facts)
    const otherAssignor = !isNew && this.assignor !== assignorBefore
    const who = { memberId, clientId: facts.clientId }
    if (resubscribed && !isNew) this.cause({ reason: 'subscription-changed', ...who, detail: '' }, nowMs)
    if (otherAssignor) this.cause({ reason: 'assignor-changed', ...who, detail: this.assignor }, nowMs)
    if (resubscribed || otherAssignor) this.enterEpoch(turn)
    else this.lookAtTopics(turn)
    this.assign(turn)
  }

  remove(members: readonly Member[], reason: RebalanceReason, turn: Turn): void {
    for (const { memberId, facts } of members) {
      this.cause({ reason, memberId, clientId: facts.clientId, detail: '' }, turn.nowMs)
      for (const record of memberTombstones(this.keyOf(memberId))) turn.out.record(record)
    }
    // Those who stay are classic members of this very epoch then, and can still commit in it.
    if (this.becomesClassic) {
      this.hasVacancies = true
      return
    }
    this.enterEpoch(turn)
    this.assign(turn)
    this.endIfSettled(turn.nowMs, turn.out)
  }

  cause(cause: RebalanceCause, nowMs: number): void {
    this.story.cause(cause, nowMs)
  }

  // From epoch to epoch.

  private lookAtTopics(turn: Turn): void {
    if (!this.subscriptions.isStale) return
    const detail = this.subscriptions.refresh(turn.nowMs, turn.out)
    if (this.subscriptions.topics.hash() === this.durable.metadataHash) return
    this.cause({ reason: 'partitions-changed', memberId: '', clientId: '', detail }, turn.nowMs)
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
      this.expect(dueMs)
      return
    }
    for (const [memberId, target] of changedTargets(durable, this.subscriptions, this.assignor))
      out.record(targetRecord(this.keyOf(memberId), target))
    out.record({ name: 'targetMetadata', key: { groupId }, value: { epoch: durable.epoch, assignedMs: nowMs } })
    this.hasVacancies = false
  }

  private get assignmentDueMs(): number {
    if (this.durable.targetEpoch === 0) return 0
    return this.durable.targetMs + this.times.assignmentIntervalMs
  }

  /** Brings the member on its way to its target, after it said what it owns (null: as before). */
  advance(member: Member, owned: readonly TopicPartitions[] | null, { nowMs, out }: Turn): Advance {
    const { durable } = this
    const before = member.current
    const goal = {
      epoch: durable.targetEpoch,
      target: durable.targets.get(member.memberId) ?? NO_PARTITIONS,
      isFree: (topic: Uuid, partition: number) => this.isFreeFor(member, topic, partition),
    }
    const current = reconcile(before, goal, owned)
    if (current !== before) {
      out.record(currentRecord(this.keyOf(member.memberId), current))
      this.endIfSettled(nowMs, out)
    }
    if (!member.isRevoking) member.revokeDueMs = Number.POSITIVE_INFINITY
    else if (current !== before) member.revokeDueMs = nowMs + member.facts.rebalanceTimeoutMs
    this.heardOf(member, nowMs)
    if (this.subscriptions.isIncomplete) this.expect(nowMs)
    return { member, before }
  }

  private isFreeFor(member: Member, topic: Uuid, partition: number): boolean {
    const holder = this.durable.holders.of(topic, partition)
    return holder === null || holder === member.memberId
  }

  /** Whether others still have some of what a member is to get. */
  waitsForOthers(member: Member): boolean {
    for (const [topic, partitions] of this.durable.targets.get(member.memberId) ?? NO_PARTITIONS)
      if (partitions.some((partition) => !this.isFreeFor(member, topic, partition))) return true
    return false
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

  // Time.

  /** The log was replayed: members have their whole time from now on, and topics may have changed meanwhile. */
  loaded(nowMs: number): void {
    for (const member of this.durable.members.values()) this.restartTimers(member, nowMs)
    if (this.durable.members.size > 0) this.dueMs = nowMs
  }

  restartTimers(member: Member, nowMs: number): void {
    member.restartTimers(nowMs)
    this.heardOf(member, nowMs)
  }

  heardOf(member: Member, nowMs: number): void {
    member.sessionDueMs = nowMs + member.sessionTimeoutMs(this.times.sessionTimeoutMs)
    this.expect(member.dueMs)
  }

  expect(atMs: number): void {
    this.dueMs = Math.min(this.dueMs, atMs)
  }

  /** Ends sessions and revocations that took too long, looks at topics that changed, and assigns what was put off. */
  tick(turn: Turn): void {
    const silent: Member[] = []
    const stuck: Member[] = []
    for (const member of this.durable.members.values()) {
      if (member.sessionDueMs <= turn.nowMs) silent.push(member)
      else if (member.dueMs <= turn.nowMs) stuck.push(member)
    }
    if (silent.length > 0) this.remove(silent, 'session-timeout', turn)
    if (stuck.length > 0) this.remove(stuck, 'rebalance-timeout', turn)
    this.topicsChanged(turn)
  }

  /** Looks at the topics and assigns what that, or what came before, calls for; silence is not judged. */
  topicsChanged(turn: Turn): void {
    this.dueMs = Number.POSITIVE_INFINITY
    if (this.durable.members.size === 0 || this.becomesClassic) return
    this.lookAtTopics(turn)
    this.assign(turn)
    this.endIfSettled(turn.nowMs, turn.out)
    for (const member of this.durable.members.values()) this.expect(member.dueMs)
    if (this.subscriptions.isIncomplete) this.expect(turn.nowMs)
  }

  keyOf(memberId: string): { readonly groupId: string; readonly memberId: string } {
    return { groupId: this.groupId, memberId }
  }

  private identityOf(memberId: string | null): string | null {
    return memberId === null ? null : (this.durable.members.get(memberId)?.identity ?? memberId)
  }
}
