import { assert, type Done, type IoError, type Timer, type Timers, type Clock } from '@millrace/base'
import { eachLimited } from './flow.ts'

/** Something whose writes are made durable in rounds. */
export interface SyncTarget {
  /** Takes what was written up to now; whatever is written later is for another round. */
  beginSync(): SyncWork
}

/** One target's part of a round. */
export interface SyncWork {
  /** How many files are synced, at least. */
  readonly files: number
  run(done: Done<void>): void
  /** All of the round has succeeded: reports what is durable. */
  finished(): void
}

export interface SyncSchedulerOptions {
  readonly timers: Timers
  readonly clock: Clock
  /** A failed sync: nothing of this directory can be trusted from now on. Called once. */
  readonly failed: (error: IoError) => void
  /** After the reports of a round, in the same turn. */
  readonly roundEnded: () => void
  /** How long a round waits in any case: 0 to promise quickly, long for background flushes. */
  readonly minimumDelayUs?: number
}

/** Syncs at once: more only queue up in the thread pool, where reads need places too. */
const PARALLEL_SYNCS = 4
/** A round takes at most so many targets, so that none waits for the files of too many others; the rest is next. */
const TARGETS_PER_ROUND = 32
/** What one sync costs in processor time, measured; a disk's latency is not in it. */
const SYNC_COST_US = 250
/** Rounds may take this share of a processor for syncs before they are spaced out. */
const DUTY = 0.25
/** Rounds are never spaced out further than this. */
const MAX_WINDOW_US = 10_000

/** When nothing was written for so long, waiting longer adds nothing to a round: whoever writes waits for it. */
const QUIET_US = 1_000

/**
 * Group commit: one for all logs of a directory. Rounds follow each other: every file that was written is synced once, then what
 * was written meanwhile. An idle directory begins a round at the end of the turn that wrote; under load rounds begin no sooner
 * than their syncs' share of a processor allows, so that each sync covers more, or when the writing pauses: clients that may have only so
 * much on its way have sent all of it, and go on once it is durable.
 */
export class SyncScheduler {
  private readonly options: SyncSchedulerOptions
  /** In the order in which they became dirty. */
  private dirty = new Set<SyncTarget>()
  private timer: Timer | null = null
  private asked = false
  private running = false
  private ended = false
  private notBeforeUs = 0
  private writtenUs = 0
  private waiting: Done<void>[] = []
  /** Rounds that ended, and files that they synced. */
  rounds = 0
  syncedFiles = 0

  constructor(options: SyncSchedulerOptions) {
    this.options = options
  }

  /** The target was written to: it takes part in the next round. */
  markDirty(target: SyncTarget): void {
    if (this.ended) return
    this.dirty.add(target)
    this.writtenUs = this.options.clock.monotonicUs()
    this.schedule()
  }

  forget(target: SyncTarget): void {
    this.dirty.delete(target)
  }

  /** Begins rounds without delay until nothing is dirty, then calls `done`; with the error when a sync fails. */
  drain(done: Done<void>): void {
    if (!this.running && this.dirty.size === 0) return done(null)
    this.waiting.push(done)
    this.begin()
  }

  /** No round begins any more. */
  end(): void {
    this.ended = true
    this.timer?.cancel()
    this.dirty.clear()
  }

  private schedule(): void {
    if (this.asked || this.running || this.ended) return
    this.asked = true
    const delay = this.delayUs()
    // Not now: the rest of this turn's appends belong to the same round.
    if (delay <= 0) this.options.timers.endOfTurn(this.begin)
    else this.timer = this.options.timers.after(delay, this.look)
  }

  /** How long the next round has to wait at least before it is looked at again. */
  private delayUs(): number {
    const now = this.options.clock.monotonicUs()
    const spacing = this.notBeforeUs - now
    const { minimumDelayUs = 0 } = this.options
    return minimumDelayUs > 0 ? Math.max(minimumDelayUs, spacing) : Math.min(spacing, this.writtenUs + QUIET_US - now)
  }

  private readonly look = (): void => {
    this.timer = null
    const { minimumDelayUs = 0 } = this.options
    const delay = minimumDelayUs > 0 ? 0 : this.delayUs()
    if (delay <= 0) this.begin()
    else this.timer = this.options.timers.after(delay, this.look)
  }

  private readonly begin = (): void => {
    this.timer?.cancel()
    this.timer = null
    this.asked = false
    if (this.running || this.ended || this.dirty.size === 0) return
    this.running = true
    const work: SyncWork[] = []
    for (const target of this.dirty) {
      if (work.length === TARGETS_PER_ROUND) break
      this.dirty.delete(target)
      work.push(target.beginSync())
    }
    const files = work.reduce((sum, { files }) => sum + files, 0)
    const startUs = this.options.clock.monotonicUs()
    eachLimited(
      work,
      PARALLEL_SYNCS,
      (one, done) => one.run(done),
      (error) => this.finish(work, { error, files, startUs }),
    )
  }

  private finish(work: readonly SyncWork[], round: { error: IoError | null; files: number; startUs: number }): void {
    assert(this.running, 'a round ends once')
    this.running = false
    if (this.ended) return
    if (round.error !== null) {
      this.end()
      this.options.failed(round.error)
      return this.released(round.error)
    }
    this.rounds++
    this.syncedFiles += round.files
    const endUs = this.options.clock.monotonicUs()
    this.notBeforeUs = Math.min(round.startUs + (round.files * SYNC_COST_US) / DUTY, endUs + MAX_WINDOW_US)
    for (const one of work) one.finished()
    this.options.roundEnded()
    this.next()
  }

  private next(): void {
    if (this.ended) return
    if (this.dirty.size > 0) return this.waiting.length > 0 ? this.begin() : this.schedule()
    this.released(null)
  }

  private released(error: IoError | null): void {
    const waiting = this.waiting
    this.waiting = []
    for (const done of waiting) done(error)
  }
}
