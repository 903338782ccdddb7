import { assert, type Done, ErrorCode, type IoError, type Uuid } from '@millrace/base'
import type { PartitionImage } from '@millrace/metadata'
import type {
  BrokerState,
  FromLeader,
  PartitionInput,
  PartitionMachine,
  PartitionOutput,
  PartitionState,
} from '@millrace/replication'
import type { AppendMessage, TypeOf } from '@millrace/rpc'
import type { LogDirectory, LogEvents, LogSlice, PartitionLog, TimestampHit } from '@millrace/storage'
import type { ProducerVerdict, ProducerView } from '@millrace/transactions'
import { type FollowedSession, Inbound } from './inbound.ts'
import { LogStartWaiters } from './log-start-waiters.ts'
import { type BatchStamp, ProduceQueue } from './produce-queue.ts'
import type { ReplicaHost } from './replica-host.ts'
import { ReplicaLog, type ReplicaLogOwner } from './replica-log.ts'
import { producersOf, type ReplicaProducers } from './replica-producers.ts'
import type { AppendAnswer, FetchState, OffsetAnswer, ReadLimits, Replica } from './seams.ts'
import type { SendSession } from './send-session.ts'
import type { TopicSettings } from './topic-settings.ts'

/** What is in flight is judged within so many ticks; more than the longest pause of a machine's retries. */
const LIVELY_TICKS = 30

export interface ReplicaParts {
  readonly host: ReplicaHost
  readonly image: PartitionImage
  readonly directory: LogDirectory
  readonly log: PartitionLog
  readonly machine: PartitionMachine
  readonly settings: TopicSettings
}

/**
 * One replica on this broker: its log, its machine, and those who wait for it. The machine decides, the replica does what it says in
 * the documented order: truncate, alter state, send, answer.
 */
export class BrokerReplica implements Replica, LogEvents, ReplicaLogOwner {
  readonly topicId: Uuid
  readonly topic: string
  readonly partition: number
  readonly directory: LogDirectory
  readonly log: PartitionLog
  readonly machine: PartitionMachine
  image: PartitionImage
  settings: TopicSettings
  /** Sessions of followers; the leader's end of the streams. */
  readonly sessions: SendSession[] = []
  /** Ticks that are due because of what happened lately; an idle replica ticks less often. */
  dueTicks = LIVELY_TICKS
  /** The disk is full, as the machine was told. */
  unfit = false
  /** The leader whose stream this replica needs; -1: none. Kept by the streams. */
  followedLeader = -1
  /** What its machine was told so far: who looks again looks closer only when it moved. */
  steps = 0
  readonly producers: ReplicaProducers
  private readonly host: ReplicaHost
  private readonly queue: ProduceQueue
  private readonly inbound = new Inbound()
  private readonly watchers = new Set<() => void>()
  private readonly logStartWaiters = new LogStartWaiters()
  private readonly hand: ReplicaLog
  private shownWatermark: number
  private shownLogStart: number
  private shownEpoch = -1
  private ended: ErrorCode = ErrorCode.NONE

  constructor(parts: ReplicaParts) {
    this.host = parts.host
    this.image = parts.image
    this.topicId = parts.image.topicId
    this.topic = parts.image.topic
    this.partition = parts.image.partition
    this.directory = parts.directory
    this.log = parts.log
    this.producers = producersOf(parts.log)
    this.machine = parts.machine
    this.settings = parts.settings
    this.queue = new ProduceQueue(parts.host.answers)
    this.hand = new ReplicaLog(parts.log, parts.directory, parts.host.world.timers, this)
    this.shownWatermark = parts.machine.highWatermark
    this.shownLogStart = parts.machine.logStart
  }

  get sizeBytes(): number {
    return this.log.sizeBytes
  }

  get lag(): number {
    return Math.max(0, this.log.endOffset - this.machine.highWatermark)
  }

  get parkedCount(): number {
    return this.queue.parkedCount
  }

  /** No longer served: why, or NONE. */
  get outOfService(): ErrorCode {
    return this.ended
  }

  // What clients ask.

