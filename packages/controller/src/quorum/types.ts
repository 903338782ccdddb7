import type { Accepted, Address, Done, Lane, PeerStream, Refusal, Uuid, VoterId } from '@millrace/base'
import type { RaftView } from '@millrace/raft'
import type { Hello } from '@millrace/rpc'

export interface VoterAddress {
  readonly id: number
  readonly address: Address
}

export interface QuorumConfig {
  readonly nodeId: number
  /** Identity of this node's metadata directory; another one after a wipe. */
  readonly directoryId: Uuid
  /** As configured: `controller.quorum.voters`. */
  readonly voters: readonly VoterAddress[]
  /** Folder of the Raft store and of the snapshots. */
  readonly directory: string
  /** From `meta.properties`; null until the cluster formed. */
  readonly clusterId: Uuid | null
  readonly electionTimeoutMs: number
  readonly heartbeatMs: number
  readonly snapshotMaxBytes: number
}

/** What the quorum calls. All calls come in turns of their own, in the order of the log. */
export interface QuorumListener {
  /** The cluster formed, or an already formed one was met: write it into `meta.properties`. */
  clusterId(id: Uuid): void
  /** Committed data entries, in order, each once per incarnation. `term` is the entry's term. */
  committed(index: number, term: number, payload: Uint8Array): void
  /** Everything before is replaced by this state, which includes the entry `index`. */
  restore(snapshot: Uint8Array, index: number, term: number): void
  /** The state as of the last `committed` or `restore`. */
  takeSnapshot(): Uint8Array
  /**
   * `leader`: this node leads `term` and everything committed before it has been handed to `committed`. Any other answer means
   * proposals that were not handed to `committed` yet are lost or will arrive as somebody else's.
   */
  leadership(state: Leadership): void
}

export type Leadership =
  | { readonly kind: 'leader'; readonly term: number }
  | { readonly kind: 'other'; readonly term: number; readonly leader: number | null }

export interface QuorumReplica {
  readonly id: number
  readonly directoryId: Uuid
  /** One past the last entry it is known to hold; -1 unknown, as on a node that does not lead. */
  readonly logEnd: number
  /** Wall clock, -1 unknown. */
  readonly lastFetchMs: number
  readonly lastCaughtUpMs: number
}

export interface QuorumStatus {
  readonly leader: number | null
  readonly term: number
  readonly commitIndex: number
  readonly voters: readonly QuorumReplica[]
  readonly learners: readonly QuorumReplica[]
}

/** Drives one Raft machine with the node's store, peers and clock. */
export interface Quorum {
  start(): void
  /**
   * Null when this node does not lead (yet: `leadership` said `leader`), is handing leadership over, or holds too many bytes
   * that are not committed. The payload belongs to the quorum from here on. Committed when `committed` hands out that index with that term.
   */
  propose(payload: Uint8Array): { readonly index: number; readonly term: number } | null
  readonly status: QuorumStatus
  /** This member's Raft machine as it is now, for checks; null while it is not known who this member is. */
  readonly raft: RaftView | null
  readonly clusterId: Uuid | null
  /** A stream of another quorum member (`hello.purpose` is `raft` or `snapshot`). */
  accept(hello: Hello, lane: Lane, stream: PeerStream): Accepted | Refusal
  /** Hands leadership to another voter first where it can. */
  stop(done: Done<void>): void
}

export type { VoterId }
