import type { Timer, Timers } from '@millrace/base'

/** The longest sleep: the steady clock and the timers' may differ a little. */
const LONGEST_SLEEP_MS = 60 * 60 * 1000
/** While nothing may be decided, this often is looked whether it may again. */
const BLOCKED_LOOK_MS = 250

export interface AlarmOwner {
  readonly nowMs: number
  /** When the shard has something to do; Infinity when never, or without a shard. */
  readonly dueMs: number
  /** Whether the shard may decide now. */
  readonly mayDecide: boolean
  tick(): void
}

/** Wakes a shard when something is due, or as soon after that as it may decide. */
export class ShardAlarm {
  private readonly timers: Timers
  private readonly owner: AlarmOwner
  private timer: Timer | null = null
  private atMs = Infinity
  /** Something is due that must wait until the shard may decide. */
  private overdue = false

  constructor(timers: Timers, owner: AlarmOwner) {
    this.timers = timers
    this.owner = owner
  }

  /**
   * Something may be due at another time than before. One that moves back does not move the timer: every heartbeat does that, and who is
   * woken too early looks again.
   */
  arm(): void {
    const { dueMs, nowMs } = this.owner
    if (this.overdue || dueMs >= this.atMs) return
    this.end()
    this.atMs = dueMs
    this.sleep(dueMs - nowMs)
  }

  /** Something is due now. */
  ring(): void {
    this.end()
    this.overdue = !this.owner.mayDecide
    if (this.overdue) this.sleep(BLOCKED_LOOK_MS)
    else this.owner.tick()
  }

  end(): void {
    this.timer?.cancel()
    this.timer = null
    this.atMs = Infinity
    this.overdue = false
  }

  private sleep(ms: number): void {
    const sleepMs = Math.min(Math.max(ms, 0), LONGEST_SLEEP_MS)
    this.timer = this.timers.after(sleepMs * 1000, () => this.woken())
  }

  private woken(): void {
    this.timer = null
    this.atMs = Infinity
    const { dueMs, nowMs } = this.owner
    if (this.overdue || dueMs <= nowMs) this.ring()
    else this.arm()
  }
}
