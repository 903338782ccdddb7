import type { Clock } from '@millrace/base'

/** The machine's clocks. */
export class SystemClock implements Clock {
  monotonicUs(): number {
    return Math.floor(performance.now() * 1000)
  }

  wallMs(): number {
    return Date.now()
  }
}