  append(batch: Uint8Array, acks: 0 | 1 | -1, answer: AppendAnswer): void {
    const error = this.appendRefusal(acks)
    if (error !== ErrorCode.NONE) {
      this.host.counters.refusedAppends++
      return this.host.answers.fail(answer, error)
    }
    const verdict = this.producers.check(batch)
    if (verdict.outcome !== 'accepted') return this.answerAgain(verdict, batch, acks, answer)
    this.queue.stage(batch, acks, answer)
    if (this.queue.stagedCount === 1) this.host.staged(this)
  }

  /** A batch of an idempotent producer that is not to be written: it is there already, or does not continue what is. */
  // oxlint-disable-next-line max-params -- an append, and what was found.
  private answerAgain(verdict: ProducerVerdict, batch: Uint8Array, acks: 0 | 1 | -1, answer: AppendAnswer): void {
    const { queue, machine } = this
    const { answers, counters } = this.host
    if (verdict.outcome === 'staged') return queue.repeat(batch, acks, answer)
    if (verdict.outcome === 'refused') {
      counters.refusedAppends++
      return answers.refuse(answer, verdict.error, verdict.message)
    }
    if (verdict.outcome === 'accepted' || acks === 0) return
    // As the first time: the time of the append where the topic has that, else none.
    const logAppendTimeMs = this.settings.logAppendTime ? verdict.timestampMs : -1
    const { baseOffset, lastOffset } = verdict
    const { highWatermark, enoughReplicas, logStart } = machine
    if (acks === 1) return answers.add({ answer, error: ErrorCode.NONE, baseOffset, logStart, logAppendTimeMs })
    queue.park({ answer, baseOffset, endOffset: lastOffset + 1, logAppendTimeMs })
    queue.passed(highWatermark, enoughReplicas, logStart)
  }

  fetchState(offset: number, limits: ReadLimits): FetchState {
    return this.host.reads.fetchState(this, offset, limits)
  }

  read(offset: number, limits: ReadLimits, done: Done<LogSlice>): LogSlice | null {
    return this.host.reads.read(this, offset, limits, done)
  }

  latestOffset(currentLeaderEpoch: number, isolation: 0 | 1): OffsetAnswer {
    return this.host.reads.latestOffset(this, currentLeaderEpoch, isolation)
  }

  earliestOffset(currentLeaderEpoch: number): OffsetAnswer {
    return this.host.reads.earliestOffset(this, currentLeaderEpoch)
  }

  offsetForTimestamp(
    timestamp: number,
    currentLeaderEpoch: number,
    done: (error: ErrorCode, hit: TimestampHit | null) => void,
  ): void {
    this.host.reads.find(this, currentLeaderEpoch, (answer) => this.log.offsetForTimestamp(timestamp, answer), done)
  }

  maxTimestamp(currentLeaderEpoch: number, done: (error: ErrorCode, hit: TimestampHit | null) => void): void {
    this.host.reads.find(this, currentLeaderEpoch, (answer) => this.log.maxTimestamp(answer), done)
  }

  epochEnd(
    epoch: number,
    currentLeaderEpoch: number,
  ): { readonly error: ErrorCode; readonly epoch: number; readonly endOffset: number } {
    return this.host.reads.epochEnd(this, epoch, currentLeaderEpoch)
  }

  deleteRecords(offset: number, done: (error: ErrorCode, lowWatermark: number) => void): void {
    const target = offset === -1 ? this.machine.highWatermark : offset
    let error = this.leaderError()
    if (error === ErrorCode.NONE && (target < 0 || target > this.machine.highWatermark))
      error = ErrorCode.OFFSET_OUT_OF_RANGE
    if (error !== ErrorCode.NONE) return this.later(() => done(error, -1))
    this.moveLogStart(target)
    this.logStartWaiters.add(target, done)
    this.touch()
  }

  activeProducers(): Iterable<ProducerView> | ErrorCode {
    const error = this.leaderError()
    return error === ErrorCode.NONE ? this.producers.all() : error
  }

