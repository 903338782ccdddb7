import type { RaftNode } from './node.ts'
import type { PeerProgress, RaftRole, RaftStatus, RaftView, VoterId } from './types.ts'

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

export class LiveView implements RaftView {
  readonly #node: RaftNode

  constructor(node: RaftNode) {
    this.#node = node
  }

  get self(): VoterId {
    return this.#node.config.self
  }
  get role(): RaftRole {
    return this.#node.visibleRole
  }
  get term(): number {
    return this.#node.term
  }
  get votedFor(): VoterId | null {
    return this.#node.votedFor
  }
  get leader(): VoterId | null {
    return this.#node.leader
  }
  get mayVote(): boolean {
    return this.#node.mayVote
  }
  get commitIndex(): number {
    return this.#node.commitIndex
  }
  get firstIndex(): number {
    return this.#node.log.firstIndex
  }
  get lastIndex(): number {
    return this.#node.log.lastIndex
  }
  get lastTerm(): number {
    return this.#node.log.lastTerm
  }
  get durableIndex(): number {
    return this.#node.log.durableIndex
  }
  get snapshotIndex(): number {
    return this.#node.log.snapshotIndex
  }
  get snapshotTerm(): number {
    return this.#node.log.snapshotTerm
  }
  get voters(): readonly VoterId[] {
    return this.#node.membership.voters
  }
  get votersIndex(): number {
    return this.#node.membership.index
  }
  termAt(index: number): number | null {
    return this.#node.log.term(index)
  }
}
