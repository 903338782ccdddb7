import { bool, bytes, choice, field, frame, int64, proto, repeated, string, int32, uint64 } from './proto-message.ts'

export const RaftEntryKind = choice('RaftEntryKind', ['data', 'noop', 'voters'])
export const RaftEntry = proto('RaftEntry', {
  index: field(1, uint64),
  term: field(2, uint64),
  kind: field(3, RaftEntryKind),
  payload: field(4, bytes),
})
export const RaftVoter = proto('RaftVoter', { id: field(1, int32), directoryId: field(2, string) })
/** The payload of a `voters` entry. The first one of a cluster also fixes the cluster's id. */
export const RaftVoters = proto('RaftVoters', { voters: repeated(1, RaftVoter), clusterId: field(2, string) })

/** What a snapshot file says of itself before its content. */
export const RaftSnapshotHeader = proto('RaftSnapshotHeader', {
  index: field(1, uint64),
  term: field(2, uint64),
  clusterId: field(3, string),
  voters: repeated(4, RaftVoter),
  contentBytes: field(5, uint64),
})
export type RaftSnapshotHeader = ReturnType<typeof RaftSnapshotHeader.decode>

/** Twins of `RaftMessage` of the raft package, field by field. */
export const RaftFrame = frame('RaftFrame', {
  preVote: [1, proto('PreVote', { term: field(1, uint64), lastIndex: field(2, uint64), lastTerm: field(3, uint64) })],
  preVoteReply: [2, proto('PreVoteReply', { term: field(1, uint64), granted: field(2, bool) })],
  vote: [
    3,
    proto('Vote', {
      term: field(1, uint64),
      lastIndex: field(2, uint64),
      lastTerm: field(3, uint64),
      transfer: field(4, bool),
    }),
  ],
  voteReply: [4, proto('VoteReply', { term: field(1, uint64), granted: field(2, bool) })],
  append: [
    5,
    proto('AppendEntries', {
      term: field(1, uint64),
      prevIndex: field(2, uint64),
      prevTerm: field(3, uint64),
      entries: repeated(4, RaftEntry),
      commitIndex: field(5, uint64),
      round: field(6, uint64),
    }),
  ],
  appendReply: [
    6,
    proto('AppendEntriesReply', {
      term: field(1, uint64),
      success: field(2, bool),
      index: field(3, uint64),
      hintTerm: field(4, uint64),
      round: field(5, uint64),
      refusedIndex: field(6, uint64),
      forgetful: field(7, bool),
    }),
  ],
  snapshotOffer: [
    7,
    proto('SnapshotOffer', {
      term: field(1, uint64),
      index: field(2, uint64),
      snapshotTerm: field(3, uint64),
      round: field(4, uint64),
    }),
  ],
  timeoutNow: [8, proto('TimeoutNow', { term: field(1, uint64) })],
  /** Not part of Raft: a formed member tells the others how its cluster began. */
  formation: [9, RaftVoters],
})
export type RaftFrame = ReturnType<typeof RaftFrame.decode>

/** The bulk lane: a snapshot in chunks, resumable by position. */
export const SnapshotFrame = frame('SnapshotFrame', {
  request: [
    1,
    proto('SnapshotRequest', { index: field(1, uint64), term: field(2, uint64), position: field(3, uint64) }),
  ],
  chunk: [
    2,
    proto('SnapshotChunk', {
      index: field(1, uint64),
      term: field(2, uint64),
      position: field(3, uint64),
      totalBytes: field(4, int64),
      data: field(5, bytes),
    }),
  ],
  gone: [3, proto('SnapshotGone', { index: field(1, uint64), term: field(2, uint64) })],
})
export type SnapshotFrame = ReturnType<typeof SnapshotFrame.decode>
