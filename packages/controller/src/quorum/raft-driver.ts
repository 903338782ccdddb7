import { assert, type IoError, type RaftWrite, type Timer, type Uuid, type VoterId, type World } from '@millrace/base'
import {
  createRaft,
  sameVoter,
  voterKey,
  type LogPosition,
  type RaftConfig,
  type RaftInput,
  type RaftMachine,
  type RaftMessage,
  type RaftOutput,
  type RaftStatus,
  type RaftView,
} from '@millrace/raft'
import { Applier } from './applier.ts'
import { MAX_TAIL_BYTES, type MemberStore } from './member-store.ts'
import { nextChange } from './replacement.ts'
import type { SnapshotFiles } from './snapshot-files.ts'
import type { Snapshot } from './snapshot-format.ts'
import type { SnapshotSource } from './snapshot-fetch.ts'
import type { Leadership, QuorumConfig, QuorumListener } from './types.ts'
import { votersCodec } from './voters-codec.ts'

const MAX_APPEND_BYTES = 256 * 1024
const MAX_INFLIGHT_APPENDS = 16
const MAX_UNCOMMITTED_BYTES = 64 * 1024 * 1024
/** An entry must fit in one frame between nodes, with room for what is around it. */
const MAX_PROPOSAL_BYTES = 15 * 1024 * 1024
/** How soon after a broken connection to the leader a voter may pre-vote, at most. */
const BROKEN_MS = 50

export interface RaftDriverParts {
  readonly world: World
  readonly config: QuorumConfig
  readonly listener: QuorumListener
  readonly self: VoterId
  readonly clusterId: Uuid
  readonly store: MemberStore
  readonly files: SnapshotFiles
  /** Lost when the peer is not connected. */
  send(to: VoterId, message: RaftMessage): void
  /** Members that are connected now. */
  connected(): readonly VoterId[]
  /** What has to be fetched now; null when nothing has. */
  wantSnapshot(source: SnapshotSource | null): void
  failed(error: IoError): void
}

/**
 * Runs one Raft machine: inputs change it at once, and at the end of the turn everything it asks for goes out together, as one
 * write and one batch of messages. Messages that depend on a write wait for it.
 */
export class RaftDriver {
  readonly #parts: RaftDriverParts
  readonly #machine: RaftMachine
  readonly #applier: Applier
  readonly #tickUs: number
  #held: { readonly to: VoterId; readonly message: RaftMessage; readonly after: number }[] = []
  #flushing = false
  #stopped = false
  #ticking: Timer | null = null
  #tickDueUs = 0
  #output: RaftOutput | null = null
  #announced: Leadership = { kind: 'other', term: -1, leader: null }
  #saving = false
  #afterSaving: (() => void) | null = null
  readonly #learners = new Map<string, VoterId>()

