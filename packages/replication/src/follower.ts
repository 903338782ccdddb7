import type { Replica } from './replica.ts'
import { newSession } from './session.ts'
import { truncationTarget, type Divergence } from './log-prefix.ts'
import { Backoff } from './tick-clock.ts'
import type { AppendHeader, FromLeader, PartitionState, RefusedCode } from './types.ts'

const FIRST_RETRY_US = 20_000
const LONGEST_RETRY_US = 1_000_000
/** A Follow without any answer for so long is sent again. */
const ANSWER_TIMEOUT_US = 2_000_000
/** An idle follower repeats its ack so often: a leader that does not know the session says so, and it follows anew. */
const ACK_REPEAT_US = 5_000_000

/**
 * following: a Follow is on its way. accepted: the own log is a prefix of the leader's, and batches stream in. truncating: the node
 * is cutting the log. waiting: sent again at `backoff`. apart: the own disk is unfit.
 */
type Phase = 'following' | 'accepted' | 'truncating' | 'waiting' | 'apart'

/** This replica while it follows one leader in one leader epoch. */
export class Follower {
  readonly epoch: number
  readonly leader: number
  private readonly replica: Replica
  private uncleanlyElected: boolean
  private phase: Phase = 'apart'
  private session = 0
  private readonly backoff = new Backoff(FIRST_RETRY_US, LONGEST_RETRY_US)
  private askedAtUs = 0
  /** Of the last record in the own log. */
  private lastEpoch = -1
  /** The most that any session of this epoch acknowledged. */
  acknowledged = -1
  private ackedEnd = -1
  private ackedLogStart = -1
  private ackedAtUs = 0
  /** Where the log ended at the last gap: a leader that leaves the same gap again is asked with patience. */
  private gapAt = -1

  constructor(replica: Replica, state: PartitionState) {
    this.replica = replica
    this.leader = state.leader
    this.epoch = state.leaderEpoch
    this.uncleanlyElected = state.uncleanlyElected
    const { log, out } = replica
    if (log.lastBegunEpoch() > log.lastEpoch()) {
      // An epoch that this replica began as leader without a record: the leader's records at this place may be of an earlier one.
      this.phase = 'truncating'
      out.truncateTo = log.endOffset
    } else this.follow()
  }

  metadata(state: PartitionState): void {
    this.uncleanlyElected = state.uncleanlyElected
    // A refusal may have been about what this metadata brings.
    if (this.phase === 'waiting') this.follow()
  }

  /** Begins a session: nothing of an earlier one counts from here on. */
  follow(): void {
    if (this.replica.unfit) return
    const { log } = this.replica
    this.phase = 'following'
    this.session = newSession(this.replica.random)
    this.askedAtUs = this.replica.clock.nowUs
    this.ackedEnd = -1
    this.lastEpoch = log.lastEpoch()
    this.replica.out.message({
      kind: 'follow',
      to: this.leader,
      leaderEpoch: this.epoch,
      session: this.session,
      endOffset: log.endOffset,
      lastEpoch: this.lastEpoch,
      logStart: log.logStart,
    })
  }

  peerOpened(): void {
    this.backoff.succeeded()
    this.follow()
  }

  /**
   * Between two brokers there are two streams, and the one that closed may be the other: so this asks again, with patience, and at
   * once when a stream opens.
   */
  peerClosed(): void {
    if (this.phase !== 'apart') this.wait()
  }

  /** Stops without leaving the epoch: the disk is unfit, or the log is in doubt. */
  leave(): void {
    if (this.session !== 0) this.replica.out.message({ kind: 'unfollow', to: this.leader, session: this.session })
    this.phase = 'apart'
    this.session = 0
  }

  message(from: number, message: FromLeader): void {
    if (from !== this.leader || message.session !== this.session || this.session === 0) return
    switch (message.kind) {
      case 'accepted':
        if (this.phase === 'following' && message.leaderEpoch === this.epoch) this.accepted(message)
        break
      case 'diverging':
        if (this.phase === 'following') this.diverging(message)
        break
      case 'refused':
        this.refused(message.code)
        break
      case 'progress':
        if (this.phase === 'accepted') this.heed(message.highWatermark, message.logStart)
        break
      case 'append':
        if (this.phase === 'accepted') this.appended(from, message)
        break
    }
  }

