import type { Done, IoError, Timer, Timers } from '@millrace/base'
import { eachLimited } from './flow.ts'

/** Something whose writes are made durable in rounds. */
export interface SyncTarget {
  /** Takes what was written up to now; whatever is written later is for another round. */
  beginSync(): SyncWork
}

/** One target's part of a round. */
export interface SyncWork {
  run(done: Done<void>): void
  /** All of the round has succeeded: reports what is durable. */
  finished(): void
}

export interface SyncSchedulerOptions {
  readonly timers: Timers
  /** A failed sync: nothing of this directory can be trusted from now on. Called once. */
  readonly failed: (error: IoError) => void
  /** After the reports of a round, in the same turn. */
  readonly roundEnded: () => void
  /** How long what was written may stay unsynced; null: until somebody asks. */
  readonly intervalUs: number | null
}

/** Syncs at once: the thread pool has four places, which the journal's writes and reads need too. */
const PARALLEL_SYNCS = 2

/** Syncs the files of a directory's logs in the background, in rounds that follow each other: those that are asked for, each once. */
export class SyncScheduler {
  private readonly options: SyncSchedulerOptions
  /** In the order in which they became dirty. */
  private readonly dirty = new Set<SyncTarget>()
  /** What the next round takes although nobody waits for everything. */
  private readonly hurried = new Set<SyncTarget>()
  private timer: Timer | null = null
  private asked = false
  private all = false
  private running = false
  private ended = false
  private failure: IoError | null = null
  private waiting: Done<void>[] = []

  constructor(options: SyncSchedulerOptions) {
    this.options = options
  }

  /** The target was written to. */
  markDirty(target: SyncTarget): void {
    if (this.ended) return
    this.dirty.add(target)
    const { intervalUs, timers } = this.options
    if (intervalUs !== null) this.timer ??= timers.after(intervalUs, () => this.sync(() => undefined))
  }

  /** The target, or all that is dirty where it is null, is synced in the background, beginning with the end of this turn. */
  hurry(target: SyncTarget | null): void {
    if (this.ended) return
    if (target === null) this.all = true
    else this.hurried.add(target)
    if (this.asked || this.running) return
    this.asked = true
    this.options.timers.endOfTurn(() => {
      this.asked = false
      if (!this.running) this.begin()
    })
  }

  forget(target: SyncTarget): void {
    this.dirty.delete(target)
    this.hurried.delete(target)
  }

  /** All that was written before this call is on disk; `done` gets the error where a sync failed. */
  sync(done: Done<void>): void {
    if (this.ended) return done(this.failure)
    this.waiting.push(done)
    if (!this.running) this.begin()
  }

  /** The same until nothing is dirty any more. */
  drain(done: Done<void>): void {
    if (!this.running && this.dirty.size === 0) return done(null)
    this.sync((error) => (error === null ? this.drain(done) : done(error)))
  }

  /** No round begins any more. */
  end(): void {
    this.ended = true
    this.timer?.cancel()
    this.dirty.clear()
    this.hurried.clear()
  }

  private begin(): void {
    if (this.ended) return
    const served = this.waiting
    this.waiting = []
    const targets = new Set(this.hurried)
    this.hurried.clear()
    if (served.length > 0 || this.all) {
      this.all = false
      this.timer?.cancel()
      this.timer = null
      for (const target of this.dirty) targets.add(target)
      this.dirty.clear()
    }
    this.running = true
    const begun: SyncWork[] = []
    const run = (target: SyncTarget, done: Done<void>): void => {
      const work = target.beginSync()
      begun.push(work)
      work.run(done)
    }
    eachLimited([...targets], PARALLEL_SYNCS, run, (error) => this.finish(begun, served, error))
  }

  private finish(begun: readonly SyncWork[], served: readonly Done<void>[], error: IoError | null): void {
    this.running = false
    if (this.ended) return
    if (error !== null) return this.failed(error, [...served, ...this.waiting])
    for (const work of begun) work.finished()
    this.options.roundEnded()
    for (const done of served) done(null)
    if (!this.running && (this.waiting.length > 0 || this.hurried.size > 0 || this.all)) this.begin()
  }

  private failed(error: IoError, waiting: readonly Done<void>[]): void {
    this.waiting = []
    this.failure = error
    this.end()
    this.options.failed(error)
    for (const done of waiting) done(error)
  }
}
