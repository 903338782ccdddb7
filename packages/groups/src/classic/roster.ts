import { ErrorCode } from '@millrace/base'
import { subscribedTopics } from './consumer-protocol.ts'
import type { ClassicMember, MemberTerms } from './member.ts'

/** The members of a classic group: who they are, who leads, and which protocols they have in common. */
export class Roster {
  private readonly members = new Map<string, ClassicMember>()
  /** Member ids by instance. */
  private readonly statics = new Map<string, string>()
  /** How many members support a protocol. */
  private readonly support = new Map<string, number>()
  /** One of the members whenever there are any. */
  leader: string | null = null

  get size(): number {
    return this.members.size
  }

  [Symbol.iterator](): IterableIterator<ClassicMember> {
    return this.members.values()
  }

  get(memberId: string): ClassicMember | null {
    return this.members.get(memberId) ?? null
  }

  staticMemberId(groupInstanceId: string): string | null {
    return this.statics.get(groupInstanceId) ?? null
  }

  /** NONE when a member with this id is in the group, and is the one that its instance id belongs to. */
  check(memberId: string, groupInstanceId: string | null): ErrorCode {
    if (groupInstanceId !== null) {
      const known = this.staticMemberId(groupInstanceId)
      if (known !== null && known !== memberId) return ErrorCode.FENCED_INSTANCE_ID
      if (known === null) return ErrorCode.UNKNOWN_MEMBER_ID
    }
    return this.members.has(memberId) ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
  }

  /** How many wait for the answer to a JoinGroup. */
  get joined(): number {
    let joined = 0
    for (const member of this.members.values()) if (member.join !== null) joined++
    return joined
  }

  get rebalanceTimeoutMs(): number {
    let longest = 0
    for (const { terms } of this.members.values()) longest = Math.max(longest, terms.rebalanceTimeoutMs)
    return longest
  }

  add(member: ClassicMember): void {
    this.members.set(member.memberId, member)
    if (member.groupInstanceId !== null) this.statics.set(member.groupInstanceId, member.memberId)
    this.count(member, 1)
    this.leader ??= member.memberId
  }

  remove(member: ClassicMember): void {
    const { memberId, groupInstanceId } = member
    if (!this.members.delete(memberId)) return
    if (groupInstanceId !== null && this.statics.get(groupInstanceId) === memberId) this.statics.delete(groupInstanceId)
    this.count(member, -1)
    if (this.leader === memberId) this.leader = this.members.keys().next().value ?? null
  }

  /** One takes another's place, and its lead. */
  replace(old: ClassicMember, by: ClassicMember): void {
    const led = this.leader === old.memberId
    this.remove(old)
    this.add(by)
    if (led) this.leader = by.memberId
  }

  clear(): void {
    this.members.clear()
    this.statics.clear()
    this.support.clear()
    this.leader = null
  }

  setTerms(member: ClassicMember, terms: MemberTerms): void {
    this.count(member, -1)
    member.terms = terms
    this.count(member, 1)
  }

  /** Whether one of these names is a protocol of every member. */
  supportsOneOf(names: readonly string[]): boolean {
    return names.some((name) => (this.support.get(name) ?? 0) === this.members.size)
  }

  /** Of the protocols that all members support the one that most of them prefer; the earliest of equals. */
  elected(): string | null {
    const candidates = new Set<string>()
    for (const [name, count] of this.support) if (count === this.members.size) candidates.add(name)
    const votes = new Map<string, number>()
    for (const member of this.members.values()) {
      const vote = member.vote(candidates)
      if (vote !== null) votes.set(vote, (votes.get(vote) ?? 0) + 1)
    }
    let elected: string | null = null
    for (const [name, count] of votes) if (elected === null || count > (votes.get(elected) ?? 0)) elected = name
    return elected
  }

  /** Makes a member that joined lead, the one that leads if it did; false when none did. */
  electJoined(): boolean {
    if (this.leader === null) return false
    if (this.get(this.leader)?.join !== null) return true
    for (const member of this.members.values()) {
      if (member.join === null) continue
      this.leader = member.memberId
      return true
    }
    return false
  }

  /** The topics that the members read, as they told it for a protocol of consumers; null when that is not understood. */
  topics(protocol: string | null): ReadonlySet<string> | null {
    const topics = new Set<string>()
    for (const member of this.members.values()) {
      const subscribed = subscribedTopics(member.metadata(protocol))
      if (subscribed === null) return null
      for (const topic of subscribed) topics.add(topic)
    }
    return topics
  }

  private count({ terms }: ClassicMember, by: 1 | -1): void {
    for (const name of new Set(terms.protocols.map((protocol) => protocol.name))) {
      const count = (this.support.get(name) ?? 0) + by
      if (count === 0) this.support.delete(name)
      else this.support.set(name, count)
    }
  }
}