  private accepted(message: { readonly highWatermark: number; readonly logStart: number }): void {
    this.phase = 'accepted'
    // What was committed before an unclean election is what its leader says.
    if (this.uncleanlyElected) this.replica.log.lowerHighWatermark(message.highWatermark)
    this.heed(message.highWatermark, message.logStart)
    this.ack()
  }

  /** KIP-101: the log is cut where the leader's epochs say, never at the watermark. */
  private diverging(leaders: Divergence): void {
    const { log, out } = this.replica
    const target = truncationTarget(log, leaders)
    if (target < log.highWatermark && !this.uncleanlyElected) {
      out.quarantine = `leader ${this.leader} of epoch ${this.epoch} parts from this log at ${target}, below the watermark ${log.highWatermark}`
      return
    }
    if (target === log.endOffset) {
      // No leader answers so: after the cut it would answer the same.
      this.wait()
      return
    }
    this.phase = 'truncating'
    if (target > log.endOffset) out.restartAt = target
    else if (target < log.logStart) out.restartAt = 0
    else out.truncateTo = target
  }

  private refused(code: RefusedCode): void {
    if (code !== 'outOfRange') {
      this.wait()
      return
    }
    const { log, out } = this.replica
    out.quarantine = `the log holds epoch ${log.lastEpoch()}, later than the epoch ${this.epoch} of leader ${this.leader}`
  }

  private wait(): void {
    this.phase = 'waiting'
    this.session = 0
    this.backoff.failed(this.replica.clock.nowUs)
  }

  mayWrite(from: number, append: Pick<AppendHeader, 'session' | 'baseOffset' | 'lastEpoch'>): boolean {
    const { log } = this.replica
    return (
      this.phase === 'accepted' &&
      from === this.leader &&
      append.session === this.session &&
      append.baseOffset === log.endOffset &&
      append.lastEpoch <= this.epoch &&
      append.lastEpoch >= Math.max(this.lastEpoch, 0)
    )
  }

  private appended(from: number, header: AppendHeader): void {
    const { log, flushMode } = this.replica
    if (!this.mayWrite(from, header)) {
      const again = this.gapAt === log.endOffset
      this.gapAt = log.endOffset
      if (again) this.wait()
      else this.follow()
      return
    }
    // A session alone proves little: what the leader sends in it may be refused each time.
    this.backoff.succeeded()
    log.extend(header.endOffset)
    this.lastEpoch = header.lastEpoch
    this.heed(header.highWatermark, header.logStart)
    if (flushMode === 'pagecache') this.ack()
  }

  /** The watermark is the leader's as far as the own log reaches; a new leader that still counts does not lower it. */
  private heed(highWatermark: number, logStart: number): void {
    const { log } = this.replica
    // The leader deleted what comes next here: only a new session tells where to begin again.
    if (logStart > log.endOffset) {
      this.follow()
      return
    }
    log.raiseHighWatermark(Math.min(highWatermark, log.endOffset))
    log.raiseLogStart(logStart)
  }

  durable(): void {
    if (this.phase === 'accepted' && this.replica.flushMode === 'fsync') this.ack()
  }

  private ack(): void {
    const { clock, log, out } = this.replica
    const known = log.promisedEnd === this.ackedEnd && log.logStart === this.ackedLogStart
    if (known && clock.nowUs - this.ackedAtUs < ACK_REPEAT_US) return
    this.ackedAtUs = clock.nowUs
    this.ackedEnd = log.promisedEnd
    if (this.ackedEnd > this.acknowledged) this.acknowledged = this.ackedEnd
    this.ackedLogStart = log.logStart
    out.message({
      kind: 'ack',
      to: this.leader,
      session: this.session,
      durableEnd: log.promisedEnd,
      logStart: log.logStart,
    })
  }

  tick(): void {
    const { nowUs } = this.replica.clock
    if (this.phase === 'accepted') this.ack()
    else if (this.phase === 'waiting' && nowUs >= this.backoff.retryAtUs) this.follow()
    else if (this.phase === 'following' && nowUs - this.askedAtUs >= ANSWER_TIMEOUT_US) this.follow()
  }
}
