import type { Entry, HardState, RaftWrite, VoterId } from '@millrace/base'

export type { Entry, HardState, RaftWrite, VoterId }

/** Messages between voters and learners. Terms and indexes are exact integers; `term` is the sender's, except in pre-votes. */
export type RaftMessage =
  /** `term` is the one the sender would campaign in; nobody's term changes because of it. */
  | { readonly kind: 'preVote'; readonly term: number; readonly lastIndex: number; readonly lastTerm: number }
  /** `term` is the asked one when granted, else the term of the refusing node. */
  | { readonly kind: 'preVoteReply'; readonly term: number; readonly granted: boolean }
  | {
      readonly kind: 'vote'
      readonly term: number
      readonly lastIndex: number
      readonly lastTerm: number
      /** The leader asked for this election, so having heard from it is no reason to refuse. */
      readonly transfer: boolean
    }
  | { readonly kind: 'voteReply'; readonly term: number; readonly granted: boolean }
  | {
      readonly kind: 'append'
      readonly term: number
      readonly prevIndex: number
      readonly prevTerm: number
      /** Empty in a heartbeat. */
      readonly entries: readonly Entry[]
      readonly commitIndex: number
      /** Identifies a quorum round, echoed by the reply: read-index counts these. */
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
      /** On refusal, the `prevIndex` that was refused, so that a late refusal is told from a fresh one. */
      readonly refusedIndex: number
      readonly round: number
      /** The sender's store forgot promises (`mayVote` is false): its answers count for nothing but its own catching up. */
      readonly forgetful: boolean
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

/** How the payload of a `voters` entry is written. It is the one payload that Raft itself reads. */
export interface VotersCodec {
  encode(voters: readonly VoterId[]): Uint8Array
  decode(payload: Uint8Array): readonly VoterId[]
}

export interface RaftConfig {
  readonly self: VoterId
  /** Election timeouts are drawn from [electionTicks, 2 × electionTicks); check-quorum looks back this far. */
  readonly electionTicks: number
  readonly heartbeatTicks: number
  /** After the connection to the leader broke, a voter pre-votes within this many ticks (0: at the next tick). */
  readonly brokenTicks: number
  /** Payload bytes of one append; one entry always fits. */
  readonly maxBytesPerAppend: number
  readonly maxInflightAppends: number
  /** Payload bytes that a leader accepts beyond the commit index; one proposal always fits. */
  readonly maxUncommittedBytes: number
  /** Payload bytes of durable entries kept in memory; older ones are asked for with `read`. */
  readonly maxTailBytes: number
  /** A whole number in [0, n): election timeouts are drawn from it. */
  readonly random: (n: number) => number
  readonly voters: VotersCodec
}

/** Where a term begins in the log. */
export interface TermStart {
  readonly index: number
  readonly term: number
}

/** What the node read from its store before the machine is made. */
export interface RaftStart {
  readonly hardState: HardState | null
  /** The entries held: [firstIndex, lastIndex]; `lastIndex` is `firstIndex - 1` without any. Never ends below the snapshot. */
  readonly firstIndex: number
  readonly lastIndex: number
  /** The first held entry of every term in the log, in order. */
  readonly terms: readonly TermStart[]
  /** (index, term) of the newest snapshot, at or above `firstIndex - 1`; zeros without one. */
  readonly snapshotIndex: number
  readonly snapshotTerm: number
  /** The voter set as of the snapshot; empty without one. */
  readonly voters: readonly VoterId[]
  /** Voter-set entries in the log after the snapshot, in order: the newest one counts, committed or not. */
  readonly voterEntries: readonly Entry[]
  /**
   * False: this identity may have made promises that its store forgot. It learns, and it never votes, campaigns or counts
   * toward a commit or a quorum again: what it acknowledges to a leader of an old term, it may have acknowledged differently
   * to a newer one, and nothing in a log that it reads anew can tell. To count again it must come back as another voter.
   * A blank store under a new identity promised nothing and may vote: nobody counts its vote before it is in the voter
   * set, and right after that the group may depend on it.
   */
  readonly mayVote: boolean
}

/** A `learner` is any node that may not campaign: not in the voter set, or not allowed to vote. */
export type RaftRole = 'follower' | 'precandidate' | 'candidate' | 'leader' | 'learner'

export type RaftInput =
  /** A stalled node sends one, however long it stalled. */
  | { readonly kind: 'tick' }
  | { readonly kind: 'message'; readonly from: VoterId; readonly message: RaftMessage }
  /** A peer outside the voter set came (or went) that wants the log. Kept across roles; a leader replicates to it. */
  | { readonly kind: 'learner'; readonly learner: VoterId; readonly present: boolean }
  /** Everything up to this write is on disk. */
  | { readonly kind: 'persisted'; readonly token: number }
  /** The answer to a `read`: consecutive entries from its `from`; empty when they are gone. */
  | { readonly kind: 'entries'; readonly request: number; readonly entries: readonly Entry[] }
  /** The node has a durable snapshot at this committed point; entries up to `trimTo` may go. */
  | { readonly kind: 'snapshotReady'; readonly index: number; readonly term: number; readonly trimTo: number }
  /** A follower holds the leader's snapshot durably: its log restarts after it unless it agrees with it. */
  | {
      readonly kind: 'snapshotInstalled'
      readonly index: number
      readonly term: number
      readonly voters: readonly VoterId[]
    }
  | { readonly kind: 'connectionBroken'; readonly peer: VoterId }
  /** Null: to the voter that is furthest along. */
  | { readonly kind: 'transferLeadership'; readonly to: VoterId | null }
  /** Starts an election at once, with a pre-vote where there are others. */
  | { readonly kind: 'campaign' }
  /** A leader starts a quorum round: when `confirmedRound` reaches the `round` it has afterwards, it led at this moment. */
  | { readonly kind: 'startRound' }

/** Where a proposal stands in the log: committed if the entry committed at `index` has this `term`. */
export interface LogPosition {
  readonly index: number
  readonly term: number
}

/** Why a leader, or another node, does not take a proposal. */
export type RaftRefusal =
  | 'not-leader'
  /** Leadership is being handed over. */
  | 'transferring'
  /** Too many bytes wait for their commit. */
  | 'too-much-uncommitted'
  /** A change of voters is not committed yet, or nothing of this term is. */
  | 'change-in-flight'
  /** The node to add has not the whole log yet, or is no learner. */
  | 'not-caught-up'
  /** Too few of the voters that would be left have answered lately to commit anything. */
  | 'quorum-would-be-lost'
  /** The set already is like that, or would be empty. */
  | 'no-change'

export interface RaftSend {
  readonly to: VoterId
  readonly message: RaftMessage
  /** 0: now, else once that token is persisted. */
  readonly after: number
}

export interface RaftOutput {
  readonly write: RaftWrite | null
  readonly send: readonly RaftSend[]
  readonly read: readonly { readonly request: number; readonly from: number; readonly to: number }[]
  /** Entries up to here are committed, and durable on this node. */
  readonly commitIndex: number
  readonly role: RaftRole
  readonly term: number
  readonly leader: VoterId | null
  /** The follower must fetch this snapshot from the leader; repeated until it is installed or useless. */
  readonly fetchSnapshot: { readonly from: VoterId; readonly index: number; readonly term: number } | null
  readonly voters: readonly VoterId[]
}

/** How far a peer is, as its leader sees it. */
export interface PeerProgress {
  readonly peer: VoterId
  readonly voter: boolean
  readonly match: number
  readonly next: number
  readonly state: 'probe' | 'replicate' | 'snapshot'
  /** It answered within the last election timeout. */
  readonly active: boolean
  /** Holds everything the log held at the last heartbeat. */
  readonly caughtUp: boolean
}

/** A look inside, for status pages and invariant checks. */
export interface RaftStatus {
  readonly role: RaftRole
  readonly term: number
  readonly votedFor: VoterId | null
  readonly leader: VoterId | null
  readonly commitIndex: number
  readonly firstIndex: number
  readonly lastIndex: number
  readonly lastTerm: number
  readonly durableIndex: number
  readonly snapshotIndex: number
  readonly mayVote: boolean
  readonly voters: readonly VoterId[]
  /** Index of the entry that made the set; 0 or the snapshot's without one. */
  readonly votersIndex: number
  /** Of a leader; empty elsewhere. */
  readonly peers: readonly PeerProgress[]
  readonly uncommittedBytes: number
  readonly round: number
  /** A quorum answered messages of this round: whatever was committed when it started is still the newest. */
  readonly confirmedRound: number
  /** Leadership is being handed to this voter. */
  readonly transferringTo: VoterId | null
}

/**
 * The machine as it is now: getters over live state, without a copy, for checks that look after every event. Never to be kept for
 * later as a picture of one moment; `status` is that.
 */
export interface RaftView {
  readonly self: VoterId
  readonly role: RaftRole
  readonly term: number
  readonly votedFor: VoterId | null
  readonly leader: VoterId | null
  readonly mayVote: boolean
  readonly commitIndex: number
  readonly firstIndex: number
  readonly lastIndex: number
  readonly lastTerm: number
  /** The last index that the machine takes to be on disk. */
  readonly durableIndex: number
  readonly snapshotIndex: number
  readonly snapshotTerm: number
  readonly voters: readonly VoterId[]
  readonly votersIndex: number
  /** The term at an index; null for one that the log does not hold or remember. */
  termAt(index: number): number | null
}

/**
 * Consensus without input or output: inputs change the state, `ready` says what to persist, send and read. Any number of
 * inputs may come between two calls of `ready`; what they ask for is then one write and one batch of messages.
 */
export interface RaftMachine {
  step(input: RaftInput): void
  /** Appends to a leader's log. Committed when the entry committed at that index has that term. */
  propose(payload: Uint8Array): LogPosition | RaftRefusal
  /** A single-voter change: effective as soon as it is in the log, undone if it is truncated. */
  changeVoters(change: { readonly add: VoterId } | { readonly remove: VoterId }): LogPosition | RaftRefusal
  /** What is to be done since the last call. Writes are in order and their tokens rise by one. */
  ready(): RaftOutput
  status(): RaftStatus
  readonly view: RaftView
}
