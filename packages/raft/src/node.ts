import type { VoterId } from '@millrace/base'
import type { Leadership } from './leadership.ts'
import { RaftLog } from './log.ts'
import { Membership } from './membership.ts'
import { Outbox } from './outbox.ts'
import type { RaftConfig, RaftOutput, RaftRole, RaftStart } from './types.ts'
import { voterKey } from './voters.ts'

/**
 * The state of one member, shared by the role files. Roles and how they change:
 *
 *   follower ──timeout──▶ precandidate ──majority would vote──▶ candidate ──majority voted──▶ leader
 *      ▲                      │ refused                             │ refused                   │ higher term, lost
 *      └──────────────────────┴─────────────────────────────────────┴───────────────────────────┘ quorum, removed
 *
 * A message of a higher term makes anyone a follower of that term, except for pre-votes. A learner is a follower that never
 * times out.
 */
export class RaftNode {
  readonly config: RaftConfig
  readonly log: RaftLog
  readonly membership: Membership
  readonly outbox = new Outbox()

  term: number
  votedFor: VoterId | null
  role: Exclude<RaftRole, 'learner'> = 'follower'
  leader: VoterId | null = null
  /** What a leader told, or counted; `commitIndex` follows once it is durable here. */
  knownCommit: number
  commitIndex: number
  readonly mayVote: boolean
  /** Of a leader; null in every other role. */
  leadership: Leadership | null = null
  readonly votes = new Map<string, boolean>()
  /** Members outside the voter set that want the log. */
  readonly learners = new Map<string, VoterId>()
  wantedSnapshot: RaftOutput['fetchSnapshot'] = null

  /** Ticks since the leader was heard, or since the election began. */
  electionElapsed = 0
  electionDeadline = 0
  /** False once the connection to the leader broke: its silence is then a fact and no guess. */
  leaderReachable = true
  /** Ticks until a broken connection may start an early election again: a flapping link must not flood the others. */
  earlyElectionPause = 0

  hardStateDirty = false

  constructor(config: RaftConfig, start: RaftStart) {
    this.config = config
    this.log = new RaftLog(start, config.maxTailBytes)
    const base = { index: start.snapshotIndex, voters: start.voters }
    this.membership = new Membership(config.voters, base, start.voterEntries)
    this.term = start.hardState?.term ?? 0
    this.votedFor = start.hardState?.votedFor ?? null
    this.commitIndex = start.snapshotIndex
    this.knownCommit = start.snapshotIndex
    this.mayVote = start.mayVote
    this.drawElectionDeadline()
  }

  /** Whether this node may start an election. */
  get electable(): boolean {
    return this.mayVote && this.membership.has(this.config.self)
  }

  get visibleRole(): RaftRole {
    return this.role === 'follower' && !this.electable ? 'learner' : this.role
  }

  /** Whether a leader is there as far as this node can tell; such a node refuses to elect another. */
  get hearsLeader(): boolean {
    if (this.role === 'leader') return true
    return this.leader !== null && this.leaderReachable && this.electionElapsed < this.config.electionTicks
  }

  isSelf(voter: VoterId): boolean {
    return voterKey(voter) === voterKey(this.config.self)
  }

  /** Voters other than this node. */
  get others(): readonly VoterId[] {
    return this.membership.voters.filter((voter) => !this.isSelf(voter))
  }

  setTerm(term: number, votedFor: VoterId | null): void {
    this.term = term
    this.votedFor = votedFor
    this.hardStateDirty = true
  }

  becomeFollower(term: number, leader: VoterId | null): void {
    if (term > this.term) this.setTerm(term, null)
    this.role = 'follower'
    this.leader = leader
    this.leaderReachable = true
    this.leadership = null
    this.wantedSnapshot = null
    this.votes.clear()
    this.drawElectionDeadline()
  }

  drawElectionDeadline(): void {
    this.electionElapsed = 0
    this.electionDeadline = this.config.electionTicks + this.config.random(this.config.electionTicks)
  }

  /** Raises the commit index to what is known to be committed and durable here. */
  advanceCommit(): void {
    const commit = Math.min(this.knownCommit, this.log.durableIndex)
    if (commit <= this.commitIndex) return
    this.commitIndex = commit
    this.membership.committed(commit)
    if (this.wantedSnapshot !== null && this.wantedSnapshot.index <= commit) this.wantedSnapshot = null
  }
}
