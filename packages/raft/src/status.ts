import type { RaftNode } from './node.ts'
import type { PeerProgress, RaftStatus } from './types.ts'

export function raftStatus(node: RaftNode): RaftStatus {
  const { log, leadership, membership } = node
  const peers: PeerProgress[] = [...(leadership?.progress.values() ?? [])].map((progress) => ({
    peer: progress.peer,
    voter: membership.has(progress.peer),
    match: progress.match,
    next: progress.next,
    state: progress.state,
    active: progress.silentTicks < node.config.electionTicks,
    caughtUp: progress.caughtUp,
  }))
  return {
    role: node.visibleRole,
    term: node.term,
    votedFor: node.votedFor,
    leader: node.leader,
    commitIndex: node.commitIndex,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    durableIndex: log.durableIndex,
    snapshotIndex: log.snapshotIndex,
    mayVote: node.mayVote,
    voters: membership.voters,
    votersIndex: membership.index,
    peers,
    uncommittedBytes: leadership?.uncommittedBytes ?? 0,
    round: leadership?.round ?? 0,
    confirmedRound: leadership?.confirmedRound ?? 0,
    transferringTo: leadership?.transfer?.to ?? null,
  }
}
