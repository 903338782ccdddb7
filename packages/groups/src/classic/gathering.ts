/** The time in which members may join a rebalance. */
export class Gathering {
  dueMs: number
  /** The first rebalance of an empty group: it waits for those who start at the same time. */
  readonly isInitial: boolean
  /** A member joined since the time was last extended. */
  newcomers = false
  private delayMs: number
  /** By how much it may be extended yet. */
  private remainingMs: number

  private constructor(dueMs: number, isInitial: boolean, delayMs: number, remainingMs: number) {
    this.dueMs = dueMs
    this.isInitial = isInitial
    this.delayMs = delayMs
    this.remainingMs = remainingMs
  }

  /** At most until then, and no longer than it takes all members to join. */
  static untilMs(dueMs: number): Gathering {
    return new Gathering(dueMs, false, 0, 0)
  }

  /** For `delayMs`, extended by as much while members come, to `timeoutMs` in all. */
  static initial(nowMs: number, delayMs: number, timeoutMs: number): Gathering {
    return new Gathering(nowMs + delayMs, true, delayMs, Math.max(timeoutMs - delayMs, 0))
  }

  /** At `dueMs`: false when the time is over. */
  extend(nowMs: number): boolean {
    if (!this.newcomers || this.remainingMs === 0) return false
    const delayMs = Math.min(this.delayMs, this.remainingMs)
    this.newcomers = false
    this.remainingMs -= delayMs
    this.delayMs = delayMs
    this.dueMs = nowMs + delayMs
    return true
  }
}
