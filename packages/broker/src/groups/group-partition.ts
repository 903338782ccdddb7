import { ErrorCode, type Timer, type Uuid, type World, ZERO_UUID } from '@millrace/base'
import type { GroupRequest, GroupShard, GroupView, Outcome, Rebalance } from '@millrace/groups'
import { Backoff } from '../backoff.ts'
import type { GroupQuestion, ListedGroups } from '../seams.ts'
import type { LoadTurns } from './load-turns.ts'
import { LogReplay } from './log-replay.ts'
import { OpenQuestions } from './open-questions.ts'
import type { PendingAppend } from './pending-appends.ts'
import { recordBatches } from './record-batches.ts'
import type { CoordinatedReplica } from './replica-view.ts'
import { type AlarmOwner, ShardAlarm } from './shard-alarm.ts'
import type { SteadyTime } from './steady-time.ts'
import { coordinatorError } from './write-errors.ts'

/** A shard that had to be discarded sooner than this will have to be again, perhaps: the next one waits longer. */
const STEADY_US = 10_000_000

export interface GroupPartitionHost {
  readonly world: World
  readonly time: SteadyTime
  readonly loads: LoadTurns
  /** How long an answer waits for the commit of its records. */
  readonly commitTimeoutMs: number
  createShard(): GroupShard
  /** Neither asleep nor at its end. */
  serving(): boolean
  /** The names of topics that are not in the image. */
  missing(topic: string): boolean
  rebalanced(rebalance: Rebalance): void
}

/** What may be asked while the log takes no records: it changes nothing that must be written. */
const WITHOUT_WRITING: ReadonlySet<GroupRequest['kind']> = new Set([
  'heartbeat',
  'offsetFetch',
  'describeGroup',
  'describeConsumerGroup',
  'listGroups',
])

/**
 * One partition of `__consumer_offsets` under one leadership of this broker.
 *
 * | phase   | meaning                                                            | asked for anything         |
 * |---------|--------------------------------------------------------------------|----------------------------|
 * | loading | the log is replayed, up to its end, and its end is not committed yet | 14                         |
 * | active  | the shard decides; its answers wait until their records are committed | what the shard says        |
 * | ended   | somebody else leads, or nobody                                     | 16                         |
 *
 * The shard counts its records as written when it decides them. When one can not be appended the shard is therefore discarded, everybody who
 * waits is told, and the log is replayed once nothing is on its way any more: what is in the log is the truth.
 */
export class GroupPartition implements AlarmOwner {
  readonly replica: CoordinatedReplica
  readonly leaderEpoch: number
  private readonly host: GroupPartitionHost
  private readonly backoff: Backoff
  private readonly questions: OpenQuestions
  private phase: 'loading' | 'active' | 'ended' = 'loading'
  private shard: GroupShard | null = null
  private replay: LogReplay | null = null
  private retry: Timer | null = null
  private readonly alarm: ShardAlarm
  /** What the shard has to be told as soon as it may decide. */
  private duties: (() => void)[] = []
  private unwatch: (() => void) | null = null
  private activeSinceUs = 0
  /** Appends without an answer, of discarded shards too. */
  private underWay = 0

  constructor(host: GroupPartitionHost, replica: CoordinatedReplica) {
    this.host = host
    this.replica = replica
    this.leaderEpoch = replica.machine.leaderEpoch
    this.backoff = new Backoff(host.world.random)
    this.questions = new OpenQuestions(host.world, host.commitTimeoutMs)
    this.alarm = new ShardAlarm(host.world.timers, this)
    this.load()
  }

  /** The shard while it is active. */
  get active(): GroupShard | null {
    return this.phase === 'active' ? this.shard : null
  }

  /** Returns how to drop the question: its answer is then nobody's. */
  ask<R>(question: GroupQuestion<R>): () => void {
    if (this.phase !== 'active') {
      question.failed(this.phase === 'loading' ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : ErrorCode.NOT_COORDINATOR)
      return NOTHING
    }
    const { questions } = this
    const reply = questions.replyTo(question)
    const request = question.request(reply)
    if (!this.mayWrite() && !WITHOUT_WRITING.has(request.kind)) {
      question.failed(coordinatorError(this.replica.appendRefusal(-1)))
      return NOTHING
    }
    questions.asked(reply, question)
    this.decide(question.groupId, (shard, nowMs) => shard.handle(request, nowMs))
    return () => questions.drop(reply)
  }

