import { ErrorCode } from '@millrace/base'
import type { OutcomeBuilder } from '../outcome.ts'
import type { RecordNamed } from '../records/kinds.ts'
import type { GroupsConfig, JoinGroupResponse, Rebalance, RebalanceCause, RebalanceReason } from '../seams.ts'
import type { Turn } from '../turn.ts'
import { CONSUMER_PROTOCOL } from './consumer-protocol.ts'
import type { ClassicMember } from './member.ts'
import { Gathering } from './gathering.ts'
import { earliestDueMs, expireMembers, expireUnsynced } from './lapses.ts'
import { PendingIds } from './pending-ids.ts'
import { RebalanceStory } from './rebalance-story.ts'
import { mayExceedRecord, recorded, restore } from './record.ts'
import { joined, joinFailed, syncFailed } from './responses.ts'
import { Roster } from './roster.ts'

const NOTHING = new Uint8Array(0)

export type ClassicState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable'

/**
 * A group of the classic protocol: the members agree on a protocol and their leader divides the work; the coordinator only makes them meet.
 *
 * | state               | what happens                                        | leads to                                                    |
 * |---------------------|-----------------------------------------------------|-------------------------------------------------------------|
 * | Empty               | nobody is there; offsets may be                     | PreparingRebalance when a member joins                      |
 * | PreparingRebalance  | JoinGroups wait until all members sent one          | CompletingRebalance with a new generation; Empty when none did |
 * | CompletingRebalance | SyncGroups wait for the leader's assignment         | Stable, written; PreparingRebalance when membership changes |
 * | Stable              | members heartbeat                                   | PreparingRebalance when membership or a subscription changes |
 *
 * Durable is the generation that was Stable or Empty last. A coordinator that takes over between two knows the last one's members, who
 * find out by the generation that they have to join again.
 */
export class ClassicGroup {
  readonly type = 'classic'
  readonly groupId: string
  readonly config: GroupsConfig
  readonly roster = new Roster()
  readonly story = new RebalanceStory()
  readonly pending = new PendingIds()
  state: ClassicState = 'Empty'
  generation = 0
  /** Empty while no member ever joined. */
  protocolType = ''
  protocol: string | null = null
  /** When the state became what it is; -1 where old records do not tell. */
  stateMs = -1
  /** Nobody divided the work among these very members: the record tells no leader, so that a coordinator that takes over has them rebalance too. */
  isUndivided = false
  /** The log holds a record of this group itself. */
  isWritten = false
  /** Not later than what is due first. */
  dueMs = Number.POSITIVE_INFINITY
  /** While the group is in PreparingRebalance. */
  gathering: Gathering | null = null
  /** When members that have not sent a SyncGroup are given up. */
  syncDueMs = Number.POSITIVE_INFINITY
  /** Of all members; null when that is not known. */
  private topics: ReadonlySet<string> | null = null

  constructor(config: GroupsConfig, groupId: string) {
    this.config = config
    this.groupId = groupId
  }

  get members(): number {
    return this.roster.size
  }

  get rebalances(): readonly Rebalance[] {
    return this.story.last
  }

  get speaksConsumer(): boolean {
    return this.protocolType === CONSUMER_PROTOCOL
  }

  /** Nothing but committed offsets would be missed. */
  get isBlank(): boolean {
    return !this.isWritten && this.roster.size === 0 && this.pending.size === 0
  }

  /** Whether a member reads the topic, as far as can be known: a consumer whose subscription is not understood may read any. */
  isSubscribed(topic: string): boolean {
    return this.topics?.has(topic) ?? this.speaksConsumer
  }

  /** Whether what members read is known. */
  get knowsSubscriptions(): boolean {
    return this.topics !== null
  }

  // What is due.

  expect(atMs: number): void {
    this.dueMs = Math.min(this.dueMs, atMs)
  }

  /** The member was heard of, or is owed an answer no more. */
  heardOf(member: ClassicMember, nowMs: number): void {
    member.sessionDueMs = nowMs + member.terms.sessionTimeoutMs
    this.expect(member.sessionDueMs)
  }

