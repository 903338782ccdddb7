import type { Entry, Uuid } from '@millrace/base'
import type { VotersCodec } from '@millrace/raft'
import { RaftVoters } from '@millrace/rpc'
import type { Formation } from './identity.ts'

/** Voter sets as they stand in the log: every one names its cluster. */
export function votersCodec(clusterId: Uuid): VotersCodec {
  return {
    encode: (voters) => RaftVoters.encode({ voters, clusterId }),
    decode: (payload) => RaftVoters.decode(payload).voters,
  }
}

/**
 * The first entry of a log. It is the same on every founding member, byte for byte, because it is a function of the formation;
 * so members may write it by themselves instead of receiving it.
 */
export function formationEntry(formation: Formation): Entry {
  return { index: 1, term: 1, kind: 'voters', payload: RaftVoters.encode(formation) }
}
