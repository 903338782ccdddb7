import type { Entry, RaftWrite } from '@millrace/base'
import { majority } from '../voters.ts'
import { sameVoter, voterKey, type RaftMessage, type VoterId } from '../index.ts'
import { entryText, type LogImage } from './disk.ts'
import type { Member } from './member.ts'
import { voterName } from './voters-codec.ts'

interface Committed {
  readonly entry: Entry
  readonly term: number
  /** The term of the leader that committed it. */
  readonly by: number
}

/** What was last seen of a member; all but the key and what is durable ends with its incarnation. */
interface Seen {
  readonly key: string
  durableTerm: number
  term: number
  commitIndex: number
  leading: number
  lastIndex: number
}

interface Written {
  readonly entry: Entry
  /** The term of the entry before it. */
  readonly before: number
}

/** More terms than any run has: makes one number of an index and a term. */
const TERMS = 2 ** 20

/**
 * The invariants of Raft, under the names that the TLA+ specification of etcd gives them, looked at after every event.
 * Everything is incremental: an entry is compared when it is written, a commit when it happens.
 */
export class Invariants {
  readonly #leaders = new Map<number, string>()
  /** Content of every (index, term) ever written: together with the term before it, this is LogMatching by induction. */
  readonly #written = new Map<number, Written>()
  readonly #committed: Committed[] = []
  /** By term: who voted, for whom. */
  readonly #votes = new Map<number, Map<string, VoterId>>()
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
      if (member.memory.entry(snapshot.index)?.term === snapshot.term)
        this.#fail(`${name(member)} throws away entries beyond a snapshot that agrees with its log`)
    if (write.truncateFrom !== undefined) {
      if (write.truncateFrom <= seen.commitIndex) this.#fail(`${name(member)} truncates what it knows to be committed`)
      if (member.output?.role === 'leader') this.#fail(`${name(member)} truncates while it leads: LeaderAppendOnly`)
    }
    let before: number | null = null
    for (const entry of write.append ?? []) {
      before ??= member.memory.term(entry.index - 1)
      this.#matches(entry, before)
      before = entry.term
    }
  }

  /** `before` is null where the log begins with the entry and what was before it is not known. */
  #matches(entry: Entry, before: number | null): void {
    const key = entry.index * TERMS + entry.term
    const known = this.#written.get(key)
    if (known === undefined) {
      if (before !== null) this.#written.set(key, { entry, before })
    } else if (before !== null && (known.before !== before || !sameEntry(known.entry, entry)))
      this.#fail(
        `LogMatching at ${entry.index}/${entry.term}: ${known.before}:${entryText(known.entry)} and ${before}:${entryText(entry)}`,
      )
  }

  /** A message leaves its node: whatever it promises must be durable. */
  sent(member: Member, to: VoterId, message: RaftMessage): void {
    const { disk } = member
    // Asked for in pre-votes, granted in their answers: nobody's own.
    const promise = message.kind === 'preVote' || message.kind === 'preVoteReply'
    const term = disk.hardState?.term ?? 0
    if (!promise && message.term > term)
      this.#fail(`${name(member)} speaks of term ${message.term}, durable is ${term}`)
    if (message.kind === 'vote') this.#vote(member.voter, message.term, member.voter)
    if (message.kind === 'voteReply' && message.granted) this.#vote(member.voter, message.term, to)
    if (message.kind === 'appendReply' && message.success)
      if (message.index > Math.max(disk.lastIndex, disk.snapshot?.index ?? 0))
        this.#fail(`${name(member)} acknowledges ${message.index}, durable is ${disk.lastIndex}`)
  }

  stepped(member: Member, all: readonly Member[]): void {
    const view = member.machine?.view
    if (view === undefined) return
    this.checks++
    const seen = this.#of(member)
    if (view.term < seen.term) this.#fail(`the term of ${name(member)} falls`)
    if (view.commitIndex < seen.commitIndex) this.#fail(`the commit index of ${name(member)} falls`)
    if (view.commitIndex > view.durableIndex) this.#fail(`${name(member)}: CommittedIsDurable`)
    if (view.durableIndex > Math.max(member.disk.lastIndex, view.snapshotIndex))
      this.#fail(`${name(member)} overrates its disk`)
    if (view.lastIndex !== member.memory.lastIndex) this.#fail(`${name(member)} and its store end differently`)
    if (view.snapshotIndex > view.commitIndex) this.#fail(`${name(member)} has a snapshot past its commit index`)
    if (view.role === 'leader' && member.wants !== null) this.#fail(`${name(member)} leads and wants a snapshot`)
    if (view.firstIndex - 1 > view.snapshotIndex) this.#fail(`${name(member)} lacks entries above its snapshot`)
    const onDisk = member.disk.hardState?.term ?? 0
    if (onDisk < seen.durableTerm) this.#fail(`${name(member)} forgot term ${seen.durableTerm}`)
    seen.durableTerm = onDisk
    if (view.role === 'leader') this.#leads(member, view.term, seen)
    else seen.leading = 0
    if (view.commitIndex > seen.commitIndex) this.#commits(member, seen, view.commitIndex, all)
    seen.term = view.term
    seen.commitIndex = view.commitIndex
    seen.lastIndex = view.lastIndex
    this.#moreUpToDate(member, all)
  }

  /** A restart begins a new incarnation: its commit index starts at the snapshot. */
  restarted(member: Member): void {
    const seen = this.#of(member)
    seen.term = seen.commitIndex = seen.leading = seen.lastIndex = 0
  }

  /** The disk of an identity was lost; what it does not remember is no breach of its own. */
  forgot(member: Member): void {
    this.#of(member).durableTerm = 0
  }

  #leads(member: Member, term: number, seen: Seen): void {
    const { memory } = member
    if (seen.leading === term) {
      if (memory.lastIndex < seen.lastIndex) this.#fail(`LeaderAppendOnly: the log of ${name(member)} shrinks`)
    } else {
      const known = this.#leaders.get(term) ?? seen.key
      if (known !== seen.key) this.#fail(`ElectionSafety: ${known} and ${name(member)} lead term ${term}`)
      this.#leaders.set(term, known)
      this.#complete(member, term)
    }
    seen.leading = term
    let changes = 0
    for (let index = this.#committed.length + 1; index <= memory.lastIndex; index++)
      if (memory.entry(index)?.kind === 'voters') changes++
    if (changes > 1) this.#fail(`${name(member)} has two changes of voters under way`)
  }

  /** Late votes may still elect a leader of an old term; it may lack what newer ones committed, and will commit nothing. */
  #complete(member: Member, term: number): void {
    for (let index = this.#committed.length; index > (member.memory.snapshot?.index ?? 0); index--) {
      const committed = this.#committed[index - 1] as Committed
      if (committed.by >= term) continue
      if (member.memory.term(index) !== committed.term)
        this.#fail(`LeaderCompleteness: ${name(member)} leads without committed entry ${index}`)
    }
  }

  #commits(member: Member, seen: Seen, commitIndex: number, all: readonly Member[]): void {
    const from = Math.max(seen.commitIndex, member.memory.firstIndex - 1, member.memory.snapshot?.index ?? 0)
    for (let index = from + 1; index <= commitIndex; index++) {
      const entry = member.memory.entry(index)
      if (entry === null) return this.#fail(`${name(member)} commits ${index} and does not hold it`)
      const known = this.#committed[index - 1]
      if (known === undefined) this.#firstCommit(member, entry, all)
      else if (known.term !== entry.term || !sameEntry(known.entry, entry))
        this.#fail(
          `StateMachineSafety at ${index}: ${entryText(known.entry)} of ${known.term} and ${entryText(entry)} of ${entry.term} (${name(member)})`,
        )
    }
  }

  #firstCommit(member: Member, entry: Entry, all: readonly Member[]): void {
    if (entry.index !== this.#committed.length + 1) this.#fail(`entry ${entry.index} is committed out of order`)
    const voters = member.output?.voters ?? []
    const holds = (voter: VoterId): boolean => {
      const disk = this.#diskOf(voter, all)
      return disk !== undefined && (disk.term(entry.index) === entry.term || (disk.snapshot?.index ?? 0) >= entry.index)
    }
    let holding = 0
    for (const voter of voters) if (holds(voter)) holding++
    if (holding < majority(voters.length))
      this.#fail(
        `QuorumLog: entry ${entry.index} is committed and durable on ${voters.filter(holds).map(voterName).join(' ')} only`,
      )
    // Whoever leads the term in which it was committed, or a later one; an old leader that knows of nothing may lack it.
    const by = member.output?.term ?? 0
    this.#committed.push({ entry, term: entry.term, by })
    for (const other of all) {
      if (other.output?.role !== 'leader' || other.output.term < by) continue
      if (other.memory.term(entry.index) !== entry.term)
        this.#fail(`LeaderCompleteness: ${name(other)} lacks ${entry.index}`)
    }
  }

  /**
   * Whoever could be elected now, because a majority of its voters has no better log, holds everything that was committed.
   * (Of two nodes alone it need not be true: a follower learns of commits of old entries before it has the entry of the
   * leader's own term that committed them.)
   */
  #moreUpToDate(member: Member, all: readonly Member[]): void {
    const { snapshot } = member.memory
    const index = this.#committed.length
    if (index <= (snapshot?.index ?? 0) || member.memory.term(index) === this.#committed[index - 1]?.term) return
    if (!member.electable) return
    const { lastTerm, lastIndex } = member.memory
    const voters = member.output?.voters ?? []
    const electors = all.filter(({ voter, memory }) => {
      const better = memory.lastTerm > lastTerm || (memory.lastTerm === lastTerm && memory.lastIndex > lastIndex)
      return !better && voters.some((other) => sameVoter(other, voter))
    })
    if (electors.length >= majority(voters.length))
      this.#fail(
        `MoreUpToDateCorrect: ${electors.map(name).join(' ')} would elect ${name(member)} without entry ${index}`,
      )
  }

  #vote(voter: VoterId, term: number, candidate: VoterId): void {
    const votes = this.#votes.get(term) ?? new Map<string, VoterId>()
    this.#votes.set(term, votes)
    const key = voterKey(voter)
    const known = votes.get(key) ?? candidate
    if (!sameVoter(known, candidate))
      this.#fail(`${key} votes for ${voterName(known)} and ${voterName(candidate)} in term ${term}`)
    votes.set(key, known)
  }

  #of(member: Member): Seen {
    const known = this.#seen.get(member)
    if (known !== undefined) return known
    const key = voterKey(member.voter)
    const seen = { key, durableTerm: 0, term: 0, commitIndex: 0, leading: 0, lastIndex: 0 }
    this.#seen.set(member, seen)
    this.#disks.set(key, member.disk)
    return seen
  }

  #diskOf(voter: VoterId, all: readonly Member[]): LogImage | undefined {
    for (const member of all) if (sameVoter(member.voter, voter)) return member.disk
    return this.#disks.get(voterKey(voter))
  }

  #fail(what: string): never {
    throw new Error(`invariant: ${what}`)
  }
}

function name(member: Member): string {
  return voterName(member.voter)
}

/** Messages hand entries on as they are, so that most of the time they are one object. */
function sameEntry(a: Entry, b: Entry): boolean {
  return a === b || (a.kind === b.kind && entryText(a) === entryText(b))
}
