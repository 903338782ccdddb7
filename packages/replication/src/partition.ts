import { assert, unreachable } from '@millrace/base'
import { Follower } from './follower.ts'
import { Leader } from './leader.ts'
import { Output } from './output.ts'
import { OwnLog } from './own-log.ts'
import type { Replica } from './replica.ts'
import { TickClock } from './tick-clock.ts'
import type {
  AppendHeader,
  EpochHistory,
  FollowerProgress,
  FollowerPromise,
  LogState,
  PartitionConfig,
  PartitionInput,
  PartitionInspection,
  PartitionMachine,
  PartitionOutput,
  PartitionState,
  RefusedCode,
  ReplicaIdentity,
} from './types.ts'

const NOBODY: readonly never[] = Object.freeze([])

/**
 * The replication of one partition as one of its replicas lives it: offsets and epochs in, decisions out, never a byte.
 *
 * | role | becomes | when metadata says |
 * |---|---|---|
 * | none | leader, follower | a leader in a later epoch, or this broker was added |
 * | leader | leader anew | a later leader epoch, even when it names this broker again: sessions end, and waiters fail unless it is the next one |
 * | leader, follower | the other, none | a later leader epoch; leaderless or removed |
 *
 * A machine that quarantined its log is inert: the node reports it, replaces the log and makes a new machine once the controller has
 * taken the replica out of ISR and ELR. Throws `BrokenInvariant` when `log` contradicts itself.
 */
export function createPartition(
  identity: ReplicaIdentity,
  log: LogState,
  history: EpochHistory,
  config: PartitionConfig,
): PartitionMachine {
  return new Partition(identity, new OwnLog(log, history, config.flushMode), config)
}

class Partition implements PartitionMachine, PartitionInspection, Replica {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly flushMode: PartitionConfig['flushMode']
  readonly lagTimeMaxUs: number
  readonly random: PartitionConfig['random']
  readonly log: OwnLog
  readonly clock: TickClock
  readonly out = new Output()
  readonly nextRequestId: () => number
  brokers: Replica['brokers'] = new Map()
  unfit = false
  leaderEpoch = -1
  partitionEpoch = -1
  private leader: Leader | null = null
  private follower: Follower | null = null
  quarantined = false
  /** What the last output asked the node to do before anything else. */
  private cutting: 'truncate' | 'restart' | null = null

  constructor(identity: ReplicaIdentity, log: OwnLog, config: PartitionConfig) {
    this.brokerId = identity.brokerId
    this.brokerEpoch = identity.brokerEpoch
    this.flushMode = config.flushMode
    this.lagTimeMaxUs = config.lagTimeMaxUs
    this.random = config.random
    this.log = log
    this.clock = new TickClock(config.lagTimeMaxUs / 2)
    let requests = 0
    this.nextRequestId = () => ++requests
    this.fillOffsets()
  }

  get role(): 'leader' | 'follower' | 'none' {
    if (this.leader !== null) return 'leader'
    return this.follower === null ? 'none' : 'follower'
  }

  get highWatermark(): number {
    return this.log.highWatermark
  }

  get durableHighWatermark(): number {
    return Math.min(this.log.highWatermark, this.log.durableEnd)
  }

  get logStart(): number {
    return this.log.logStart
  }

  get latestKnown(): boolean {
    return this.leader?.latestKnown ?? false
  }

  get enoughReplicas(): boolean {
    return this.leader?.enoughReplicas ?? false
  }

  get epochStart(): number {
    return this.leader?.epochStart ?? -1
  }

  get isr(): readonly number[] {
    return this.leader?.isr.committed ?? NOBODY
  }

  get followers(): readonly FollowerProgress[] {
    return this.leader?.streaming ?? NOBODY
  }

  get inspection(): PartitionInspection {
    return this
  }

  get endOffset(): number {
    return this.log.endOffset
  }

  get durableEnd(): number {
    return this.log.durableEnd
  }

  get generation(): number {
    return this.log.generation
  }

  get confirmedIsr(): readonly number[] {
    return this.leader?.isr.confirmed ?? NOBODY
  }

  get maximalIsr(): readonly number[] {
    return this.leader?.isr.maximal ?? NOBODY
  }

  get promises(): readonly FollowerPromise[] {
    return this.leader?.promises ?? NOBODY
  }

  get acknowledged(): number {
    return this.follower?.acknowledged ?? -1
  }

  get isrPending(): boolean {
    return (this.leader?.isr.pending ?? null) !== null
  }

  get minInsyncReplicas(): number {
    return this.leader?.minInsyncReplicas ?? 0
  }

  mayWrite(from: number, append: Pick<AppendHeader, 'session' | 'baseOffset' | 'lastEpoch'>): boolean {
    return this.follower?.mayWrite(from, append) ?? false
  }

  carried(session: number): void {
    this.leader?.carried(session)
  }

  step(input: PartitionInput): PartitionOutput {
    this.out.clear()
    assert(this.cutting === null || input.kind === 'truncated', `${input.kind} before the truncation was reported`)
    this.take(input)
    if (this.out.truncateTo !== null) this.cutting = 'truncate'
    if (this.out.restartAt !== null) this.cutting = 'restart'
    if (this.out.quarantine !== null) this.goInert()
    this.fillOffsets()
    return this.out
  }

