/** What an entry's payload is to Raft itself. */
export type EntryKind = 'data' | 'noop' | 'voters'

/** One entry of the replicated metadata log. The payload is opaque to Raft, except for `voters`. */
export interface Entry {
  readonly index: number
  readonly term: number
  readonly kind: EntryKind
  readonly payload: Uint8Array
}

/** A voter is a node id together with the directory it formatted: a wiped node is another voter. */
export interface VoterId {
  readonly id: number
  readonly directoryId: string
}

/** What must be on disk before any message that depends on it. */
export interface HardState {
  readonly term: number
  readonly votedFor: VoterId | null
}
