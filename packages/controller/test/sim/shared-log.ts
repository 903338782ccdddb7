import type { Accepted, Done, Random } from '@millrace/base'
import { createImage } from '@millrace/metadata'
import type { FollowedImage, ImageChanges } from '@millrace/metadata'
import type { Quorum, QuorumListener, QuorumStatus } from '../../src/index.ts'
import type { VirtualTime } from '../virtual-world.ts'

interface Entry {
  readonly index: number
  readonly term: number
  /** Null: begins a term. */
  readonly payload: Uint8Array | null
}

/** What Raft promises to its users, without Raft: one committed log, and leaders that may not know yet that they are deposed. */
export class SharedLog {
  readonly time: VirtualTime
  readonly random: Random
  readonly members = new Map<number, Member>()
  readonly committed: Entry[] = []
  /** The state after every committed entry, and what each entry did. */
  readonly reference: FollowedImage = createImage()
  readonly states = new Map<number, string>()
  readonly createdAt = new Map<string, number>()
  term = 0
  leader: Member | null = null
  private pending: Entry[] = []

  constructor(time: VirtualTime, random: Random) {
    this.time = time
    this.random = random
    this.states.set(0, fingerprint(this.reference))
  }

  get nextIndex(): number {
    return this.committed.length + this.pending.length + 1
  }

  append(member: Member, payload: Uint8Array): Entry {
    const entry = { index: this.nextIndex, term: member.leads as number, payload }
    // A deposed leader writes into a log that nobody will ever have.
    if (member !== this.leader || member.leads !== this.term) return { ...entry, index: member.lonely++ }
    this.pending.push(entry)
    const { term } = this
    this.time.after(500 + this.random.below(20_000), () => {
      if (this.term === term && this.pending.includes(entry)) this.commitTo(entry.index)
    })
    return entry
  }

  /** Another member wins: some of what was on its way survives, and what the winner lacks is lost. */
  elect(id: number): void {
    const winner = this.members.get(id)
    if (winner === undefined || winner.dead) return
    const deposed = this.leader
    this.pending = this.pending.slice(0, this.random.below(this.pending.length + 1))
    this.term++
    const { term } = this
    this.leader = winner
    this.pending.push({ index: this.nextIndex, term, payload: null })
    this.commitTo(this.nextIndex - 1)
    for (const member of this.members.values())
      if (member !== winner && member !== deposed) member.hear(term, id, this.random.below(50_000))
    if (deposed !== null) deposed.lonely = this.nextIndex
    if (deposed !== null && deposed !== winner) deposed.hear(term, id, this.random.below(300_000))
    winner.win(term)
  }

  private commitTo(index: number): void {
    while (this.pending.length > 0 && (this.pending[0] as Entry).index <= index) {
      const entry = this.pending.shift() as Entry
      this.committed.push(entry)
      if (entry.payload === null) continue
      const changes: ImageChanges = this.reference.apply(entry.index, entry.payload)
      for (const { id } of changes.createdTopics) this.createdAt.set(id, entry.index)
      this.states.set(entry.index, fingerprint(this.reference))
    }
    for (const member of this.members.values()) member.follow()
  }
}

export function fingerprint(image: FollowedImage): string {
  return Buffer.from(image.snapshot()).toString('base64')
}

/** One incarnation of a member of the quorum. */
export class Member implements Quorum {
  readonly id: number
  readonly raft = null
  dead = false
  /** The term that this member believes to lead. */
  leads: number | null = null
  lonely = 0
  private readonly log: SharedLog
  private readonly listener: QuorumListener
  private known = { term: 0, leader: null as number | null }
  private delivered = 0
  private started = false
  private moving = false

  constructor(log: SharedLog, id: number, listener: QuorumListener) {
    this.log = log
    this.id = id
    this.listener = listener
    log.members.set(id, this)
  }

  get clusterId(): string | null {
    return this.started ? 'the-cluster' : null
  }

  get status(): QuorumStatus {
    const { term, leader } = this.known
    const voter = {
      directoryId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      logEnd: this.log.nextIndex,
      lastFetchMs: -1,
      lastCaughtUpMs: -1,
    }
    return { leader, term, commitIndex: this.delivered, voters: [{ id: this.id, ...voter }], learners: [] }
  }

  start(): void {
    this.log.time.after(1000, () => {
      if (this.dead) return
      this.started = true
      this.listener.clusterId('the-cluster')
      this.begin()
      this.follow()
    })
  }

  propose(payload: Uint8Array): { index: number; term: number } | null {
    if (this.leads === null || this.dead) return null
    const { index, term } = this.log.append(this, payload)
    return { index, term }
  }

  accept(): Accepted {
    return { hello: new Uint8Array(0), handler: { opened() {}, frame() {}, drained() {}, closed() {} } }
  }

  stop(done: Done<void>): void {
    this.dead = true
    this.log.time.after(0, () => done(null, undefined))
  }

  /** A restarted member has the log from its beginning, or a snapshot of a part of it. */
  private begin(): void {
    const { reference, committed, random } = this.log
    if (reference.index === 0 || random.below(2) === 0) return
    this.delivered = committed.length
    this.listener.restore(reference.snapshot(), reference.index, 1)
  }

  follow(): void {
    if (this.moving || !this.started || this.dead || this.delivered >= this.log.committed.length) return
    this.moving = true
    this.log.time.after(this.log.random.below(5000), () => {
      this.moving = false
      if (this.dead) return
      this.deliver()
      this.follow()
    })
  }

  hear(term: number, leader: number, delayUs: number): void {
    this.log.time.after(delayUs, () => {
      if (this.dead || !this.started || term <= this.known.term) return
      this.known = { term, leader }
      this.leads = null
      this.listener.leadership({ kind: 'other', term, leader })
    })
  }

  /** Everything committed before is handed over first. */
  win(term: number): void {
    this.log.time.after(1000, () => {
      if (this.dead || this.log.term !== term) return
      this.started = true
      while (this.delivered < this.log.committed.length) this.deliver()
      this.known = { term, leader: this.id }
      this.leads = term
      this.listener.leadership({ kind: 'leader', term })
    })
  }

  private deliver(): void {
    const entry = this.log.committed[this.delivered]
    if (entry === undefined) return
    this.delivered++
    if (entry.payload !== null) this.listener.committed(entry.index, entry.term, entry.payload)
  }
}
