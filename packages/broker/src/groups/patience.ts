import type { Clock, Timer, Timers } from '@millrace/base'

/** One who waits. */
export interface Waiting {
  /** It came to its end otherwise. */
  readonly over: boolean
  tooLate(): void
}

interface Entry {
  readonly one: Waiting
  readonly untilUs: number
}

/** This many that are over are dropped from the list at once. */
const COMPACT_AFTER = 1024

/** Those who wait for a commit, each for at most so long: one list in the order of their coming, and one timer for its head. */
export class Patience {
  private readonly clock: Clock
  private readonly timers: Timers
  private readonly limitUs: number
  private entries: Entry[] = []
  /** Those before this index are over. */
  private head = 0
  private timer: Timer | null = null

  constructor(world: { readonly clock: Clock; readonly timers: Timers }, limitMs: number) {
    this.clock = world.clock
    this.timers = world.timers
    this.limitUs = limitMs * 1000
  }

  add(one: Waiting): void {
    this.entries.push({ one, untilUs: this.clock.monotonicUs() + this.limitUs })
    this.arm()
  }

  /** Some are over: those at the head, which are nearly all, are held no longer. */
  moved(): void {
    while (this.entries[this.head]?.one.over === true) this.head++
    if (this.head === this.entries.length) this.clear()
    else if (this.head >= COMPACT_AFTER) {
      this.entries = this.entries.slice(this.head)
      this.head = 0
    }
  }

  clear(): void {
    this.entries = []
    this.head = 0
    this.timer?.cancel()
    this.timer = null
  }

  private arm(): void {
    const first = this.entries[this.head]
    if (this.timer !== null || first === undefined) return
    this.timer = this.timers.after(Math.max(0, first.untilUs - this.clock.monotonicUs()), () => this.rung())
  }

  private rung(): void {
    this.timer = null
    const now = this.clock.monotonicUs()
    for (let first = this.entries[this.head]; first !== undefined; first = this.entries[this.head]) {
      if (first.untilUs > now) break
      this.head++
      if (!first.one.over) first.one.tooLate()
    }
    this.moved()
    this.arm()
  }
}