  constructor(parts: RaftDriverParts) {
    this.#parts = parts
    const codec = votersCodec(parts.clusterId)
    const { heartbeatMs } = parts.config
    const tickMs = Math.max(5, Math.min(50, Math.floor(heartbeatMs / 2)))
    this.#tickUs = tickMs * 1000
    this.#machine = createRaft(raftConfig(parts, tickMs), parts.store.raftStart())
    this.#applier = new Applier(parts.store.log, codec, parts.store.snapshot, {
      committed: (index, term, payload) => {
        if (!this.#stopped) parts.listener.committed(index, term, payload)
      },
      progressed: () => this.#applied(),
      failed: (error) => parts.failed(error),
    })
  }

  get status(): RaftStatus {
    return this.#machine.status()
  }

  get view(): RaftView {
    return this.#machine.view
  }

  /** Whether this node leads and its listener has been told so. */
  get leads(): boolean {
    return this.#announced.kind === 'leader' && this.#output?.role === 'leader'
  }

  start(): void {
    const { store, listener } = this.#parts
    const { snapshot } = store
    if (snapshot !== null) listener.restore(snapshot.content, snapshot.index, snapshot.term)
    this.#schedule()
  }

  step(input: RaftInput): void {
    if (this.#stopped) return
    this.#machine.step(input)
    this.#schedule()
  }

  /** Null when this node does not lead, or holds too much that is not committed yet. */
  propose(payload: Uint8Array): LogPosition | null {
    assert(payload.length <= MAX_PROPOSAL_BYTES, `an entry of ${payload.length} bytes cannot be sent to the others`)
    if (this.#stopped || !this.leads) return null
    const answer = this.#machine.propose(payload)
    if (typeof answer === 'string') return null
    this.#schedule()
    return answer
  }

  /** Nothing is called any more when this returns. */
  stop(): void {
    this.#stopped = true
    this.#ticking?.cancel()
  }

  /** Members came or went: those outside the voter set get the log as learners. */
  membersChanged(): void {
    const { voters, peers } = this.#machine.status()
    // Voters that were removed hear of it as learners, as long as they are there.
    for (const { peer, voter } of peers) if (!voter) this.#learners.set(voterKey(peer), peer)
    const strangers = this.#parts.connected().filter((peer) => !voters.some((voter) => sameVoter(voter, peer)))
    const wanted = new Map(strangers.map((peer) => [voterKey(peer), peer]))
    for (const [key, learner] of this.#learners)
      if (!wanted.has(key)) {
        this.#learners.delete(key)
        this.step({ kind: 'learner', learner, present: false })
      }
    for (const [key, learner] of wanted)
      if (!this.#learners.has(key)) {
        this.#learners.set(key, learner)
        this.step({ kind: 'learner', learner, present: true })
      }
  }

  /** A fetched snapshot is durable: the state and the log restart from it, unless they have come further by themselves. */
  install(snapshot: Snapshot): void {
    if (this.#saving) {
      this.#afterSaving = () => this.install(snapshot)
      return
    }
    if (this.#stopped || this.#machine.status().role === 'leader' || snapshot.index <= this.#applier.index) return
    const { index, term, voters, content } = snapshot
    this.#parts.files.adopted(snapshot)
    this.#applier.restored(snapshot)
    this.#parts.listener.restore(content, index, term)
    this.step({ kind: 'snapshotInstalled', index, term, voters })
  }

  #schedule(): void {
    if (this.#flushing) return
    this.#flushing = true
    this.#parts.world.timers.endOfTurn(() => {
      this.#flushing = false
      if (!this.#stopped) this.#flush()
    })
  }

  #flush(): void {
    const before = this.#output?.voters
    const output = this.#machine.ready()
    this.#output = output
    if (output.write !== null) this.#write(output.write)
    this.#announceLoss(output)
    for (const send of output.send)
      if (send.after === 0) this.#parts.send(send.to, send.message)
      else this.#held.push(send)
    for (const read of output.read) this.#read(read)
    this.#applier.commitTo(output.commitIndex)
    this.#announce()
    this.#parts.wantSnapshot(wanted(output))
    if (before !== output.voters) this.membersChanged()
    this.#keepTicking()
  }

  #write(write: RaftWrite): void {
    const { token, ...change } = write
    this.#parts.store.log.write(change, (error) => {
      if (this.#stopped) return
      // What a failed write left on disk is unknown, so nothing may follow it.
      if (error !== null) return this.#parts.failed(error)
      const free = this.#held.filter(({ after }) => after <= token)
      if (free.length > 0) this.#held = this.#held.filter(({ after }) => after > token)
      for (const { to, message } of free) this.#parts.send(to, message)
      this.step({ kind: 'persisted', token })
    })
  }

  #read({ request, from, to }: { readonly request: number; readonly from: number; readonly to: number }): void {
    this.#parts.store.log.read(from, to, MAX_APPEND_BYTES, (error, entries) => {
      if (this.#stopped) return
      if (error !== null) return this.#parts.failed(error)
      this.step({ kind: 'entries', request, entries })
    })
  }

  /** Told before anything that another leader may have committed is applied. */
  #announceLoss(output: RaftOutput): void {
    const last = this.#announced
    if (output.role === 'leader' && last.kind === 'leader' && last.term === output.term) return
    const leader = output.role === 'leader' ? null : (output.leader?.id ?? null)
    if (last.kind === 'other' && last.term === output.term && last.leader === leader) return
    this.#tell({ kind: 'other', term: output.term, leader })
  }

  /** A leader is one for its listener once an entry of its own term, and so everything before, has been applied. */
  #announce(): void {
    const output = this.#output
    if (output === null || output.role !== 'leader' || this.#applier.term !== output.term) return
    if (this.#announced.kind !== 'leader') this.#tell({ kind: 'leader', term: output.term })
  }

  #tell(leadership: Leadership): void {
    this.#announced = leadership
    this.#parts.world.log.info({ ...leadership, role: leadership.kind }, 'quorum leadership')
    this.#parts.listener.leadership(leadership)
  }

  #applied(): void {
    if (this.#stopped) return
    this.#announce()
    if (this.#applier.bytesSinceSnapshot < this.#parts.config.snapshotMaxBytes || this.#saving) return
    this.#takeSnapshot()
  }

  /** The log then reaches back to the snapshot before this one, see `SnapshotFiles`. */
  #takeSnapshot(): void {
    const { listener, files, clusterId, world } = this.#parts
    const { index, term, voters } = this.#applier
    this.#saving = true
    this.#applier.bytesSinceSnapshot = 0
    const trimTo = files.newest?.index ?? 0
    files.save({ index, term, voters, clusterId, content: listener.takeSnapshot() }, (error) => {
      this.#saving = false
      if (this.#stopped) return
      // A full disk is no reason to stop: the log just stays longer, and the next snapshot tries again.
      if (error !== null) world.log.warn({ index, error: error.message }, 'a snapshot cannot be written')
      else this.step({ kind: 'snapshotReady', index, term, trimTo })
      const next = this.#afterSaving
      this.#afterSaving = null
      next?.()
    })
  }

  /** Time passes only where somebody waits for somebody: a lone voter needs no clock. */
  #keepTicking(): void {
    if (this.#ticking !== null || this.#stopped) return
    const { role, voters } = this.#output as RaftOutput
    const lone = role === 'leader' && voters.length === 1 && this.#learners.size === 0
    if (lone) return
    const { clock, timers } = this.#parts.world
    this.#tickDueUs = clock.monotonicUs() + this.#tickUs
    this.#ticking = timers.after(this.#tickUs, () => this.#timer())
  }

  /**
   * A timer that is late tells of a node that stalled, not of others that were silent: it counts as one tick, and whatever
   * arrived meanwhile is processed first.
   */
  #timer(): void {
    const { clock, timers } = this.#parts.world
    if (clock.monotonicUs() - this.#tickDueUs > this.#tickUs) {
      this.#ticking = timers.after(0, () => timers.endOfTurn(() => this.#tick()))
      return
    }
    this.#tick()
  }

  #tick(): void {
    if (this.#stopped) return
    this.#ticking = null
    this.step({ kind: 'tick' })
    this.#replaceVoters()
  }

  #replaceVoters(): void {
    if (!this.leads) return
    const change = nextChange(this.#machine.status(), this.#parts.connected())
    if (change === null) return
    const answer = this.#machine.changeVoters(change)
    this.#parts.world.log.info({ ...change, answer }, 'the voter set changes')
    this.#schedule()
  }
}

function wanted({ fetchSnapshot }: RaftOutput): SnapshotSource | null {
  if (fetchSnapshot === null) return null
  return { from: fetchSnapshot.from.id, index: fetchSnapshot.index, term: fetchSnapshot.term }
}

function raftConfig(parts: RaftDriverParts, tickMs: number): RaftConfig {
  const { config, world } = parts
  const random = world.random.fork('raft')
  return {
    self: parts.self,
    electionTicks: Math.max(2, Math.round(config.electionTimeoutMs / tickMs)),
    heartbeatTicks: Math.max(1, Math.round(config.heartbeatMs / tickMs)),
    brokenTicks: Math.floor(BROKEN_MS / tickMs),
    maxBytesPerAppend: MAX_APPEND_BYTES,
    maxInflightAppends: MAX_INFLIGHT_APPENDS,
    maxUncommittedBytes: MAX_UNCOMMITTED_BYTES,
    maxTailBytes: MAX_TAIL_BYTES,
    random: (n) => random.below(n),
    voters: votersCodec(parts.clusterId),
  }
}