  /** What is listed is as it is now, written or not. Null while the partition loads. */
  list(states: readonly string[], types: readonly string[]): ListedGroups | null {
    const shard = this.active
    if (shard === null) return null
    let listed: ListedGroups = []
    const reply = ({ groups }: { readonly groups: ListedGroups }): void => {
      listed = groups
    }
    const { answers } = shard.handle({ kind: 'listGroups', states, types, reply }, this.host.time.nowMs())
    for (const answer of answers) answer.reply(answer.response)
    return listed
  }

  /** Groups as they are, written or not. Null while the partition loads. */
  views(): Iterable<GroupView> | null {
    return this.active?.groups() ?? null
  }

  view(groupId: string): GroupView | null {
    return this.active?.group(groupId) ?? null
  }

  /** The topics that groups see changed, and these are no more. */
  topicsChanged(deleted: readonly { readonly name: string; readonly id: Uuid }[]): void {
    if (this.active === null) return
    this.duties.push(() => {
      if (deleted.length > 0) this.decide(null, (shard, nowMs) => shard.topicsDeleted(deleted, nowMs))
      this.decide(null, (shard, nowMs) => shard.tick(nowMs))
    })
    this.alarm.ring()
  }

  /** Topics may have been deleted while nobody looked: their offsets go. */
  forgetMissingTopics(): void {
    const missing = new Set<string>()
    for (const group of this.views() ?? [])
      for (const { topic } of group.offsets()) if (this.host.missing(topic)) missing.add(topic)
    if (missing.size > 0) this.topicsChanged([...missing].map((name) => ({ name, id: ZERO_UUID })))
  }

  /** This leadership is over. */
  end(error: ErrorCode = ErrorCode.NOT_COORDINATOR): void {
    if (this.phase === 'ended') return
    this.phase = 'ended'
    this.discard(error, null)
  }

  // Loading.

  private load(): void {
    const { host, replica } = this
    const startedUs = host.world.clock.monotonicUs()
    const shard = host.createShard()
    const replay = new LogReplay({
      replica,
      compute: host.world.compute,
      turns: host.loads,
      replay: (key, value) => shard.replay(key, value),
      done: (error, end) => {
        if (error !== null) return this.loadFailed(error)
        this.whenCommitted(end, () => this.loaded(shard, replay, startedUs))
      },
    })
    this.replay = replay
    replay.begin()
  }

  /** What was replayed may still be lost as long as it is not committed: nothing is answered from it. */
  private whenCommitted(end: number, then: () => void): void {
    const look = (): void => {
      if (this.replica.machine.highWatermark < end) return
      this.unwatch?.()
      this.unwatch = null
      then()
    }
    this.unwatch = this.replica.watch(look)
    look()
  }

  private loaded(shard: GroupShard, replay: LogReplay, startedUs: number): void {
    const { log, clock } = this.host.world
    const { records, skipped, firstSkipped } = replay
    const durationMs = Math.round((clock.monotonicUs() - startedUs) / 1000)
    this.replay = null
    this.shard = shard
    this.phase = 'active'
    this.activeSinceUs = clock.monotonicUs()
    const fields = { ...this.fields(), records, durationMs }
    if (skipped > 0) log.error({ ...fields, skipped, firstSkipped }, 'groups loaded without records that make no sense')
    else if (records > 0) log.info(fields, 'groups loaded')
    this.duties.push(() => this.decide(null, (begun, nowMs) => begun.loaded(nowMs)))
    this.forgetMissingTopics()
    this.alarm.ring()
  }

  private loadFailed(error: Error): void {
    this.replay = null
    this.host.world.log.error({ ...this.fields(), error }, 'groups not loaded; trying again')
    this.loadLater()
  }

  private loadLater(): void {
    this.retry = this.host.world.timers.after(this.backoff.nextUs(), () => {
      this.retry = null
      this.load()
    })
  }

  // Deciding.

