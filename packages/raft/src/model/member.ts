import type { RaftWrite } from '@millrace/base'
import {
  sameVoter,
  type createRaft,
  type RaftConfig,
  type RaftInput,
  type RaftMachine,
  type RaftMessage,
  type RaftOutput,
  type VoterId,
} from '../index.ts'
import { entryText, LogImage, type Snapshot } from './disk.ts'

/** What a member hands to the rest of its group. */
export interface MemberHooks {
  /** Whether the member leaves its output for later. */
  lazy(member: Member): boolean
  send(from: Member, to: VoterId, message: RaftMessage): void
  /** Just before `memory` takes it. */
  writes(member: Member, write: RaftWrite): void
  /** After every input: the place to look at invariants. */
  stepped(member: Member): void
  /** Makes the machine. */
  readonly create: typeof createRaft
}

/**
 * One node around the machine: a disk whose writes are lost in a crash until they are synced, a state machine that keeps
 * the texts it applied, and the messages that wait for a sync.
 */
export class Member {
  readonly voter: VoterId
  /** What survives a crash. */
  readonly disk: LogImage
  /** The disk as it will be once every write under way is synced. */
  memory: LogImage
  readonly #config: RaftConfig
  readonly #hooks: MemberHooks
  readonly #mayVote: boolean
  machine: RaftMachine | null = null
  output: RaftOutput | null = null
  writes: RaftWrite[] = []
  held: { to: VoterId; message: RaftMessage; after: number }[] = []
  reads: { request: number; from: number; to: number }[] = []
  applied: string[] = []
  appliedIndex = 0
  /** Snapshots fetched for this member come from the group. */
  wants: RaftOutput['fetchSnapshot'] = null

  constructor(config: RaftConfig, hooks: MemberHooks, disk: LogImage, mayVote: boolean) {
    this.voter = config.self
    this.#config = config
    this.#hooks = hooks
    this.disk = disk
    this.memory = disk.copy()
    this.#mayVote = mayVote
  }

  get up(): boolean {
    return this.machine !== null
  }

  start(): void {
    const state = this.disk.start(this.#mayVote)
    this.memory = this.disk.copy()
    this.machine = this.#hooks.create(this.#config, state)
    this.applied = [...(this.disk.snapshot?.applied ?? [])]
    this.appliedIndex = this.disk.snapshot?.index ?? 0
    this.settle()
  }

  crash(): void {
    this.machine = null
    this.output = null
    this.writes = []
    this.held = []
    this.reads = []
    this.wants = null
    this.memory = this.disk.copy()
  }

  step(input: RaftInput): void {
    if (this.machine === null) return
    this.machine.step(input)
    if (!this.#hooks.lazy(this)) this.settle()
  }

  /** Takes what the machine wants done since the last time. */
  settle(): void {
    const { machine } = this
    if (machine === null) return
    const output = machine.ready()
    this.output = output
    if (output.write !== null) {
      this.writes.push(output.write)
      this.#hooks.writes(this, output.write)
      this.memory.apply(output.write)
    }
    this.reads.push(...output.read)
    this.wants = output.fetchSnapshot
    this.#applyTo(output.commitIndex)
    for (const send of output.send) {
      if (send.after === 0) this.#hooks.send(this, send.to, send.message)
      else this.held.push(send)
    }
    this.#hooks.stepped(this)
  }

  /** Makes the oldest `count` writes durable, and lets out what waited for each. */
  sync(count = this.writes.length): void {
    for (const write of this.writes.splice(0, count)) {
      this.disk.apply(write)
      const free = this.held.filter(({ after }) => after <= write.token)
      this.held = this.held.filter(({ after }) => after > write.token)
      for (const { to, message } of free) this.#hooks.send(this, to, message)
      this.step({ kind: 'persisted', token: write.token })
    }
  }

  answerRead(): void {
    const read = this.reads.shift()
    if (read === undefined) return
    const entries = []
    for (let index = read.from; index <= Math.min(read.to, this.disk.lastIndex); index++) {
      const entry = this.disk.entry(index)
      if (entry === null) break
      entries.push(entry)
    }
    this.step({ kind: 'entries', request: read.request, entries })
  }

  /** The state machine as of the last applied entry, durable at once; the log keeps `keep` entries below it. */
  takeSnapshot(keep: number): Snapshot | null {
    const term = this.memory.term(this.appliedIndex)
    if (this.machine === null || term === null || this.appliedIndex <= (this.disk.snapshot?.index ?? 0)) return null
    const snapshot = {
      index: this.appliedIndex,
      term,
      voters: this.#votersAt(this.appliedIndex),
      applied: [...this.applied],
    }
    this.disk.snapshot = snapshot
    this.memory.snapshot = snapshot
    this.step({ kind: 'snapshotReady', index: snapshot.index, term, trimTo: Math.max(0, snapshot.index - keep) })
    return snapshot
  }

  /** Unless it is stale by now. */
  install(snapshot: Snapshot): boolean {
    if (this.machine === null || this.output?.role === 'leader' || snapshot.index <= this.appliedIndex) return false
    this.disk.snapshot = snapshot
    this.memory.snapshot = snapshot
    this.applied = [...snapshot.applied]
    this.appliedIndex = snapshot.index
    this.step({ kind: 'snapshotInstalled', index: snapshot.index, term: snapshot.term, voters: snapshot.voters })
    return true
  }

  get electable(): boolean {
    return this.output?.voters.some((voter) => sameVoter(voter, this.voter)) ?? false
  }

  #applyTo(commitIndex: number): void {
    while (this.appliedIndex < commitIndex) {
      const entry = this.memory.entry(this.appliedIndex + 1)
      if (entry === null) throw new Error(`committed entry ${this.appliedIndex + 1} is not there`)
      this.appliedIndex++
      if (entry.kind === 'data') this.applied.push(entryText(entry))
    }
  }

  /** The newest set at or below an index. */
  #votersAt(index: number): readonly VoterId[] {
    const newest = this.memory.entries.findLast((entry) => entry.kind === 'voters' && entry.index <= index)
    if (newest !== undefined) return this.#config.voters.decode(newest.payload)
    return this.disk.snapshot?.voters ?? []
  }
}
