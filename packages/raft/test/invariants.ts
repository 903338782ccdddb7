import type { RaftWrite } from '@millrace/base'
import { majority } from '../src/voters.ts'
import { sameVoter, voterKey, type RaftMessage, type VoterId } from '../src/index.ts'
import { entryText, type LogImage } from './disk.ts'
import type { Member } from './member.ts'
import { voterName } from './voters-codec.ts'

interface Committed {
  readonly term: number
  readonly text: string
  /** The term of the leader that committed it. */
  readonly by: number
}

interface Seen {
  term: number
  commitIndex: number
  leading: number
  lastIndex: number
}

/**
 * The invariants of Raft, under the names that the TLA+ specification of etcd gives them, looked at after every event.
 * Everything is incremental: an entry is compared when it is written, a commit when it happens.
 */
export class Invariants {
  readonly #leaders = new Map<number, string>()
  /** Content of every (index, term) ever written: together with the term before it, this is LogMatching by induction. */
  readonly #written = new Map<string, string>()
  readonly #committed: Committed[] = []
  readonly #votes = new Map<string, string>()
  readonly #durableTerm = new Map<string, number>()
  readonly #seen = new Map<Member, Seen>()
  /** Disks of every identity that ever was, wiped ones as they were last. */
  readonly #disks = new Map<string, LogImage>()
  checks = 0

  get committedEntries(): readonly Committed[] {
    return this.#committed
  }