  /** The log was replayed: its members are given their time from now on. */
  loaded(turn: Turn): void {
    for (const member of this.roster) this.heardOf(member, turn.nowMs)
    this.story.settle(this.roster)
    if (this.roster.size > this.config.maxSize)
      this.cause('removed', null, 'more members than group.max.size', turn.nowMs)
    else if (this.isUndivided)
      this.cause('left', null, 'the last member of the newer protocol, under another coordinator', turn.nowMs)
    else return
    this.prepareRebalance(turn)
  }

  tick(nowMs: number, out: OutcomeBuilder): void {
    if (this.dueMs > nowMs) return
    const turn = { nowMs, out }
    expireMembers(this, turn)
    if (this.gathering !== null && this.gathering.dueMs <= nowMs) {
      if (!this.gathering.extend(nowMs)) this.completeJoin(turn)
    }
    if (this.syncDueMs <= nowMs) expireUnsynced(this, turn)
    this.dueMs = earliestDueMs(this)
  }

  // Who is in the group.

  cause(reason: RebalanceReason, member: ClassicMember | null, detail: string, nowMs: number): void {
    const { memberId = '', terms } = member ?? {}
    const cause: RebalanceCause = { reason, memberId, clientId: terms?.clientId ?? '', detail }
    this.story.cause(cause, nowMs)
  }

  /** Whoever waits in the member's name is told that there is no such member any more. */
  remove(member: ClassicMember, out: OutcomeBuilder): void {
    this.answerJoin(member, out, joinFailed('', ErrorCode.UNKNOWN_MEMBER_ID))
    this.answerSync(member, out, ErrorCode.UNKNOWN_MEMBER_ID)
    this.roster.remove(member)
  }

  get allJoined(): boolean {
    return this.pending.size === 0 && this.roster.joined === this.roster.size
  }

  /** Members are gone. */
  membersLost(turn: Turn): void {
    if (this.state === 'Stable' || this.state === 'CompletingRebalance') this.prepareRebalance(turn)
    else if (this.state === 'PreparingRebalance' && this.allJoined) this.completeJoin(turn)
  }

  /** Membership changed in a way that those who are there have to agree on anew. */
  membersChanged(turn: Turn): void {
    if (this.state !== 'PreparingRebalance') this.prepareRebalance(turn)
    else this.joinedOrLeft(turn)
  }

  /** The first rebalance of a group ends by time alone: others may be on their way. */
  joinedOrLeft(turn: Turn): void {
    if (this.gathering !== null && !this.gathering.isInitial && this.allJoined) this.completeJoin(turn)
  }

  // The course of a rebalance.

  prepareRebalance(turn: Turn): void {
    const { nowMs, out } = turn
    const isInitial = this.state === 'Empty'
    if (this.state === 'CompletingRebalance')
      for (const member of this.roster) {
        member.assignment = NOTHING
        if (this.answerSync(member, out, ErrorCode.REBALANCE_IN_PROGRESS)) this.heardOf(member, nowMs)
      }
    this.syncDueMs = Number.POSITIVE_INFINITY
    this.state = 'PreparingRebalance'
    this.stateMs = nowMs
    const timeoutMs = this.roster.rebalanceTimeoutMs
    this.gathering = isInitial
      ? Gathering.initial(nowMs, this.config.initialRebalanceDelayMs, timeoutMs)
      : Gathering.untilMs(nowMs + timeoutMs)
    this.expect(this.gathering.dueMs)
    const over = isInitial ? this.gathering.dueMs <= nowMs : this.allJoined
    if (over) this.completeJoin(turn)
  }

  completeJoin(turn: Turn): void {
    const { nowMs, out } = turn
    for (const member of this.roster) {
      if (member.join !== null || member.groupInstanceId !== null) continue
      this.cause('rebalance-timeout', member, 'it did not rejoin', nowMs)
      this.remove(member, out)
    }
    if (!this.roster.electJoined() && this.roster.size > 0) {
      // Static members alone are left, and none of them came: their sessions end it.
      this.gathering = Gathering.untilMs(nowMs + this.roster.rebalanceTimeoutMs)
      this.expect(this.gathering.dueMs)
      return
    }
    this.gathering = null
    this.generation++
    this.stateMs = nowMs
    if (this.roster.size === 0) this.becomeEmpty(turn)
    else this.beginGeneration(turn)
  }

