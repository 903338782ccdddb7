import { Followers } from './followers.ts'
import { commonPromise } from './high-watermark.ts'
import { InSyncSet } from './in-sync-set.ts'
import { divergence } from './log-prefix.ts'
import { LogEndNotes } from './log-end-notes.ts'
import type { Replica } from './replica.ts'
import type { FollowerSession } from './session.ts'
import type {
  AlterPartition,
  AlterResult,
  FollowerProgress,
  FollowerPromise,
  PartitionInput,
  PartitionState,
  RefusedCode,
} from './types.ts'

type Follow = PartitionInput & { readonly kind: 'follow' }
type Ack = PartitionInput & { readonly kind: 'ack' }

/** How long a follower about to join may hold the watermark back, as a share of the lag time. */
const JOINING_SHARE = 16

/** This replica while it leads in one leader epoch. A new epoch makes a new one, so nothing of an earlier session can count. */
export class Leader {
  readonly epoch: number
  readonly epochStart: number
  readonly isr: InSyncSet
  private readonly replica: Replica
  private state: PartitionState
  private readonly followers: Followers
  private readonly notes: LogEndNotes

  constructor(replica: Replica, state: PartitionState) {
    this.replica = replica
    this.state = state
    this.epoch = state.leaderEpoch
    this.epochStart = replica.log.endOffset
    this.isr = new InSyncSet(state.isr, state.partitionEpoch, replica.nextRequestId)
    this.followers = new Followers(replica)
    this.notes = new LogEndNotes(replica.lagTimeMaxUs)
    this.notes.note(replica.clock.nowUs, this.epochStart)
    // A leader vouches for no more than it holds itself; only one that was elected uncleanly can know of more.
    replica.log.lowerHighWatermark(replica.log.promisedEnd)
    replica.out.beginEpoch = this.epoch
    this.followers.know(this.state.replicas, this.isr)
    this.reconsider()
  }

  /** Accepted followers whose stream is open. */
  get streaming(): readonly FollowerProgress[] {
    return this.followers.streaming
  }

  get promises(): readonly FollowerPromise[] {
    return this.followers.all
  }

  get latestKnown(): boolean {
    return this.replica.log.highWatermark >= this.epochStart
  }

  get enoughReplicas(): boolean {
    return this.isr.committed.length >= this.state.minInsyncReplicas
  }

  get minInsyncReplicas(): number {
    return this.state.minInsyncReplicas
  }

  /** Metadata of this epoch. */
  metadata(state: PartitionState): void {
    this.state = state
    this.isr.confirm(state.isr, state.partitionEpoch)
    this.followers.know(this.state.replicas, this.isr)
    this.followers.forgetStaleIncarnations()
    this.reconsider()
  }

  follow(input: Follow): void {
    const code = this.refusal(input)
    if (code !== null) {
      this.replica.out.message({ kind: 'refused', to: input.from, session: input.session, code })
      return
    }
    const follower = this.followers.get(input.from) as FollowerSession
    const { log, out } = this.replica
    // Whatever comes of it, the follower has left its earlier session, and says anew what it holds.
    follower.end()
    follower.durableEnd = -1
    const parts = divergence(log, input.endOffset, input.lastEpoch)
    if (parts !== null) {
      out.message({ kind: 'diverging', to: input.from, session: input.session, ...parts })
    } else {
      follower.begin(input.session, input.brokerEpoch, input.endOffset, input.logStart)
      follower.told(log.highWatermark, log.logStart)
      out.message({
        kind: 'accepted',
        to: input.from,
        session: input.session,
        leaderEpoch: this.epoch,
        highWatermark: log.highWatermark,
        logStart: log.logStart,
      })
    }
    this.followers.list()
    this.reconsider()
  }

  /** Why this Follow is not even compared, or null. */
  private refusal(input: Follow): RefusedCode | null {
    if (input.leaderEpoch !== this.epoch) return input.leaderEpoch < this.epoch ? 'fenced' : 'retry'
    const broker = this.replica.brokers.get(input.from)
    if (broker === undefined || broker.epoch < input.brokerEpoch) return 'retry'
    if (broker.epoch > input.brokerEpoch) return 'fenced'
    if (this.followers.get(input.from) === undefined) return 'retry'
    // A batch of a later epoch than the leader's own: no leader can have written it.
    return input.lastEpoch > this.epoch ? 'outOfRange' : null
  }

  unfollow(from: number, session: number): void {
    const follower = this.followers.get(from)
    if (follower === undefined || follower.session !== session) return
    follower.end()
    follower.leaving = true
    this.followers.list()
    this.reconsider()
    this.shrink()
  }

  ack(input: Ack): void {
    const { log, out } = this.replica
    const follower = this.followers.get(input.from)
    if (follower === undefined || !follower.connected || follower.session !== input.session) {
      // It believes in a session that is none here; told so it follows anew.
      out.message({ kind: 'refused', to: input.from, session: input.session, code: 'retry' })
      return
    }
    follower.logStart = input.logStart
    // A promise about records that were never sent is no promise.
    if (input.durableEnd > log.endOffset || input.durableEnd <= follower.durableEnd) return
    follower.durableEnd = input.durableEnd
    if (input.durableEnd === log.endOffset) follower.caughtUpUs = this.replica.clock.nowUs
    if (follower.inSync) {
      this.advance()
      return
    }
    this.noteCaughtUp(follower)
    this.reconsider()
  }

  peerClosed(peer: number): void {
    const follower = this.followers.get(peer)
    if (follower === undefined || !follower.connected) return
    // Between two brokers there are two streams. Should the other one have closed, the follower is still there and follows anew.
    this.followers.dismiss(follower)
    this.reconsider()
  }

