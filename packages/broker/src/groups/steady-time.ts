import type { Clock } from '@millrace/base'

/** The most of the elapsed time by which the steady clock goes faster or slower than the monotonic one. */
const SLEW = 0.1

/**
 * Wall time that sessions can be measured by. It advances with the monotonic clock and approaches the wall clock slowly, so that a jump of
 * the latter never ends anybody's session; it never goes back.
 */
export class SteadyTime {
  private readonly clock: Clock
  private lastUs: number
  private valueMs: number

  constructor(clock: Clock) {
    this.clock = clock
    this.lastUs = clock.monotonicUs()
    this.valueMs = clock.wallMs()
  }

  /** Whole milliseconds since 1970. */
  nowMs(): number {
    const us = this.clock.monotonicUs()
    const elapsedMs = Math.max(0, us - this.lastUs) / 1000
    this.lastUs = us
    const behindMs = this.clock.wallMs() - (this.valueMs + elapsedMs)
    const slewMs = Math.min(Math.max(behindMs, -SLEW * elapsedMs), SLEW * elapsedMs)
    this.valueMs += elapsedMs + slewMs
    return Math.floor(this.valueMs)
  }
}
