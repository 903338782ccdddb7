import type { Clock, VoterId } from '@millrace/base'
import { includesVoter, sameVoter, voterKey, type RaftStatus } from '@millrace/raft'
import type { QuorumReplica, QuorumStatus } from './types.ts'

/** When a leader last heard from each member, for DescribeQuorum. */
export class ReplicaTimes {
  readonly #clock: Clock
  readonly #heardMs = new Map<string, number>()
  readonly #caughtUpMs = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  heard(peer: VoterId): void {
    this.#heardMs.set(voterKey(peer), this.#clock.wallMs())
  }

  status(raft: RaftStatus | null, self: VoterId): QuorumStatus {
    if (raft === null) return { leader: null, term: 0, commitIndex: 0, voters: [], learners: [] }
    const leads = raft.role === 'leader'
    const members = [...raft.voters, ...raft.peers.flatMap(({ peer, voter }) => (voter ? [] : [peer]))]
    const replicas = members.map((member) => this.#replica(raft, member, sameVoter(member, self)))
    return {
      leader: raft.leader?.id ?? null,
      term: raft.term,
      commitIndex: raft.commitIndex,
      voters: replicas.filter((_, at) => includesVoter(raft.voters, members[at] as VoterId)),
      learners: leads ? replicas.filter((_, at) => !includesVoter(raft.voters, members[at] as VoterId)) : [],
    }
  }

  #replica(raft: RaftStatus, member: VoterId, self: boolean): QuorumReplica {
    const { id, directoryId } = member
    const now = this.#clock.wallMs()
    if (self) return { id, directoryId, logEnd: raft.lastIndex + 1, lastFetchMs: now, lastCaughtUpMs: now }
    const progress = raft.peers.find(({ peer }) => sameVoter(peer, member))
    if (progress === undefined) return { id, directoryId, logEnd: -1, lastFetchMs: -1, lastCaughtUpMs: -1 }
    const key = voterKey(member)
    const heardMs = this.#heardMs.get(key) ?? -1
    if (progress.caughtUp) this.#caughtUpMs.set(key, heardMs)
    const lastCaughtUpMs = this.#caughtUpMs.get(key) ?? -1
    return { id, directoryId, logEnd: progress.match + 1, lastFetchMs: heardMs, lastCaughtUpMs }
  }
}