  watch(moved: () => void): () => void {
    this.watchers.add(moved)
    return () => this.watchers.delete(moved)
  }

  /** NONE when clients may be served by this replica as leader. */
  leaderError(): ErrorCode {
    const error = this.serviceError()
    if (error !== ErrorCode.NONE) return error
    return this.machine.role === 'leader' ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER
  }

  /** NONE when this replica is in service, whatever its role. */
  serviceError(): ErrorCode {
    return this.host.serving() ? this.ended : ErrorCode.NOT_LEADER_OR_FOLLOWER
  }

  /** Why an append would be refused now, or NONE. */
  appendRefusal(acks: 0 | 1 | -1): ErrorCode {
    const error = this.leaderError()
    if (error !== ErrorCode.NONE) return error
    if (this.unfit || this.directory.full) return ErrorCode.KAFKA_STORAGE_ERROR
    return acks === -1 && !this.machine.enoughReplicas ? ErrorCode.NOT_ENOUGH_REPLICAS : ErrorCode.NONE
  }

  /** Runs in a later turn. */
  later(run: () => void): void {
    this.host.world.timers.after(0, run)
  }

  // What the node tells.

  step(input: PartitionInput): void {
    if (this.ended !== ErrorCode.NONE) return
    this.dueTicks = LIVELY_TICKS
    this.act(this.machine.step(input))
  }

  tick(nowUs: number): void {
    if (this.ended !== ErrorCode.NONE) return
    if (this.dueTicks > 0) this.dueTicks--
    this.act(this.machine.step({ kind: 'tick', nowUs }))
  }