  private fillOffsets(): void {
    this.out.highWatermark = this.log.highWatermark
    this.out.logStart = this.log.logStart
  }

  private take(input: PartitionInput): void {
    switch (input.kind) {
      case 'ack':
        if (this.leader !== null) this.leader.ack(input)
        return
      case 'appended':
      case 'durable':
      case 'truncated':
      case 'logStart':
        this.takeOwnLog(input)
        return
      case 'fromLeader':
        this.follower?.message(input.from, input.message)
        return
      case 'metadata':
        this.takeMetadata(input.state, input.brokers)
        return
      case 'follow':
        if (this.leader !== null) this.leader.follow(input)
        else this.refuse(input.from, input.session, input.leaderEpoch)
        return
      case 'unfollow':
        this.leader?.unfollow(input.from, input.session)
        return
      case 'peerOpened':
        if (this.follower?.leader === input.peer) this.follower.peerOpened()
        return
      case 'peerClosed':
        this.leader?.peerClosed(input.peer)
        if (this.follower?.leader === input.peer) this.follower.peerClosed()
        return
      case 'alterReply':
        this.leader?.alterReply(input.requestId, input.result)
        return
      case 'unfit':
        this.takeUnfit(input.unfit)
        return
      case 'tick':
        this.tick(input.nowUs)
        return
      default:
        unreachable(input, 'input')
    }
  }

  private takeOwnLog(
    input: PartitionInput & { readonly kind: 'appended' | 'durable' | 'truncated' | 'logStart' },
  ): void {
    const { log } = this
    switch (input.kind) {
      case 'appended':
        log.appended(input.endOffset, input.generation)
        if (this.flushMode === 'pagecache') this.leader?.advance()
        break
      case 'durable':
        if (!log.durable(input.endOffset, input.generation)) break
        this.leader?.advance()
        this.follower?.durable()
        break
      case 'truncated':
        this.truncated(input.endOffset, input.generation)
        break
      case 'logStart':
        log.raiseLogStart(input.offset)
        break
    }
  }

  private truncated(endOffset: number, generation: number): void {
    assert(this.cutting !== null, `the log was truncated to ${endOffset} though nothing asked for it`)
    this.log.truncated(endOffset, generation, this.cutting === 'restart')
    this.cutting = null
    this.follower?.follow()
  }

  private takeMetadata(state: PartitionState, brokers: Replica['brokers']): void {
    const newEpoch = state.leaderEpoch > this.leaderEpoch
    if (state.leaderEpoch < this.leaderEpoch || (!newEpoch && state.partitionEpoch < this.partitionEpoch)) return
    this.brokers = brokers
    this.partitionEpoch = state.partitionEpoch
    const role = this.quarantined ? 'none' : roleOf(this.brokerId, state)
    if (!newEpoch && role === this.role) {
      this.leader?.metadata(state)
      this.follower?.metadata(state)
      return
    }
    this.leaderEpoch = state.leaderEpoch
    this.takeRole(role, state)
  }

  private takeRole(role: 'leader' | 'follower' | 'none', state: PartitionState): void {
    if (this.leader !== null && !(role === 'leader' && leadsOn(this.leader, state)))
      this.out.failWaitersOfEpoch = this.leader.epoch
    if (role === 'none') this.follower?.leave()
    this.leader = null
    this.follower = null
    if (role === 'follower') this.follower = new Follower(this, state)
    if (role === 'leader') {
      const begun = this.log.lastBegunEpoch()
      assert(begun < state.leaderEpoch, `elected in epoch ${state.leaderEpoch}, but the log knows epoch ${begun}`)
      this.leader = new Leader(this, state)
    }
  }

  private refuse(to: number, session: number, leaderEpoch: number): void {
    const older: RefusedCode = leaderEpoch < this.leaderEpoch ? 'fenced' : 'notLeader'
    this.out.message({ kind: 'refused', to, session, code: leaderEpoch > this.leaderEpoch ? 'retry' : older })
  }

  private takeUnfit(unfit: boolean): void {
    if (this.unfit === unfit) return
    this.unfit = unfit
    this.leader?.reconsider()
    if (unfit) this.follower?.leave()
    else this.follower?.follow()
  }

  private tick(nowUs: number): void {
    const mayJudge = this.clock.tick(nowUs)
    this.leader?.tick(mayJudge)
    this.follower?.tick()
  }

  private goInert(): void {
    this.follower?.leave()
    this.follower = null
    this.quarantined = true
  }
}

function roleOf(brokerId: number, state: PartitionState): 'leader' | 'follower' | 'none' {
  if (state.leader === -1 || !state.replicas.includes(brokerId)) return 'none'
  return state.leader === brokerId ? 'leader' : 'follower'
}

/**
 * The very next epoch has the same leader, as when one of its followers is assigned elsewhere. Nobody else can have led meanwhile, so the
 * log stays as it is, and who waits for the watermark goes on waiting.
 */
function leadsOn(leader: Leader, state: PartitionState): boolean {
  return state.leaderEpoch === leader.epoch + 1 && !state.uncleanlyElected
}
