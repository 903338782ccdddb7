import { unreachable } from '@millrace/base'
import type { Assignment } from '../assignors/assignment.ts'
import type { GroupRecord, RecordNamed } from '../records/kinds.ts'
import type { GroupState } from '../seams.ts'
import { Holders } from './holders.ts'
import type { OnHolderChange } from './holders.ts'
import { holdingOf } from './holding.ts'
import { Member } from './member.ts'
import type { MemberFacts } from './member.ts'
import { BLANK } from './reconciliation.ts'
import type { Current } from './reconciliation.ts'
import { Tally } from './tally.ts'

/** The records that a group of the newer protocol consists of. */
export type ConsumerRecord = RecordNamed<
  | 'consumerGroup'
  | 'consumerPartitions'
  | 'consumerMember'
  | 'targetMetadata'
  | 'targetMember'
  | 'currentAssignment'
  | 'regularExpression'
>

export function isConsumerRecord(record: GroupRecord): record is ConsumerRecord {
  return record.name !== 'offsetCommit' && record.name !== 'groupMetadata'
}

/** What is durable of a group, and what follows from it. Changed by records alone, whether they were just decided or read from the log. */
export class ConsumerGroupState {
  /** 0 when there is no group; rises whenever the members' assignment may have to change. */
  epoch = 0
  /** Of the topics, as of the epoch. */
  metadataHash = 0
  /** The epoch that the members' targets are of. */
  targetEpoch = 0
  /** When the targets were computed; 0 when that is not known. */
  targetMs = 0
  readonly members = new Map<string, Member>()
  /** Member ids by instance. */
  readonly statics = new Map<string, string>()
  readonly targets = new Map<string, Assignment>()
  /** The topics that each regular expression stood for when that was last found out. */
  readonly regexes = new Map<string, readonly string[]>()
  readonly holders: Holders
  readonly topicNames = new Tally()
  readonly patterns = new Tally()
  readonly assignorVotes = new Tally()
  /** How many members of the classic protocol support each of their protocols. */
  readonly classicProtocols = new Tally()
  /** How many members speak the classic protocol. */
  classics = 0

  constructor(onHolderChange: OnHolderChange) {
    this.holders = new Holders(onHolderChange)
  }

  /** False when every record of the group is gone, or none was ever written. */
  get exists(): boolean {
    return this.epoch !== 0 || this.members.size > 0
  }

  /** How many members speak the newer protocol. */
  get consumers(): number {
    return this.members.size - this.classics
  }

  /** Whether one of these is a protocol of every member that speaks the classic one. */
  supportsOneOf(protocols: readonly string[]): boolean {
    return protocols.some((name) => this.classicProtocols.of(name) === this.classics)
  }

  state(): GroupState {
    if (this.members.size === 0) return 'Empty'
    if (this.epoch > this.targetEpoch) return 'Assigning'
    for (const member of this.members.values()) if (!member.isSettled(this.targetEpoch)) return 'Reconciling'
    return 'Stable'
  }

  replay(record: ConsumerRecord): void {
    switch (record.name) {
      case 'consumerGroup':
        this.epoch = record.value?.epoch ?? 0
        this.metadataHash = record.value?.metadataHash ?? 0
        return
      case 'targetMetadata':
        this.targetEpoch = record.value?.epoch ?? 0
        this.targetMs = record.value?.assignedMs ?? 0
        return
      case 'consumerMember':
        if (record.value === null) this.removeMember(record.key.memberId)
        else this.setFacts(record.key.memberId, { ...record.value, topicRegex: record.value.topicRegex ?? '' })
        return
      case 'targetMember':
        this.setTarget(record)
        return
      case 'currentAssignment':
        this.setCurrent(record)
        return
      case 'regularExpression':
        if (record.value === null) this.regexes.delete(record.key.regex)
        else this.regexes.set(record.key.regex, record.value.topics)
        return
      case 'consumerPartitions':
        return
      default:
        unreachable(record, 'record of a consumer group')
    }
  }

  private setFacts(memberId: string, facts: MemberFacts): void {
    const member = this.memberOf(memberId)
    this.forgetFacts(member)
    member.facts = facts
    if (facts.instanceId !== null) this.statics.set(facts.instanceId, memberId)
    for (const name of facts.topicNames) this.topicNames.add(name)
    if (facts.topicRegex !== '') this.patterns.add(facts.topicRegex)
    if (facts.serverAssignor !== null) this.assignorVotes.add(facts.serverAssignor)
    if (facts.classic === null) return
    this.classics++
    for (const name of namesOf(facts.classic.protocols)) this.classicProtocols.add(name)
  }

  private forgetFacts({ memberId, facts }: Member): void {
    if (facts.instanceId !== null && this.statics.get(facts.instanceId) === memberId)
      this.statics.delete(facts.instanceId)
    for (const name of facts.topicNames) this.topicNames.remove(name)
    if (facts.topicRegex !== '') this.patterns.remove(facts.topicRegex)
    if (facts.serverAssignor !== null) this.assignorVotes.remove(facts.serverAssignor)
    if (facts.classic === null) return
    this.classics--
    for (const name of namesOf(facts.classic.protocols)) this.classicProtocols.remove(name)
  }

  private removeMember(memberId: string): void {
    const member = this.members.get(memberId)
    if (member === undefined) return
    this.changeCurrent(member, BLANK)
    this.forgetFacts(member)
    this.members.delete(memberId)
  }

  private setTarget({ key, value }: RecordNamed<'targetMember'>): void {
    if (value === null) this.targets.delete(key.memberId)
    else this.targets.set(key.memberId, new Map(value.topics.map(({ topicId, partitions }) => [topicId, partitions])))
  }

  private setCurrent({ key, value }: RecordNamed<'currentAssignment'>): void {
    if (value === null) {
      const member = this.members.get(key.memberId)
      if (member !== undefined) this.changeCurrent(member, BLANK)
      return
    }
    const { memberEpoch, previousEpoch, state } = value
    const assigned = holdingOf(value.assigned, memberEpoch)
    const revoking = holdingOf(value.revoking, memberEpoch)
    this.changeCurrent(this.memberOf(key.memberId), { memberEpoch, previousEpoch, state, assigned, revoking })
  }

  private changeCurrent(member: Member, current: Current): void {
    const before = member.current
    member.current = current
    this.holders.move(member.memberId, [before.assigned, before.revoking], [current.assigned, current.revoking])
  }

  private memberOf(memberId: string): Member {
    const known = this.members.get(memberId)
    if (known !== undefined) return known
    const member = new Member(memberId)
    this.members.set(memberId, member)
    return member
  }
}

function namesOf(protocols: readonly { readonly name: string }[]): Set<string> {
  return new Set(protocols.map(({ name }) => name))
}
