import type { Entry, RaftStoreState, RaftWrite } from '@millrace/base'
import type { RaftView } from '@millrace/raft'
import { crc32c } from '@millrace/records'
import { type Hello, RaftFrame, RpcDecodeError } from '@millrace/rpc'
import { demand } from './demand.ts'
import { type HeldEntry, keyOfVoter, RaftStoreMirror } from './raft-store-mirror.ts'
import type { RaftStoreTap } from './taps.ts'

/** What the checks of the quorum need of the others. */
export interface RaftChecksHost {
  /** Told of each entry when the first member learns that it is committed, in the order of the log. */
  entryCommitted(index: number, kind: Entry['kind'], payload: Uint8Array): void
  /** Whether the disk of a node has lost anything since this was last asked: then it must come back as another voter. */
  mayForget(node: number): boolean
}

/** The content of an (index, term) as it was first written anywhere, with the term before it. */
interface Written {
  readonly term: number
  /** -1 where nobody knows. */
  readonly before: number
  readonly seal: number
  /** Some store has answered for it. */
  answered: boolean
  /** Kept until the entry is committed. */
  entry: Entry | null
  /** Who holds it, by node; told of the formation alone, which is the first entry. */
  readonly holders: Map<number, RaftStoreMirror>
}

interface Committed {
  readonly term: number
  readonly seal: number
  /** The term of the member that committed it first. */
  readonly by: number
}

/** One incarnation of a quorum member as it was after its last event. */
export class RaftWatch {
  readonly node: number
  /** The store that was opened last; a member that forgot something begins another one. */
  store = new RaftStoreMirror()
  view: RaftView | null = null
  key = ''
  term = -1
  commitIndex = 0
  lastIndex = 0
  /** The term that it leads; -1 for none. */
  leads = -1

  constructor(node: number) {
    this.node = node
  }

  get name(): string {
    return `n${this.node}`
  }
}

/**
 * The invariants of Raft, under the names that the TLA+ specification of etcd gives them where it has one. An entry is compared when it is
 * written, a commit when it happens, a promise when it is sent: an event that does none of these costs a few comparisons.
 */
export class RaftChecks {
  readonly counts = { entries: 0, commits: 0, elections: 0, promises: 0, snapshots: 0 }
  /** The committed log; index 1 is at 0. */
  readonly committed: Committed[] = []
  private readonly written = new Map<number, Written[]>()
  private readonly leaders = new Map<number, string>()
  private readonly votes = new Map<string, string>()
  private readonly terms = new Map<string, number>()
  /** The store of every identity that ever was, as it was last. */
  private readonly stores = new Map<string, RaftStoreMirror>()
  private readonly watches = new Map<number, RaftWatch>()
  /** Who each node was last. */
  private readonly keys = new Map<number, string>()
  private readonly host: RaftChecksHost

  constructor(host: RaftChecksHost) {
    this.host = host
  }

  /** A new incarnation. What it writes and sends comes through its watch. */
  started(node: number): RaftWatch {
    const watch = new RaftWatch(node)
    this.watches.set(node, watch)
    return watch
  }

  ended(node: number): void {
    const watch = this.watches.get(node)
    if (watch?.view) this.terms.set(watch.key, watch.store.hardState?.term ?? 0)
    this.watches.delete(node)
  }

  /** Listens to the stores of an incarnation. */
  storeTap(watch: RaftWatch): RaftStoreTap {
    const store = new RaftStoreMirror()
    return {
      opened: () => void (watch.store = store),
      loaded: (state: RaftStoreState) => store.loaded(state.hardState, state.firstIndex, state.lastIndex),
      read: (entries) => this.found(watch, store, entries),
      writing: (change) => this.writing(watch, store, change),
      written: (change) => {
        store.answered(change)
        for (const { index, term } of change.append ?? []) {
          const known = this.written.get(index)?.find((other) => other.term === term)
          if (known !== undefined) known.answered = true
        }
      },
    }
  }

  // What is written.

  private found(watch: RaftWatch, store: RaftStoreMirror, entries: readonly Entry[]): void {
    for (const entry of entries) if (store.entry(entry.index) === null) this.hold(watch, store, entry)
  }