  private becomeEmpty({ nowMs, out }: Turn): void {
    this.protocol = null
    this.isUndivided = false
    this.write(out)
    this.endStory(nowMs, out)
  }

  private beginGeneration({ nowMs, out }: Turn): void {
    this.state = 'CompletingRebalance'
    this.isUndivided = false
    this.protocol = this.roster.elected() ?? ''
    this.topics = this.speaksConsumer ? this.roster.topics(this.protocol) : null
    for (const member of this.roster) {
      this.answerJoin(member, out, joined(this, member))
      member.isNew = false
      member.synced = false
      this.heardOf(member, nowMs)
    }
    this.syncDueMs = nowMs + this.roster.rebalanceTimeoutMs
    this.expect(this.syncDueMs)
  }

  /** The leader has spoken: `assignments` by member id. */
  settle(assignments: ReadonlyMap<string, Uint8Array>, turn: Turn): void {
    const { nowMs, out } = turn
    for (const member of this.roster) member.assignment = assignments.get(member.memberId) ?? NOTHING
    if (mayExceedRecord(this)) {
      for (const member of this.roster)
        if (this.answerSync(member, out, ErrorCode.UNKNOWN_SERVER_ERROR)) this.heardOf(member, nowMs)
      this.cause('leader-rejoined', null, 'the assignment is too large to be kept', nowMs)
      this.prepareRebalance(turn)
      return
    }
    this.stateMs = nowMs
    this.write(out)
    for (const member of this.roster) if (this.answerSync(member, out, ErrorCode.NONE)) this.heardOf(member, nowMs)
    this.endStory(nowMs, out)
  }

  private endStory(nowMs: number, out: OutcomeBuilder): void {
    const { groupId, generation } = this
    const ended = this.story.end({ groupId, generation, endedMs: nowMs }, this.roster, this.speaksConsumer)
    if (ended !== null) out.rebalanced(ended)
  }

  // Answers.

  answerJoin(member: ClassicMember, out: OutcomeBuilder, response: JoinGroupResponse): void {
    const { join } = member
    if (join === null) return
    member.join = null
    out.answer(this.groupId, join, response)
  }

  /** False when the member did not wait for its assignment. */
  answerSync(member: ClassicMember, out: OutcomeBuilder, error: ErrorCode): boolean {
    const { sync } = member
    if (sync === null) return false
    member.sync = null
    const { protocolType, protocol: protocolName } = this
    const response =
      error === ErrorCode.NONE
        ? { error, protocolType, protocolName, assignment: member.assignment }
        : syncFailed(error)
    out.answer(this.groupId, sync, response)
    return true
  }

  // What is durable.

  /** Decides that the group is, for whoever coordinates it next, what it is now. */
  write(out: OutcomeBuilder): void {
    out.record({ name: 'groupMetadata', key: { groupId: this.groupId }, value: recorded(this) })
  }

  /** The group is over; its offsets are others' business. */
  erase(out: OutcomeBuilder): void {
    if (this.isWritten) out.record({ name: 'groupMetadata', key: { groupId: this.groupId }, value: null })
  }

  /** The record tells all of the group, so whatever was before is over. */
  replay({ value }: RecordNamed<'groupMetadata'>): void {
    if (value === null) return
    this.isWritten = true
    this.protocolType = value.protocolType
    this.generation = value.generation
    this.protocol = value.protocol
    this.stateMs = value.stateMs
    this.state = value.members.length === 0 ? 'Empty' : 'Stable'
    this.isUndivided = value.leader === null && value.members.length > 0
    restore(this.roster, value)
    this.topics = this.speaksConsumer ? this.roster.topics(this.protocol) : null
  }
}