  alterReply(requestId: number, result: AlterResult): void {
    const before = this.isr.pending?.joining ?? []
    const effect = this.isr.reply(requestId, result, this.epoch, this.replica.clock.nowUs)
    if (effect === 'none') return
    if (effect === 'again') {
      this.send(this.isr.pending?.request ?? null)
      return
    }
    if (effect === 'reverted')
      for (const id of before) this.followers.get(id)?.joinBackoff.failed(this.replica.clock.nowUs)
    this.followers.mark(this.isr)
    this.reconsider()
  }

  tick(mayJudge: boolean): void {
    const { clock, log } = this.replica
    for (const follower of this.followers.all) {
      this.noteCaughtUp(follower)
      if (follower.connected) this.progress(follower)
    }
    this.notes.note(clock.nowUs, log.endOffset)
    this.send(this.isr.retryInDoubt(clock.nowUs))
    this.reconsider()
    if (mayJudge) this.shrink()
  }

  private noteCaughtUp(follower: FollowerSession): void {
    const { clock, log } = this.replica
    const noted = follower.durableEnd >= log.endOffset ? clock.nowUs : this.notes.caughtUpUs(follower.durableEnd)
    if (noted > follower.caughtUpUs) follower.caughtUpUs = noted
  }

  private progress(follower: FollowerSession): void {
    const { log, out } = this.replica
    if (follower.toldHighWatermark === log.highWatermark && follower.toldLogStart === log.logStart) return
    follower.told(log.highWatermark, log.logStart)
    out.message({
      kind: 'progress',
      to: follower.brokerId,
      session: follower.session,
      highWatermark: log.highWatermark,
      logStart: log.logStart,
    })
  }

  carried(session: number): void {
    const { log } = this.replica
    for (const follower of this.followers.all)
      if (follower.session === session) follower.told(log.highWatermark, log.logStart)
  }

  /** After anything but an ack of a member: who is about to join, how far the watermark may go, whom to propose. */
  reconsider(): void {
    const { clock, lagTimeMaxUs } = this.replica
    for (const follower of this.followers.all)
      follower.joining = this.mayJoin(follower) && clock.nowUs - follower.caughtUpUs <= lagTimeMaxUs / JOINING_SHARE
    this.advance()
    this.leave()
    this.expand()
  }

  /**
   * The watermark never falls, and stands still below min.insync.replicas: what the ELR promises rests on that (KIP-966). A confirmed
   * ELR therefore holds it too, whatever size the ISR has.
   */
  advance(): void {
    const { state, isr } = this
    if (isr.confirmed.length < state.minInsyncReplicas || state.elr.length > 0) return
    const { log } = this.replica
    log.raiseHighWatermark(commonPromise(log.promisedEnd, this.followers.all))
  }

  private mayJoin(follower: FollowerSession): boolean {
    if (follower.counted || !follower.connected || follower.durableEnd === -1) return false
    const broker = this.replica.brokers.get(follower.brokerId)
    if (broker === undefined || !broker.eligible || broker.epoch !== follower.brokerEpoch) return false
    return follower.joinBackoff.retryAtUs <= this.replica.clock.nowUs && !this.replica.unfit
  }

  /** A follower that was refused before is proposed alone, so that it can not keep another one out. */
  private expand(): void {
    if (!this.mayPropose()) return
    const least = Math.max(this.replica.log.highWatermark, this.epochStart)
    const isReady = (follower: FollowerSession): boolean => follower.durableEnd >= least && this.mayJoin(follower)
    if (!this.followers.all.some(isReady)) return
    const ready = this.followers.all.filter(isReady)
    const fresh = ready.filter((follower) => follower.joinBackoff.attempts === 0)
    const joining = fresh.length > 0 ? fresh : ready.slice(0, 1)
    // Joining is the end of lagging: it has the whole lag time from here on.
    for (const follower of joining) follower.caughtUpUs = Math.max(follower.caughtUpUs, this.replica.clock.nowUs)
    this.propose([...this.isr.committed, ...joining.map((follower) => follower.brokerId)])
  }

  private shrink(): void {
    if (!this.mayPropose()) return
    const { clock, lagTimeMaxUs } = this.replica
    const lags = (follower: FollowerSession): boolean =>
      follower.inSync && (follower.leaving || clock.nowUs - follower.caughtUpUs > lagTimeMaxUs)
    if (!this.followers.all.some(lags)) return
    const out = new Set(this.followers.all.filter(lags).map((follower) => follower.brokerId))
    this.propose(this.isr.committed.filter((id) => !out.has(id)))
  }

  /** Own disk is unfit: asks to be replaced, as long as somebody else is in sync. */
  private leave(): void {
    if (!this.replica.unfit || !this.mayPropose() || this.isr.committed.length < 2) return
    this.propose(this.isr.committed.filter((id) => id !== this.replica.brokerId))
  }

  private mayPropose(): boolean {
    return this.isr.pending === null && this.isr.backoff.retryAtUs <= this.replica.clock.nowUs
  }

  private propose(isr: readonly number[]): void {
    this.send(
      this.isr.propose(
        this.epoch,
        isr.map((id) => ({ brokerId: id, brokerEpoch: this.brokerEpochOf(id) })),
      ),
    )
    this.followers.mark(this.isr)
  }

  /** Of the session, not of the image: a restarted broker must not enter on what an earlier incarnation acknowledged (KIP-903). */
  private brokerEpochOf(id: number): number {
    if (id === this.replica.brokerId) return this.replica.brokerEpoch
    const session = this.followers.get(id)?.brokerEpoch ?? -1
    return session === -1 ? (this.replica.brokers.get(id)?.epoch ?? -1) : session
  }

  private send(alter: AlterPartition | null): void {
    if (alter !== null) this.replica.out.alter = alter
  }
}