  private writing(watch: RaftWatch, store: RaftStoreMirror, change: RaftWrite): void {
    const { view, name } = watch
    const { truncateFrom, restartAt, append } = change
    const leads = view !== null && view.role === 'leader'
    if (truncateFrom !== undefined) {
      demand(
        truncateFrom > watch.commitIndex,
        'NoTruncationBelowCommit',
        () => `${name} truncates from ${truncateFrom}, committed is ${watch.commitIndex}`,
      )
      demand(!leads, 'LeaderAppendOnly', () => `${name} truncates from ${truncateFrom} while it leads`)
    }
    demand(restartAt === undefined || !leads, 'LeaderLoadsNoSnapshot', () => `${name} restarts its log at ${restartAt}`)
    store.cut(change)
    for (const entry of append ?? []) {
      demand(
        entry.index === store.lastIndex + 1,
        'LogHasNoGap',
        () => `${name} writes entry ${entry.index} after ${store.lastIndex}`,
      )
      store.lastIndex = entry.index
      this.hold(watch, store, entry)
      if (entry.kind === 'voters' && leads) this.oneChange(watch, store, entry.index)
    }
  }

  private hold(watch: RaftWatch, store: RaftStoreMirror, entry: Entry): void {
    const { index, term, kind } = entry
    const seal = sealOf(entry)
    store.hold(index, { term, kind, seal })
    const before = index === 1 ? 0 : (store.term(index - 1) ?? -1)
    let all = this.written.get(index)
    if (all === undefined) this.written.set(index, (all = []))
    const known = all.find((other) => other.term === term)
    const kept = index > this.committed.length ? entry : null
    const holders = new Map(index === 1 ? [[watch.node, store]] : [])
    const written = { term, before, seal, answered: false, entry: kept, holders }
    if (known === undefined) {
      this.counts.entries++
      all.push(written)
      return
    }
    if (index === 1 && known.seal !== seal && this.isVoid(known, watch))
      return void all.splice(all.indexOf(known), 1, written)
    if (index === 1) known.holders.set(watch.node, store)
    const agree = known.seal === seal && (before === -1 || known.before === -1 || known.before === before)
    demand(
      agree,
      'LogMatching',
      () =>
        `${watch.name} holds entry ${index} of term ${term} after term ${before} with seal ${seal.toString(16)}; it was written after term ${known.before} with ${known.seal.toString(16)}`,
    )
  }

  /** A formation that was not written, or that went with the disks of all who had it before anybody heard of it: the next one is of the same term. */
  private isVoid(formation: Written, writer: RaftWatch): boolean {
    if (!formation.answered) return true
    if (this.committed.length > 0) return false
    return [...formation.holders].every(([node, store]) => {
      const now = this.watches.get(node)?.store
      return now !== undefined && now !== store && (node === writer.node || now.lastIndex === 0)
    })
  }

  private oneChange(watch: RaftWatch, store: RaftStoreMirror, index: number): void {
    const committed = Math.max(watch.commitIndex, watch.view?.commitIndex ?? 0)
    for (let at = committed + 1; at < index; at++)
      demand(
        store.entry(at)?.kind !== 'voters',
        'OneVoterChange',
        () => `${watch.name} leads with changes of voters at ${at} and ${index}, committed is ${committed}`,
      )
  }

  // What is promised.

  /** A frame of a quorum stream leaves the node: whatever it promises must be on disk by now. */
  sent(watch: RaftWatch, from: Hello, to: Hello | null, bytes: Uint8Array): void {
    let frame: RaftFrame
    try {
      frame = RaftFrame.decode(bytes)
    } catch (error) {
      if (error instanceof RpcDecodeError) return
      throw error
    }
    if (frame.kind === 'formation' || frame.kind === 'preVote' || frame.kind === 'preVoteReply') return
    this.counts.promises++
    const { store, name } = watch
    const { hardState } = store
    const term = hardState?.term ?? 0
    demand(
      frame.term <= term,
      'PromiseIsDurable',
      () => `${name} sends ${frame.kind} of term ${frame.term}, durable is ${term}`,
    )
    const self = keyOfVoter({ id: from.nodeId, directoryId: from.incarnationId })
    if (frame.kind === 'vote') this.recordVote(self, frame.term, self)
    if (frame.kind === 'voteReply' && frame.granted) {
      const candidate = to === null ? '?' : keyOfVoter({ id: to.nodeId, directoryId: to.incarnationId })
      this.recordVote(self, frame.term, candidate)
      const durable = hardState?.votedFor ?? null
      demand(
        term > frame.term || (durable !== null && keyOfVoter(durable) === candidate),
        'PromiseIsDurable',
        () =>
          `${name} grants its vote of term ${frame.term} to ${candidate}, durable is ${durable && keyOfVoter(durable)}`,
      )
    }
    if (frame.kind === 'appendReply' && frame.success && !frame.forgetful) {
      const durable = Math.max(store.durableLast, watch.view?.snapshotIndex ?? 0)
      demand(
        frame.index <= durable,
        'PromiseIsDurable',
        () => `${name} acknowledges entry ${frame.index}, durable is ${durable}`,
      )
    }
  }

