import type { VoterId } from '@millrace/base'
import { includesVoter, sameVoter, type RaftStatus } from '@millrace/raft'

export type VoterChange = { readonly add: VoterId } | { readonly remove: VoterId }

/**
 * The next change of the voter set that brings a connected member in, or null. A member that was wiped first removes its former
 * self and is then added: in between the group is smaller by one that could not vote anyway, and if the newcomer fails
 * meanwhile it does not count. Nothing is removed before the newcomer holds the log.
 */
export function nextChange(status: RaftStatus, connected: readonly VoterId[]): VoterChange | null {
  if (status.role !== 'leader' || status.votersIndex > status.commitIndex) return null
  for (const newcomer of connected) {
    if (includesVoter(status.voters, newcomer)) continue
    const progress = status.peers.find(({ peer }) => sameVoter(peer, newcomer))
    if (progress?.caughtUp !== true || !progress.active) continue
    const former = status.voters.find(({ id }) => id === newcomer.id)
    return former === undefined ? { add: newcomer } : { remove: former }
  }
  return null
}
