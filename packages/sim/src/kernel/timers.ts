import type { Random, Timer, Timers } from '@millrace/base'
import type { Life, Schedule } from '../seams.ts'
import type { ProcessClock } from './clock.ts'

/** An event loop looks at its timers when it gets to it. */
const LATE_US = 1000

/** One process's timers, by its own clock. */
export class SimTimers implements Timers {
  private readonly schedule: Schedule
  private readonly life: Life
  private readonly clock: ProcessClock
  private readonly random: Random

  // oxlint-disable-next-line max-params -- what a process has.
  constructor(schedule: Schedule, life: Life, clock: ProcessClock, random: Random) {
    this.schedule = schedule
    this.life = life
    this.clock = clock
    this.random = random
  }

  /** A delay of 0 is the next turn of the loop, in order; time goes on all the same, so that a loop of them ends. */
  after(delayUs: number, run: () => void): Timer {
    if (delayUs <= 0) return this.schedule.post(1, this.life, run, this.life.name)
    return new SimTimer(this, this.clock.monotonicUs() + Math.ceil(delayUs), run)
  }

  endOfTurn(run: () => void): void {
    this.schedule.endOfTurn(this.life, run)
  }

  /** For timers: wakes it when it is due, or a little later. */
  arm(dueUs: number, wake: () => void): Timer {
    const delayUs = this.clock.trueUs(dueUs - this.clock.monotonicUs())
    return this.schedule.post(delayUs + this.random.below(LATE_US), this.life, wake)
  }

  isDue(dueUs: number): boolean {
    return this.clock.monotonicUs() >= dueUs
  }
}

class SimTimer implements Timer {
  private readonly timers: SimTimers
  private readonly dueUs: number
  private readonly run: () => void
  private timer: Timer

  constructor(timers: SimTimers, dueUs: number, run: () => void) {
    this.timers = timers
    this.dueUs = dueUs
    this.run = run
    this.timer = timers.arm(dueUs, this.wake)
  }

  cancel(): void {
    this.timer.cancel()
  }

  /** The clock may have been slowed down meanwhile. */
  private readonly wake = (): void => {
    if (this.timers.isDue(this.dueUs)) this.run()
    else this.timer = this.timers.arm(this.dueUs, this.wake)
  }
}