  /** A write is about to change the log of a member. */
  writes(member: Member, write: RaftWrite): void {
    const seen = this.#of(member)
    const { snapshot } = member.disk
    if (write.restartAt !== undefined && snapshot !== null)
      this.#demand(
        member.memory.entry(snapshot.index)?.term !== snapshot.term,
        `${name(member)} throws away entries beyond a snapshot that agrees with its log`,
      )
    if (write.truncateFrom !== undefined) {
      this.#demand(write.truncateFrom > seen.commitIndex, `${name(member)} truncates what it knows to be committed`)
      this.#demand(member.output?.role !== 'leader', `${name(member)} truncates while it leads: LeaderAppendOnly`)
    }
    let previous: number | null = null
    for (const entry of write.append ?? []) {
      const before = previous ?? member.memory.term(entry.index - 1) ?? '?'
      previous = entry.term
      const key = `${entry.index}/${entry.term}`
      const content = `${before}:${entryText(entry)}`
      const known = this.#written.get(key)
      if (known === undefined) this.#written.set(key, content)
      else this.#demand(known === content || before === '?', `LogMatching at ${key}: ${known} and ${content}`)
    }
  }

  /** A message leaves its node: whatever it promises must be durable. */
  sent(member: Member, to: VoterId, message: RaftMessage): void {
    const { disk } = member
    const promise = message.kind === 'preVote' || message.kind === 'preVoteReply'
    const term = disk.hardState?.term ?? 0
    this.#demand(promise || message.term <= term, `${name(member)} speaks of term ${message.term}, durable is ${term}`)
    if (message.kind === 'vote') this.#vote(member.voter, message.term, member.voter)
    if (message.kind === 'voteReply' && message.granted) this.#vote(member.voter, message.term, to)
    if (message.kind === 'appendReply' && message.success)
      this.#demand(
        message.index <= Math.max(disk.lastIndex, disk.snapshot?.index ?? 0),
        `${name(member)} acknowledges ${message.index}, durable is ${disk.lastIndex}`,
      )
  }

  stepped(member: Member, all: readonly Member[]): void {
    const status = member.machine?.status()
    if (status === undefined) return
    this.checks++
    const seen = this.#of(member)
    this.#disks.set(voterKey(member.voter), member.disk)
    this.#demand(status.term >= seen.term, `the term of ${name(member)} falls`)
    this.#demand(status.commitIndex >= seen.commitIndex, `the commit index of ${name(member)} falls`)
    this.#demand(status.commitIndex <= status.durableIndex, `${name(member)}: CommittedIsDurable`)
    this.#demand(
      status.durableIndex <= Math.max(member.disk.lastIndex, status.snapshotIndex),
      `${name(member)} overrates its disk`,
    )
    this.#demand(status.lastIndex === member.memory.lastIndex, `${name(member)} and its store end differently`)
    this.#demand(status.snapshotIndex <= status.commitIndex, `${name(member)} has a snapshot past its commit index`)
    this.#demand(status.firstIndex - 1 <= status.snapshotIndex, `${name(member)} lacks entries above its snapshot`)
    const durable = this.#durableTerm.get(voterKey(member.voter)) ?? 0
    const onDisk = member.disk.hardState?.term ?? 0
    this.#demand(onDisk >= durable, `${name(member)} forgot term ${durable}`)
    this.#durableTerm.set(voterKey(member.voter), onDisk)
    if (status.role === 'leader') this.#leads(member, status.term, seen)
    else seen.leading = 0
    this.#commits(member, seen, status.commitIndex, all)
    seen.term = status.term
    seen.commitIndex = status.commitIndex
    seen.lastIndex = status.lastIndex
    this.#moreUpToDate(member, all)
  }

  /** A restart begins a new incarnation: its commit index starts at the snapshot. */
  restarted(member: Member): void {
    this.#seen.delete(member)
  }

  /** The disk of an identity was lost; what it does not remember is no breach of its own. */
  forgot(member: Member): void {
    this.#durableTerm.delete(voterKey(member.voter))
  }

  #leads(member: Member, term: number, seen: Seen): void {
    const known = this.#leaders.get(term) ?? voterKey(member.voter)
    this.#demand(known === voterKey(member.voter), `ElectionSafety: ${known} and ${name(member)} lead term ${term}`)
    this.#leaders.set(term, known)
    if (seen.leading === term) {
      this.#demand(member.memory.lastIndex >= seen.lastIndex, `LeaderAppendOnly: the log of ${name(member)} shrinks`)
    } else this.#complete(member, term)
    seen.leading = term
    const changes = member.memory.entries.filter(
      ({ kind, index }) => kind === 'voters' && index > this.#committed.length,
    )
    this.#demand(changes.length <= 1, `${name(member)} has two changes of voters under way`)
  }

  /** Late votes may still elect a leader of an old term; it may lack what newer ones committed, and will commit nothing. */
  #complete(member: Member, term: number): void {
    for (let index = this.#committed.length; index > (member.memory.snapshot?.index ?? 0); index--) {
      const committed = this.#committed[index - 1] as Committed
      if (committed.by >= term) continue
      const held = member.memory.term(index)
      this.#demand(
        held === committed.term,
        `LeaderCompleteness: ${name(member)} leads without committed entry ${index}`,
      )
    }
  }

  #commits(member: Member, seen: Seen, commitIndex: number, all: readonly Member[]): void {
    const from = Math.max(seen.commitIndex, member.memory.firstIndex - 1, member.memory.snapshot?.index ?? 0)
    for (let index = from + 1; index <= commitIndex; index++) {
      const entry = member.memory.entry(index)
      this.#demand(entry !== null, `${name(member)} commits ${index} and does not hold it`)
      const text = entryText(entry as NonNullable<typeof entry>)
      const term = (entry as NonNullable<typeof entry>).term
      const known = this.#committed[index - 1]
      if (known === undefined) this.#firstCommit(member, { index, term, text }, all)
      else
        this.#demand(
          known.term === term && known.text === text,
          `StateMachineSafety at ${index}: ${known.text} of ${known.term} and ${text} of ${term} (${name(member)})`,
        )
    }
  }

  #firstCommit(member: Member, entry: { index: number; term: number; text: string }, all: readonly Member[]): void {
    this.#demand(entry.index === this.#committed.length + 1, `entry ${entry.index} is committed out of order`)
    const voters = member.output?.voters ?? []
    const holding = voters.filter((voter) => {
      const disk = this.#disks.get(voterKey(voter))
      return disk !== undefined && (disk.term(entry.index) === entry.term || (disk.snapshot?.index ?? 0) >= entry.index)
    })
    this.#demand(
      holding.length >= majority(voters.length),
      `QuorumLog: entry ${entry.index} is committed and durable on ${holding.map(voterName).join(' ')} only`,
    )
    // Whoever leads the term in which it was committed, or a later one; an old leader that knows of nothing may lack it.
    const by = member.output?.term ?? 0
    this.#committed.push({ term: entry.term, text: entry.text, by })
    for (const other of all) {
      if (other.output?.role !== 'leader' || other.output.term < by) continue
      this.#demand(
        other.memory.term(entry.index) === entry.term,
        `LeaderCompleteness: ${name(other)} lacks ${entry.index}`,
      )
    }
  }

  /**
   * Whoever could be elected now, because a majority of its voters has no better log, holds everything that was committed.
   * (Of two nodes alone it need not be true: a follower learns of commits of old entries before it has the entry of the
   * leader's own term that committed them.)
   */
  #moreUpToDate(member: Member, all: readonly Member[]): void {
    const { lastTerm, lastIndex, snapshot } = member.memory
    const index = this.#committed.length
    if (!member.electable || index <= (snapshot?.index ?? 0)) return
    const term = this.#committed[index - 1]?.term
    if (member.memory.term(index) === term) return
    const voters = member.output?.voters ?? []
    const electors = all.filter(({ voter, memory }) => {
      const better = memory.lastTerm > lastTerm || (memory.lastTerm === lastTerm && memory.lastIndex > lastIndex)
      return !better && voters.some((other) => sameVoter(other, voter))
    })
    this.#demand(
      electors.length < majority(voters.length),
      `MoreUpToDateCorrect: ${electors.map(name).join(' ')} would elect ${name(member)} without entry ${index}`,
    )
  }

  #vote(voter: VoterId, term: number, candidate: VoterId): void {
    const key = `${voterKey(voter)} in ${term}`
    const known = this.#votes.get(key) ?? voterKey(candidate)
    this.#demand(known === voterKey(candidate), `${key} votes for ${known} and ${voterName(candidate)}`)
    this.#votes.set(key, known)
  }

  #of(member: Member): Seen {
    const seen = this.#seen.get(member) ?? { term: 0, commitIndex: 0, leading: 0, lastIndex: 0 }
    this.#seen.set(member, seen)
    return seen
  }

  #demand(holds: boolean, what: string): void {
    if (!holds) throw new Error(`invariant: ${what}`)
  }
}

function name(member: Member): string {
  return voterName(member.voter)
}

export function sameIdentity(a: Member, b: Member): boolean {
  return sameVoter(a.voter, b.voter)
}
