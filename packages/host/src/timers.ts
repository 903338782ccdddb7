import type { Clock, Timer, Timers } from '@millrace/base'

/** The longest delay that `setTimeout` takes; a longer one is waited for in pieces. */
const LONGEST_DELAY_MS = 2 ** 31 - 1
/** How often callbacks that register callbacks extend a turn before input gets its chance again. */
const ROUNDS_PER_TURN = 16

/**
 * The event loop's timers.
 *
 * `after` has the resolution of `setTimeout`, 1 ms, and never runs early by the monotonic clock; a delay of 0 runs once the present
 * input is processed.
 *
 * `endOfTurn` is a `setImmediate`: Node runs it after the poll phase, so after the data of every socket, and the answer of every disk
 * call, that was ready in this turn of the loop. A microtask or `process.nextTick` runs between two sockets and would batch nothing. What
 * a callback registers while the batch runs still belongs to this turn, up to a bound.
 */
export class SystemTimers implements Timers {
  private readonly clock: Clock
  private pending: (() => void)[] = []
  private scheduled = false

  constructor(clock: Clock) {
    this.clock = clock
  }

  after(delayUs: number, run: () => void): Timer {
    if (delayUs <= 0) {
      const immediate = setImmediate(run)
      return { cancel: () => clearImmediate(immediate) }
    }
    return new SystemTimer(this.clock, this.clock.monotonicUs() + delayUs, run)
  }

  endOfTurn(run: () => void): void {
    this.pending.push(run)
    if (!this.scheduled) this.schedule()
  }

  private schedule(): void {
    this.scheduled = true
    setImmediate(this.runTurn)
  }

  private readonly runTurn = (): void => {
    try {
      for (let round = 0; round < ROUNDS_PER_TURN && this.pending.length > 0; round++) this.runRound()
    } finally {
      this.scheduled = false
      if (this.pending.length > 0) this.schedule()
    }
  }

  private runRound(): void {
    const batch = this.pending
    this.pending = []
    let at = 0
    try {
      while (at < batch.length) (batch[at++] as () => void)()
    } finally {
      // A callback that threw does not take the others of its batch with it.
      if (at < batch.length) this.pending = batch.slice(at).concat(this.pending)
    }
  }
}

class SystemTimer implements Timer {
  private readonly clock: Clock
  private readonly dueUs: number
  private readonly run: () => void
  private timeout: NodeJS.Timeout

  constructor(clock: Clock, dueUs: number, run: () => void) {
    this.clock = clock
    this.dueUs = dueUs
    this.run = run
    this.timeout = this.arm()
  }

  cancel(): void {
    clearTimeout(this.timeout)
  }

  private arm(): NodeJS.Timeout {
    const delayMs = Math.ceil((this.dueUs - this.clock.monotonicUs()) / 1000)
    return setTimeout(this.fire, Math.min(Math.max(delayMs, 1), LONGEST_DELAY_MS))
  }

  private readonly fire = (): void => {
    // The loop's own clock counts whole milliseconds and may be up to one ahead of ours.
    if (this.clock.monotonicUs() < this.dueUs) this.timeout = this.arm()
    else this.run()
  }
}
