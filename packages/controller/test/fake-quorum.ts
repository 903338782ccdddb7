import type { Accepted, Done } from '@millrace/base'
import type { Leadership, Quorum, QuorumListener, QuorumStatus } from '../src/index.ts'
import type { VirtualTime } from './virtual-world.ts'

interface Pending {
  readonly index: number
  readonly term: number
  readonly payload: Uint8Array
}

/** A quorum of one that commits when it is told to, or a moment after each proposal. */
export class FakeQuorum implements Quorum {
  clusterId: string | null = 'the-cluster'
  term = 0
  index = 0
  commitIndex = 0
  /** Null: commits wait for `commit()`. */
  delayMs: number | null = 1
  accepts = true
  readonly raft = null
  readonly entries: Pending[] = []
  private readonly time: VirtualTime
  private readonly listener: QuorumListener
  private pending: Pending[] = []
  private leads = false
  private leader: number | null = null

  constructor(time: VirtualTime, listener: QuorumListener) {
    this.time = time
    this.listener = listener
  }

  start(): void {}

  propose(payload: Uint8Array): { index: number; term: number } | null {
    if (!this.leads || !this.accepts) return null
    const entry = { index: ++this.index, term: this.term, payload }
    this.pending.push(entry)
    if (this.delayMs !== null) this.time.after(this.delayMs * 1000, () => this.commit(entry.index))
    return { index: entry.index, term: entry.term }
  }

  /** Commits up to this entry, or everything. */
  commit(to = this.index): void {
    while (this.pending.length > 0 && (this.pending[0] as Pending).index <= to) {
      const entry = this.pending.shift() as Pending
      this.entries.push(entry)
      this.commitIndex = entry.index
      this.time.turn(() => this.listener.committed(entry.index, entry.term, entry.payload))
    }
  }

  /** A noop entry of a new term comes first, as Raft has it. */
  lead(): void {
    this.term++
    this.commitIndex = ++this.index
    this.leads = true
    this.leader = 100
    this.tell({ kind: 'leader', term: this.term })
  }

  /** Another node leads; what is not committed is lost. */
  follow(leader: number | null): void {
    this.term++
    this.leads = false
    this.leader = leader
    this.index = this.commitIndex
    this.pending = []
    this.tell({ kind: 'other', term: this.term, leader })
  }

  get status(): QuorumStatus {
    const { leader, term, commitIndex, index } = this
    const self = {
      id: 100,
      directoryId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      logEnd: index + 1,
      lastFetchMs: -1,
      lastCaughtUpMs: -1,
    }
    return { leader, term, commitIndex, voters: [self], learners: [] }
  }

  accept(): Accepted {
    return { hello: new Uint8Array(0), handler: { opened() {}, frame() {}, drained() {}, closed() {} } }
  }

  stop(done: Done<void>): void {
    this.time.after(0, () => done(null, undefined))
  }

  private tell(state: Leadership): void {
    this.time.turn(() => this.listener.leadership(state))
  }
}
