import type { Clock } from '@millrace/base'
import type { Schedule } from '../seams.ts'

/** The wall clock at the beginning of a run: 1 January 2026. */
const EPOCH_MS = 1_767_225_600_000

/** How a machine's clocks differ from true time. */
export interface ClockErrors {
  /** Microseconds that are gained in a true second. */
  readonly driftPpm?: number
  readonly wallOffsetMs?: number
}

/** The clocks of one machine, made from the run's true time. */
export class SimClock implements Clock {
  private readonly schedule: Pick<Schedule, 'nowUs'>
  private wallOffsetMs: number
  private rate: number
  /** The monotonic clock showed `baseUs` at the true time `sinceUs`. */
  private sinceUs: number
  private baseUs: number

  constructor(schedule: Pick<Schedule, 'nowUs'>, { driftPpm = 0, wallOffsetMs = 0 }: ClockErrors = {}) {
    this.schedule = schedule
    this.wallOffsetMs = wallOffsetMs
    this.rate = 1 + driftPpm / 1e6
    this.sinceUs = schedule.nowUs
    this.baseUs = schedule.nowUs
  }

  monotonicUs(): number {
    const passed = this.schedule.nowUs - this.sinceUs
    return this.baseUs + (this.rate === 1 ? passed : Math.floor(passed * this.rate))
  }

  wallMs(): number {
    return EPOCH_MS + this.wallOffsetMs + Math.floor(this.monotonicUs() / 1000)
  }

  /** Somebody sets the wall clock, forward or back. */
  jump(byMs: number): void {
    this.wallOffsetMs += Math.round(byMs)
  }

  /** Somebody sets the wall clock to the true time. */
  setRight(): void {
    this.wallOffsetMs = Math.floor(this.schedule.nowUs / 1000) - Math.floor(this.monotonicUs() / 1000)
  }

  /** From now on the clocks run at another rate. */
  skew(driftPpm: number): void {
    this.baseUs = this.monotonicUs()
    this.sinceUs = this.schedule.nowUs
    this.rate = 1 + driftPpm / 1e6
  }

  /** The least true time until the monotonic clock has gone on by this much, at its present rate. */
  trueUs(byUs: number): number {
    return this.rate === 1 ? byUs : Math.ceil((byUs + 1) / this.rate)
  }

  /** The clocks as a process sees them that begins now: its monotonic clock counts from its own start. */
  ofProcess(): ProcessClock {
    return new ProcessClock(this)
  }
}

/** The clocks of one process. */
export class ProcessClock implements Clock {
  private readonly machine: SimClock
  private readonly startUs: number

  constructor(machine: SimClock) {
    this.machine = machine
    this.startUs = machine.monotonicUs()
  }

  monotonicUs(): number {
    return this.machine.monotonicUs() - this.startUs
  }

  wallMs(): number {
    return this.machine.wallMs()
  }

  /** The least true time until the monotonic clock has gone on by this much, at its present rate. */
  trueUs(byUs: number): number {
    return this.machine.trueUs(byUs)
  }
}
