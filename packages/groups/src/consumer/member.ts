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

  constructor(memberId: string) {
    this.memberId = memberId
  }

  /** Who this is across restarts of a static member. */
  get identity(): string {
    return this.facts.instanceId ?? this.memberId
  }

  get isRevoking(): boolean {
    return this.current.state === MemberState.revoking
  }

  /** Whether it has all that it is to have as of this epoch of the group's target. */
  isSettled(targetEpoch: number): boolean {
    return this.current.state === MemberState.stable && this.current.memberEpoch === targetEpoch
  }
}