  private recordVote(voter: string, term: number, candidate: string): void {
    const key = `${voter} in ${term}`
    const known = this.votes.get(key)
    if (known === undefined) this.votes.set(key, candidate)
    else demand(known === candidate, 'OneVotePerTerm', () => `${key} votes for ${known} and for ${candidate}`)
  }

  // What the machine says after an event.

  ran(watch: RaftWatch, view: RaftView): void {
    if (watch.view === null) this.begins(watch, view)
    const { term, commitIndex, lastIndex } = view
    if (term !== watch.term) {
      demand(term > watch.term, 'TermMonotonic', () => `the term of ${watch.name} falls from ${watch.term} to ${term}`)
      watch.term = term
    }
    demand(
      view.durableIndex <= Math.max(watch.store.durableLast, view.snapshotIndex),
      'DurableIsOnDisk',
      () => `${watch.name} takes ${view.durableIndex} to be on disk, its store answered for ${watch.store.durableLast}`,
    )
    demand(
      view.snapshotIndex <= commitIndex && view.firstIndex - 1 <= view.snapshotIndex,
      'SnapshotCovers',
      () =>
        `${watch.name} has a snapshot at ${view.snapshotIndex}, commits ${commitIndex}, begins at ${view.firstIndex}`,
    )
    const leads = view.role === 'leader' ? term : -1
    if (leads !== -1) {
      if (watch.leads !== leads) this.leads(watch, term)
      else
        demand(
          lastIndex >= watch.lastIndex,
          'LeaderAppendOnly',
          () => `the log of leader ${watch.name} shrinks from ${watch.lastIndex} to ${lastIndex}`,
        )
    }
    watch.leads = leads
    watch.lastIndex = lastIndex
    if (commitIndex !== watch.commitIndex) this.commits(watch, view)
  }

  private begins(watch: RaftWatch, view: RaftView): void {
    watch.view = view
    watch.key = keyOfVoter(view.self)
    watch.commitIndex = view.snapshotIndex
    this.staysItself(watch)
    this.stores.set(watch.key, watch.store)
    const term = this.terms.get(watch.key) ?? 0
    demand(view.term >= term, 'TermMonotonic', () => `${watch.key} comes back with term ${view.term} and had ${term}`)
    this.snapshotIsCommitted(watch, view)
  }

  /** Two of three that forget who they were are a quorum that is gone: nobody may without cause. */
  private staysItself({ node, key, name }: RaftWatch): void {
    const before = this.keys.get(node) ?? key
    this.keys.set(node, key)
    const excused = this.host.mayForget(node)
    demand(before === key || excused, 'VoterIsKept', () => `${name} was ${before} and comes back as ${key}`)
  }

  private leads(watch: RaftWatch, term: number): void {
    this.counts.elections++
    const known = this.leaders.get(term) ?? watch.key
    demand(known === watch.key, 'ElectionSafety', () => `${known} and ${watch.key} lead term ${term}`)
    this.leaders.set(term, known)
    const { store } = watch
    for (let index = store.firstIndex; index <= this.committed.length; index++) {
      const { by, term: wrote, seal } = this.committed[index - 1] as Committed
      // A late vote may still elect the leader of an old term; it lacks what newer ones committed, and commits nothing.
      if (by >= term) continue
      const held = store.entry(index)
      demand(
        held !== null && held.term === wrote && held.seal === seal,
        'LeaderCompleteness',
        () => `${watch.name} leads term ${term} without committed entry ${index} of term ${wrote}`,
      )
    }
  }

