/**
 * Time as the ticks tell it. A node that slept sees one late tick: it counts as one tick, however long the sleep, and nobody is
 * judged by it, because what arrived during the sleep is still waiting to be read.
 */
export class TickClock {
  nowUs = 0
  private readonly longestTickUs: number
  private lastUs: number | null = null

  constructor(longestTickUs: number) {
    this.longestTickUs = longestTickUs
  }

  /** Whether others may be judged at this tick. */
  tick(nowUs: number): boolean {
    const passed = this.lastUs === null ? 0 : Math.max(0, nowUs - this.lastUs)
    this.lastUs = nowUs
    this.nowUs += Math.min(passed, this.longestTickUs)
    return passed <= this.longestTickUs
  }
}

/** Doubling delays between attempts. Microseconds. */
export class Backoff {
  retryAtUs = 0
  attempts = 0
  private readonly firstUs: number
  private readonly longestUs: number

  constructor(firstUs: number, longestUs: number) {
    this.firstUs = firstUs
    this.longestUs = longestUs
  }

  failed(nowUs: number): void {
    this.retryAtUs = nowUs + Math.min(this.firstUs * 2 ** Math.min(this.attempts, 30), this.longestUs)
    this.attempts += 1
  }

  succeeded(): void {
    this.attempts = 0
    this.retryAtUs = 0
  }
}