  /** The committed metadata as far as this replica needs it. */
  update(image: PartitionImage, state: PartitionState, brokers: ReadonlyMap<number, BrokerState>): void {
    this.image = image
    const before = this.machine.leaderEpoch
    if (state.leaderEpoch !== before && state.leader === this.host.brokerId) this.settleStaged()
    this.step({ kind: 'metadata', state, brokers })
    this.host.follows(this)
    if (this.machine.role !== 'leader') this.failProduces(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    this.pruneSessions()
    const epoch = this.machine.role === 'leader' ? this.machine.leaderEpoch : -1
    if (epoch !== this.shownEpoch) this.leadershipChanged(epoch)
    else if (this.machine.leaderEpoch !== before) this.touch()
  }

  durable(end: number, generation: number): void {
    if (generation === this.log.generation) this.step({ kind: 'durable', endOffset: end, generation })
  }

  failed(error: IoError): void {
    this.host.diskFailed(this, error)
  }

  full(error: IoError): void {
    this.host.diskFull(this, error)
  }

  released(): void {
    if (this.queue.stagedCount > 0) this.host.staged(this)
    if (!this.inbound.empty) this.host.inbound(this)
  }

  lastBatchOf(producerId: number): number | null {
    return this.producers.lastBatchOf(producerId)
  }

  quarantined(reason: string): void {
    if (this.ended === ErrorCode.NONE) this.host.quarantine(this, reason)
  }

  /** Writes what clients staged in this turn: one write, then the followers, then the answers. */
  flushStaged(): void {
    if (this.queue.stagedCount === 0 || this.hand.held) return
    const error = this.leaderError()
    if (error !== ErrorCode.NONE) return this.failStaged(error)
    const { log, machine, host } = this
    const nowMs = host.world.clock.wallMs()
    const stamp: BatchStamp = {
      baseOffset: log.endOffset,
      leaderEpoch: machine.leaderEpoch,
      logAppendTimeMs: this.settings.logAppendTime ? nowMs : -1,
    }
    const written = this.queue.stamp(stamp)
    // Who is answered before it is durable is promised that it outlives the process.
    if (!this.hand.append(written.batches, nowMs, written.atOnce)) return this.failStaged(ErrorCode.KAFKA_STORAGE_ERROR)
    assert(
      log.endOffset === written.endOffset,
      `the log ends at ${log.endOffset} after a write up to ${written.endOffset}`,
    )
    host.counters.leaderAppends++
    host.counters.producedBatches += written.batches.length
    host.counters.producedBytes += written.bytes
    this.queue.written(stamp, machine.logStart)
    this.step({ kind: 'appended', endOffset: log.endOffset, generation: log.generation })
    for (const session of this.sessions) session.carrier.wants(session)
  }

  /** Checks and stages what the leader sent; returns what is wrong with it, or null. */
  stageInbound(from: FollowedSession, message: TypeOf<typeof AppendMessage>): string | null {
    if (this.ended !== ErrorCode.NONE) return null
    if (!this.inbound.continuedBy(from, message)) {
      this.flushInbound()
      // What is still held is of a session that is over; the new one begins where the log ends.
      this.inbound.take()
    }
    const fresh = this.inbound.empty
    const empty = this.log.endOffset === this.log.logStart
    const problem = this.inbound.stage(from, message, { empty })
    if (fresh && problem === null) this.host.inbound(this)
    return problem
  }

  /** Writes what the leader sent in this turn, unless the machine says that it does not continue this log. */
  flushInbound(): void {
    if (this.hand.held) return
    const staged = this.inbound.take()
    if (staged === null || this.ended !== ErrorCode.NONE) return
    const { baseOffset, lastEpoch, highWatermark, logStart, batches, bytes } = staged
    const { leader, session } = staged.from
    if (this.machine.mayWrite(leader, { session, baseOffset, lastEpoch })) {
      // A machine whose disk is unfit has left its leader: it needs no word of what was not written.
      if (!this.hand.append(batches, this.host.world.clock.wallMs())) return
      this.host.counters.followerAppends++
      this.host.counters.followerBytes += bytes
    }
    const { endOffset } = this.log
    const header = { session, baseOffset, endOffset, lastEpoch, highWatermark, logStart }
    this.step({ kind: 'fromLeader', from: leader, message: { kind: 'append', ...header } })
  }

  fromLeader(from: number, message: FromLeader): void {
    // Messages count in their order: what was sent before this one is written before the machine hears of this one.
    this.flushInbound()
    this.step({ kind: 'fromLeader', from, message })
  }

  /** Retention and DeleteRecords. */
  moveLogStart(offset: number): void {
    if (offset > this.log.logStart) this.hand.change(() => this.log.advanceLogStart(offset))
    this.step({ kind: 'logStart', offset: this.log.logStart })
  }

  applyRetention(nowMs: number): void {
    if (this.ended !== ErrorCode.NONE) return
    const before = this.log.logStart
    this.hand.change(() => this.log.applyRetention(this.machine.highWatermark, nowMs))
    if (this.log.logStart > before) this.step({ kind: 'logStart', offset: this.log.logStart })
  }

  /** Forgets producers that wrote nothing for so long. */
  expireProducers(nowMs: number, expirationMs: number): void {
    if (this.ended === ErrorCode.NONE) this.producers.expire(nowMs, expirationMs)
  }

  setUnfit(unfit: boolean): void {
    if (unfit === this.unfit) return
    this.unfit = unfit
    this.step({ kind: 'unfit', unfit })
  }

  /** Out of service for good; everybody who waits is told. */
  end(error: ErrorCode): void {
    if (this.ended !== ErrorCode.NONE) return
    this.ended = error
    this.host.counters.replicaSteps++
    this.inbound.take()
    this.failProduces(error)
    this.logStartWaiters.failAll(error)
    for (const session of this.sessions.slice()) session.carrier.ended(session)
    this.host.ended(this)
    this.touch()
  }

  /** A follower told how far it is. */
  followerMoved(): void {
    if (!this.logStartWaiters.empty) this.touch()
  }

  /** End of the turn: those who watch look again. */
  notify(): void {
    const { machine } = this
    if (machine.role === 'leader') this.logStartWaiters.passed(this.lowWatermark())
    // A watcher may end its watch, or begin another one.
    const watchers = [...this.watchers]
    for (const watcher of watchers) watcher()
  }

  // How the machine's decisions are carried out.

  /** The output object is the machine's own and filled anew by its next step, so everything is read before that. */
  private act(output: PartitionOutput): void {
    this.steps++
    this.host.counters.replicaSteps++
    const { truncateTo, restartAt, beginEpoch, send, alter, failWaitersOfEpoch, quarantine } = output
    const { machine, log } = this
    const rewound = truncateTo !== null || restartAt !== null
    if (rewound && !this.rewind(truncateTo, restartAt)) return
    if (beginEpoch !== null && !this.hand.change(() => log.beginEpoch(beginEpoch))) return
    if (machine.logStart > log.logStart && !rewound) this.hand.change(() => log.advanceLogStart(machine.logStart))
    if (failWaitersOfEpoch !== null) this.failProduces(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    if (alter !== null) this.host.alter(this, alter)
    for (const message of send) this.host.send(this, message)
    if (quarantine !== null) return this.host.quarantine(this, quarantine)
    // The machine hears of the truncation before anything else happens.
    if (rewound) this.step({ kind: 'truncated', endOffset: log.endOffset, generation: log.generation })
    if (machine.highWatermark !== this.shownWatermark || machine.logStart !== this.shownLogStart) this.moved()
    this.hand.checkpointWatermark(machine.durableHighWatermark)
  }

  /** False when the disk failed, which has taken this replica out of service. */
  private rewind(truncateTo: number | null, restartAt: number | null): boolean {
    const { log } = this
    const from = log.endOffset
    this.inbound.take()
    const done = this.hand.change(() => {
      if (restartAt !== null) log.restart(restartAt)
      else if (truncateTo !== null) log.truncate(truncateTo)
    })
    if (!done) return false
    this.host.counters.truncations++
    const fields = { ...this.fields(), from, to: log.endOffset, restarted: restartAt !== null }
    this.host.lines.info(fields, 'log truncated')
    return true
  }

  /** Whoever reads the log because a new epoch begins finds in it all that was taken before. */
  private settleStaged(): void {
    this.flushStaged()
    if (this.queue.stagedCount > 0) this.failStaged(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  }

  /** Nothing that was staged is written. */
  private failStaged(error: ErrorCode): void {
    this.queue.failStaged(error)
    this.producers.abandoned()
  }

  private failProduces(error: ErrorCode): void {
    this.queue.failAll(error)
    this.producers.abandoned()
  }

  private moved(): void {
    const { machine } = this
    this.shownWatermark = machine.highWatermark
    this.shownLogStart = machine.logStart
    this.producers.settled(machine.highWatermark)
    if (machine.role === 'leader') this.queue.passed(machine.highWatermark, machine.enoughReplicas, machine.logStart)
    this.touch()
  }

  private leadershipChanged(epoch: number): void {
    this.shownEpoch = epoch
    const { machine, log } = this
    if (epoch < 0) this.logStartWaiters.failAll(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    this.host.lines.info(
      {
        ...this.fields(),
        role: machine.role,
        leader: this.image.leader,
        endOffset: log.endOffset,
        highWatermark: machine.highWatermark,
      },
      epoch >= 0 ? 'leading partition' : 'no longer leading partition',
    )
    this.touch()
  }

  /** Sessions of followers that the machine no longer counts. */
  private pruneSessions(): void {
    if (this.sessions.length === 0) return
    const followers = this.machine.role === 'leader' ? this.machine.followers : []
    for (const session of this.sessions.slice())
      if (!followers.some((follower) => follower.session === session.session && follower.brokerId === session.brokerId))
        session.carrier.ended(session)
  }

  /** The smallest log start that any member of the ISR has told. */
  private lowWatermark(): number {
    const { machine } = this
    let low = this.log.logStart
    for (const broker of machine.isr) {
      if (broker === this.host.brokerId) continue
      const follower = machine.followers.find(({ brokerId }) => brokerId === broker)
      low = Math.min(low, follower?.logStart ?? 0)
    }
    return low
  }

  private touch(): void {
    this.host.touched(this)
  }

  private fields(): { topic: string; partition: number; epoch: number } {
    return { topic: this.topic, partition: this.partition, epoch: this.machine.leaderEpoch }
  }
}