  private commits(watch: RaftWatch, view: RaftView): void {
    const { commitIndex, snapshotIndex } = view
    const { name } = watch
    demand(
      commitIndex > watch.commitIndex,
      'CommitMonotonic',
      () => `the commit index of ${name} falls from ${watch.commitIndex} to ${commitIndex}`,
    )
    demand(
      commitIndex <= view.durableIndex,
      'CommittedIsDurable',
      () => `${name} commits ${commitIndex}, durable is ${view.durableIndex}`,
    )
    const from = Math.max(watch.commitIndex, snapshotIndex)
    if (snapshotIndex > watch.commitIndex) {
      this.counts.snapshots++
      this.snapshotIsCommitted(watch, view)
    }
    const before = this.committed.length
    for (let index = from + 1; index <= commitIndex; index++) this.commit(watch, view, index)
    watch.commitIndex = commitIndex
    if (this.committed.length > before && view.role === 'leader') this.ownTerm(watch, view)
  }

  /** Section 5.4.2 of the paper: a leader counts replicas of entries of its own term only, which commit those before them. */
  private ownTerm({ store, name }: RaftWatch, { term, commitIndex, voters }: RaftView): void {
    if (store.term(commitIndex) === term) return
    // Its own disk may be behind what the others hold already.
    const ends = voters.map((voter) => this.stores.get(keyOfVoter(voter))?.durableLast ?? 0).sort((a, b) => b - a)
    const reached = Math.min(ends[Math.floor(voters.length / 2)] ?? 0, store.lastIndex)
    demand(
      store.term(reached) === term,
      'CommitOfOwnTerm',
      () => `${name} leads term ${term} and commits ${commitIndex} of term ${store.term(commitIndex)}`,
    )
  }

  private commit(watch: RaftWatch, view: RaftView, index: number): void {
    const held = watch.store.entry(index)
    demand(held !== null, 'CommittedIsHeld', () => `${watch.name} commits entry ${index} and does not hold it`)
    const known = this.committed[index - 1]
    if (known === undefined) return this.firstCommit(watch, view, index)
    demand(
      known.term === held.term && known.seal === held.seal,
      'StateMachineSafety',
      () => `${watch.name} commits entry ${index} of term ${held.term}; committed is the one of term ${known.term}`,
    )
  }

  private firstCommit(watch: RaftWatch, view: RaftView, index: number): void {
    const { term, seal } = watch.store.entry(index) as HeldEntry
    demand(
      index === this.committed.length + 1,
      'StateMachineSafety',
      () => `${watch.name} commits entry ${index} after ${this.committed.length}`,
    )
    this.quorumHolds(watch, view, index, term)
    this.counts.commits++
    this.committed.push({ term, seal, by: view.term })
    for (const other of this.watches.values()) {
      if (other.leads <= view.term || other === watch) continue
      demand(
        other.store.term(index) === term || other.store.firstIndex > index,
        'LeaderCompleteness',
        () => `${other.name} leads term ${other.leads} without entry ${index}, committed in term ${view.term}`,
      )
    }
    const written = this.written.get(index) ?? []
    const { entry } = written.find((one) => one.term === term) as Written
    for (const one of written) one.entry = null
    const { kind, payload } = entry as Entry
    this.host.entryCommitted(index, kind, payload)
  }

  private quorumHolds(watch: RaftWatch, view: RaftView, index: number, term: number): void {
    let holding = 0
    for (const voter of view.voters) {
      const store = this.stores.get(keyOfVoter(voter))
      if (store === undefined || store.durableLast < index) continue
      if (store.firstIndex > index || store.term(index) === term) holding++
    }
    demand(
      holding * 2 > view.voters.length,
      'QuorumLog',
      () => `${watch.name} commits entry ${index}, which ${holding} of ${view.voters.length} voters have on disk`,
    )
  }

  private snapshotIsCommitted(watch: RaftWatch, { snapshotIndex, snapshotTerm }: RaftView): void {
    if (snapshotIndex === 0) return
    demand(
      this.committed[snapshotIndex - 1]?.term === snapshotTerm,
      'SnapshotIsCommitted',
      () => `${watch.name} has a snapshot at ${snapshotIndex} of term ${snapshotTerm}, which nobody committed`,
    )
  }
}

const KINDS: Readonly<Record<Entry['kind'], number>> = { data: 1, noop: 2, voters: 3 }

function sealOf({ kind, payload }: Entry): number {
  return (crc32c(payload) ^ KINDS[kind]) >>> 0
}
