import type { Clock, LogFields, Logger } from './world.ts'

const INTERVAL_US = 10_000_000

/**
 * Lines that a hostile or broken client can cause at will: one per kind in ten seconds, with the number left out as `suppressed`. Kinds are
 * kept for good, so there must be few of them.
 */
export class SteadyLog {
  private readonly log: Logger
  private readonly clock: Clock
  private readonly kinds = new Map<string, { untilUs: number; suppressed: number }>()

  constructor(log: Logger, clock: Clock) {
    this.log = log
    this.clock = clock
  }

  warn(kind: string, fields: LogFields, event: string): void {
    const told = this.admit(kind, fields)
    if (told !== null) this.log.warn(told, event)
  }

  error(kind: string, fields: LogFields, event: string): void {
    const told = this.admit(kind, fields)
    if (told !== null) this.log.error(told, event)
  }

  /** The fields to log, or null when the kind had its line. */
  private admit(kind: string, fields: LogFields): LogFields | null {
    const now = this.clock.monotonicUs()
    const seen = this.kinds.get(kind)
    if (seen !== undefined && now < seen.untilUs) {
      seen.suppressed++
      return null
    }
    this.kinds.set(kind, { untilUs: now + INTERVAL_US, suppressed: 0 })
    const suppressed = seen?.suppressed ?? 0
    return suppressed === 0 ? fields : { ...fields, suppressed }
  }
}
