import type { Life } from '../seams.ts'
import { hashOf } from './digest.ts'
import type { SimEvent } from './event-queue.ts'

/** What a life tells its schedule. */
export interface LifeKeeper {
  /** An event of the queue, or one that waits, was cancelled. */
  cancelled(): void
}

/** A life as its schedule keeps it. */
export class SimLife implements Life {
  readonly name: string
  /** Stands for the name in the digest. */
  readonly mark: number
  over = false
  paused = false
  /** What became due while the life was paused, in the order in which it would have run. */
  waiting: SimEvent[] = []
  /** What is to run at the end of the turn. */
  ends: (() => void)[] = []
  /** The end of the turn will come: after this event, or as one of its own. */
  endsTurn = false
  private readonly keeper: LifeKeeper
  private last: (() => void)[] = []

  constructor(name: string, keeper: LifeKeeper) {
    this.name = name
    this.mark = hashOf(name)
    this.keeper = keeper
  }

  atEnd(run: () => void): void {
    if (this.over) run()
    else this.last.push(run)
  }

  cancelled(): void {
    this.keeper.cancelled()
  }

  /** For the schedule: nothing of this life runs any more. */
  end(): void {
    if (this.over) return
    this.over = true
    this.paused = false
    this.waiting = []
    this.ends = []
    const last = this.last
    this.last = []
    for (const run of last) run()
  }
}

/** Thrown to leave the code of a node that ended itself: what called it is told nothing, as by a process that exits. */
export class LifeEnded extends Error {
  constructor(life: Life, cause: unknown) {
    super(`${life.name} ended itself`, { cause })
    this.name = 'LifeEnded'
  }
}

/** Code of a life threw what it should have caught. A process would have died of it. */
export class UncaughtError extends Error {
  readonly life: Life

  constructor(life: Life, cause: unknown) {
    super(`${life.name} threw ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`, { cause })
    this.name = 'UncaughtError'
    this.life = life
  }
}
