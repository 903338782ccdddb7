import type { Entry, HardState, RaftWrite, VoterId } from '@millrace/base'

export type { Entry, HardState, RaftWrite, VoterId }

/** Messages between voters and learners. Terms and indexes are exact integers; `term` is the sender's, except in pre-votes. */
export type RaftMessage =
  | { readonly kind: 'preVote'; readonly term: number; readonly lastIndex: number; readonly lastTerm: number }
  | { readonly kind: 'preVoteReply'; readonly term: number; readonly granted: boolean }
  | {
      readonly kind: 'vote'
      readonly term: number
      readonly lastIndex: number
      readonly lastTerm: number
      readonly transfer: boolean
    }
  | { readonly kind: 'voteReply'; readonly term: number; readonly granted: boolean }
  | {
      readonly kind: 'append'
      readonly term: number
      readonly prevIndex: number
      readonly prevTerm: number
      readonly entries: readonly Entry[]
      readonly commitIndex: number
      /** Identifies a quorum round, echoed by the reply: check-quorum and read-index count these. */
      readonly round: number
    }
  | {
      readonly kind: 'appendReply'
      readonly term: number
      readonly success: boolean
      /** On success the last index known to match and durable; else a hint where the logs may agree. */
      readonly index: number
      /** On refusal, the term at the hint. */
      readonly hintTerm: number
      readonly round: number
    }
  /** A snapshot is fetched over the bulk lane; this tells the follower which one and from whom. */
  | {
      readonly kind: 'snapshotOffer'
      readonly term: number
      readonly index: number
      readonly snapshotTerm: number
      readonly round: number
    }
  | { readonly kind: 'timeoutNow'; readonly term: number }

export interface RaftConfig {
  readonly self: VoterId
  readonly electionTicks: number
  readonly heartbeatTicks: number
  readonly maxBytesPerAppend: number
  readonly maxInflightAppends: number
  readonly maxUncommittedBytes: number
  /** A whole number in [0, n): election timeouts are drawn from it. */
  readonly random: (n: number) => number
}

/** What the node read from its store before the machine is made. */
export interface RaftStart {
  readonly hardState: HardState | null
  readonly firstIndex: number
  readonly lastIndex: number
  readonly lastTerm: number
  /** (index, term) of the snapshot below `firstIndex`; zeros without one. */
  readonly snapshotIndex: number
  readonly snapshotTerm: number
  /** The voter set as of the snapshot or of formation; entries after it are replayed by the machine. */
  readonly voters: readonly VoterId[]
  /** Voter-set entries in the log after the snapshot, in order, so that the machine knows the newest set. */
  readonly voterEntries: readonly Entry[]
  /** False: a blank or damaged store. It learns and does not vote until it is swapped in. */
  readonly mayVote: boolean
}

export type RaftRole = 'follower' | 'precandidate' | 'candidate' | 'leader' | 'learner'

export type RaftInput =
  /** A stalled node sends one, however long it stalled. */
  | { readonly kind: 'tick' }
  | { readonly kind: 'message'; readonly from: VoterId; readonly message: RaftMessage }
  | { readonly kind: 'propose'; readonly id: number; readonly payload: Uint8Array }
  | {
      readonly kind: 'changeVoters'
      readonly id: number
      readonly change: { readonly add: VoterId } | { readonly remove: VoterId }
    }
  | { readonly kind: 'learner'; readonly learner: VoterId; readonly present: boolean }
  | { readonly kind: 'persisted'; readonly token: number }
  | { readonly kind: 'entries'; readonly request: number; readonly entries: readonly Entry[] }
  /** The node has a snapshot at this point; entries up to it may be trimmed. */
  | { readonly kind: 'snapshotReady'; readonly index: number; readonly term: number }
  /** A follower installed the leader's snapshot: its log restarts after it. */
  | {
      readonly kind: 'snapshotInstalled'
      readonly index: number
      readonly term: number
      readonly voters: readonly VoterId[]
    }
  | { readonly kind: 'connectionBroken'; readonly peer: VoterId }
  | { readonly kind: 'transferLeadership'; readonly to: VoterId | null }

export interface RaftOutput {
  readonly write: RaftWrite | null
  /** `after` 0: now, else once that token is persisted. */
  readonly send: readonly { readonly to: VoterId; readonly message: RaftMessage; readonly after: number }[]
  readonly read: readonly { readonly request: number; readonly from: number; readonly to: number }[]
  readonly commitIndex: number
  /** Proposals of this step that were accepted, with the index each got. */
  readonly accepted: readonly { readonly id: number; readonly index: number; readonly term: number }[]
  readonly rejected: readonly { readonly id: number; readonly leader: VoterId | null }[]
  readonly role: RaftRole
  readonly term: number
  readonly leader: VoterId | null
  /** The follower must fetch this snapshot from the leader. */
  readonly fetchSnapshot: { readonly from: VoterId; readonly index: number; readonly term: number } | null
  readonly voters: readonly VoterId[]
}

export interface RaftMachine {
  step(input: RaftInput): RaftOutput
}
