import type { ValueOf } from '../records/kinds.ts'
import { BLANK, MemberState } from './reconciliation.ts'
import type { Current } from './reconciliation.ts'

/** What a member told about itself; an empty regular expression is none, as Kafka's records have it. */
export interface MemberFacts extends ValueOf<'consumerMember'> {
  readonly topicRegex: string
}

const UNKNOWN: MemberFacts = {
  instanceId: null,
  rackId: null,
  clientId: '',
  clientHost: '',
  topicNames: [],
  topicRegex: '',
  rebalanceTimeoutMs: -1,
  serverAssignor: null,
  classic: null,
}

export class Member {
  readonly memberId: string
  /** Nothing yet while the log is replayed: the record that tells it may have been written anew after the others. */
  facts: MemberFacts = UNKNOWN
  current: Current = BLANK
  /** When it is taken for dead, unless it is heard of before. */
  sessionDueMs = Number.POSITIVE_INFINITY
  /** When it must have given up what it was told to. */
  revokeDueMs = Number.POSITIVE_INFINITY
  /** When a member of the classic protocol must have joined again, as it was told to. */
  rejoinDueMs = Number.POSITIVE_INFINITY
  /** When a member of the classic protocol must have asked for what it was given. */
  syncDueMs = Number.POSITIVE_INFINITY

  constructor(memberId: string) {
    this.memberId = memberId
  }

  /** Who this is across restarts of a static member. */
  get identity(): string {
    return this.facts.instanceId ?? this.memberId
  }

  get isClassic(): boolean {
    return this.facts.classic !== null
  }

  get isRevoking(): boolean {
    return this.current.state === MemberState.revoking
  }

  /** When something that is expected of it is over. */
  get dueMs(): number {
    return Math.min(this.sessionDueMs, this.revokeDueMs, this.rejoinDueMs, this.syncDueMs)
  }

  /** Members of the classic protocol say for themselves how long they may be silent. */
  sessionTimeoutMs(ofGroup: number): number {
    return this.facts.classic?.sessionTimeoutMs ?? ofGroup
  }

  /** It has its whole time to give up what it was told to. */
  restartTimers(nowMs: number): void {
    this.revokeDueMs = this.isRevoking ? nowMs + this.facts.rebalanceTimeoutMs : Number.POSITIVE_INFINITY
    this.restClassic()
  }

  /** Nothing is expected of it any more that the classic protocol would have it do. */
  restClassic(): void {
    this.rejoinDueMs = Number.POSITIVE_INFINITY
    this.syncDueMs = Number.POSITIVE_INFINITY
  }

  /** Whether it has all that it is to have as of this epoch of the group's target. */
  isSettled(targetEpoch: number): boolean {
    return this.current.state === MemberState.stable && this.current.memberEpoch === targetEpoch
  }
}
