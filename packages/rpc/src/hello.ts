import {
  choice,
  field,
  optional,
  proto,
  sint32,
  sint64,
  string,
  type TypeOf,
  repeated,
  bool,
  int32,
} from './proto-message.ts'

/** What a stream between nodes is for. */
export const Purpose = choice('Purpose', ['raft', 'snapshot', 'broker', 'replication', 'offsets'])
export type Purpose = TypeOf<typeof Purpose>

export const HelloVoter = proto('HelloVoter', { id: field(1, int32), directoryId: field(2, string) })

/**
 * The first frame of every stream, in both directions. Cluster id and incarnation are checked before any other frame counts.
 * An empty cluster id is a node that has not formed or met its cluster yet.
 */
export const Hello = proto('Hello', {
  purpose: field(1, Purpose),
  clusterId: field(2, string),
  nodeId: field(3, sint32),
  /** Of the metadata directory for `raft`, of the process start for the others. */
  incarnationId: field(4, string),
  /** -1: not registered, or not a broker. */
  brokerEpoch: field(5, sint64),
  /** Inter-node protocol version; both sides use the smaller. */
  version: field(6, int32),
  /** raft: this node has neither hard state nor log. */
  blank: field(7, bool),
  /** raft: the voter set this node knows; empty when blank. */
  voters: repeated(8, HelloVoter),
  /** raft: leader and term as this node knows them. */
  leaderId: optional(9, sint32),
  term: field(10, sint64),
})
export type Hello = TypeOf<typeof Hello>
