import type { Clock, Timer, Timers } from '@millrace/base'

/** How coarse deadlines are; also the longest that one is late. */
const TICK_US = 10_000
/** A round is 10.24 s; what is due later stays in its slot for more rounds. */
const SLOTS = 1024

/** Something that ends by itself when nothing else ends it. Extend it; it is its own place in the wheel, so waiting allocates nothing. */
export abstract class Deadline {
  /** @internal */ dueTick = 0
  /** @internal */ before: Deadline | null = null
  /** @internal */ behind: Deadline | null = null
  /** @internal */ wheel: TimingWheel | null = null

  /** The time is over. The deadline is no longer in the wheel. */
  abstract expire(): void

  get waiting(): boolean {
    return this.wheel !== null
  }

  cancel(): void {
    this.wheel?.remove(this)
  }
}

/**
 * Deadlines of all requests of a listener, with one timer for all of them: adding and cancelling are a few assignments, and the timer
 * runs only while something waits.
 */
export class TimingWheel {
  private readonly clock: Clock
  private readonly timers: Timers
  private readonly slots: (Deadline | null)[]
  private readonly startUs: number
  /** The last tick whose slot was looked at. */
  private tick = 0
  private count = 0
  private timer: Timer | null = null
  private readonly onTimer = (): void => this.advance()

  constructor(clock: Clock, timers: Timers) {
    this.clock = clock
    this.timers = timers
    this.startUs = clock.monotonicUs()
    this.slots = Array.from({ length: SLOTS }, () => null)
  }

  get size(): number {
    return this.count
  }

  /** Expires `deadline` after `delayMs`, rounded up to the next tick. */
  add(deadline: Deadline, delayMs: number): void {
    deadline.cancel()
    // An idle wheel skips the ticks that nobody waited for.
    if (this.count === 0) this.tick = this.nowTick()
    const dueUs = this.clock.monotonicUs() - this.startUs + delayMs * 1000
    deadline.dueTick = Math.max(this.tick + 1, Math.ceil(dueUs / TICK_US))
    const slot = deadline.dueTick % SLOTS
    const head = this.slots[slot] ?? null
    deadline.behind = head
    deadline.before = null
    if (head !== null) head.before = deadline
    this.slots[slot] = deadline
    deadline.wheel = this
    this.count++
    this.arm()
  }

  remove(deadline: Deadline): void {
    if (deadline.wheel !== this) return
    if (deadline.before === null) this.slots[deadline.dueTick % SLOTS] = deadline.behind
    else deadline.before.behind = deadline.behind
    if (deadline.behind !== null) deadline.behind.before = deadline.before
    deadline.before = null
    deadline.behind = null
    deadline.wheel = null
    this.count--
  }

  /** Forgets all deadlines without expiring them. */
  stop(): void {
    this.timer?.cancel()
    this.timer = null
    for (let slot = 0; slot < SLOTS; slot++) {
      for (let one = this.slots[slot] ?? null; one !== null; one = this.slots[slot] ?? null) this.remove(one)
    }
  }

  private arm(): void {
    if (this.timer !== null || this.count === 0) return
    const nextUs = this.startUs + (this.tick + 1) * TICK_US
    this.timer = this.timers.after(Math.max(0, nextUs - this.clock.monotonicUs()), this.onTimer)
  }

  private advance(): void {
    this.timer = null
    const now = this.nowTick()
    // After a pause of more than a round every slot is looked at once.
    const from = Math.max(this.tick + 1, now - SLOTS + 1)
    this.tick = now
    const due: Deadline[] = []
    for (let tick = from; tick <= now; tick++) this.collect(tick % SLOTS, now, due)
    // One that an earlier one put back waits on.
    for (const deadline of due) if (!deadline.waiting) deadline.expire()
    this.arm()
  }

  private collect(slot: number, now: number, due: Deadline[]): void {
    for (let one = this.slots[slot] ?? null; one !== null;) {
      const behind: Deadline | null = one.behind
      if (one.dueTick <= now) {
        this.remove(one)
        due.push(one)
      }
      one = behind
    }
  }

  private nowTick(): number {
    return Math.floor((this.clock.monotonicUs() - this.startUs) / TICK_US)
  }
}