  /**
   * While the log takes nothing (too few replicas in sync, a full disk) the shard is not asked what it would have to write: it would have to
   * be discarded, and with it all that it knows of its members.
   */
  private mayWrite(): boolean {
    return this.replica.appendRefusal(-1) === ErrorCode.NONE
  }

  /** `groupId` is the one that all records are of; null when they may be of any. */
  private decide(groupId: string | null, ask: (shard: GroupShard, nowMs: number) => Outcome): void {
    const { shard } = this
    if (shard === null) return
    let outcome: Outcome
    try {
      outcome = ask(shard, this.host.time.nowMs())
    } catch (error) {
      return this.broken(error)
    }
    for (const rebalance of outcome.rebalances) this.host.rebalanced(rebalance)
    if (outcome.records.length > 0 && !this.append(groupId, outcome)) return
    for (const answer of outcome.answers) this.questions.decided(answer)
    this.alarm.arm()
  }

  /** False when the records can not be written, and the shard is gone. */
  private append(groupId: string | null, { records }: Outcome): boolean {
    const { replica, host } = this
    const { maxMessageBytes } = replica.settings.config
    const batches = recordBatches(records, host.world.clock.wallMs(), maxMessageBytes)
    if (batches === null) {
      host.world.log.error(
        { ...this.fields(), group: groupId },
        'what a group has to remember is too large for a record',
      )
      this.loadAnew(ErrorCode.UNKNOWN_SERVER_ERROR, groupId)
      return false
    }
    const append = this.questions.appending(groupId, batches.length)
    for (const batch of batches) {
      this.underWay++
      replica.append(batch, -1, (error) => this.appended(append, error))
    }
    return true
  }

  /** While the shard is active all appends under way are its own. */
  private appended(append: PendingAppend, error: ErrorCode): void {
    this.underWay--
    if (this.phase === 'active') {
      if (error !== ErrorCode.NONE) return this.appendFailed(append, error)
      this.questions.committed(append)
    } else if (this.underWay === 0 && this.phase === 'loading' && this.replay === null) this.loadLater()
  }

  private appendFailed(append: PendingAppend, error: ErrorCode): void {
    const told = coordinatorError(error)
    this.host.world.log.warn({ ...this.fields(), error }, 'records of groups not written; loading them anew')
    this.loadAnew(told, append.groupId)
  }

  /**
   * The shard can not go on, for a reason that is nobody's but ours. It does not end the node, as broken invariants do elsewhere: the log
   * is the truth, and one strange group must not take down every node that comes to coordinate it.
   */
  private broken(error: unknown): void {
    this.host.world.log.error({ ...this.fields(), error }, 'a group could not be decided about; loading them anew')
    this.loadAnew(ErrorCode.UNKNOWN_SERVER_ERROR, null)
  }

  /** Another shard begins from the log, once nothing that could still be appended is under way. */
  private loadAnew(error: ErrorCode, groupId: string | null): void {
    if (this.host.world.clock.monotonicUs() - this.activeSinceUs > STEADY_US) this.backoff.reset()
    this.phase = 'loading'
    this.discard(error, groupId)
    if (this.underWay === 0) this.loadLater()
  }

  /** What the shard knew is gone, and everybody who waits for it is told; `groupId` is the one that the error is about, null for all. */
  private discard(error: ErrorCode, groupId: string | null): void {
    this.shard = null
    this.replay?.cancel()
    this.replay = null
    this.retry?.cancel()
    this.retry = null
    this.unwatch?.()
    this.unwatch = null
    this.alarm.end()
    this.duties = []
    this.questions.failAll(error, groupId)
  }

  // Time.

  get nowMs(): number {
    return this.host.time.nowMs()
  }

  get dueMs(): number {
    return this.shard?.nextDueMs ?? Infinity
  }

  get mayDecide(): boolean {
    return this.host.serving() && this.mayWrite()
  }

  tick(): void {
    const { duties } = this
    this.duties = []
    for (const duty of duties) duty()
    if (this.dueMs <= this.nowMs) this.decide(null, (shard, nowMs) => shard.tick(nowMs))
    this.alarm.arm()
  }

  private fields(): { topic: string; partition: number; epoch: number } {
    return { topic: this.replica.topic, partition: this.replica.partition, epoch: this.leaderEpoch }
  }
}

const NOTHING = (): void => {}
