import type { Timer, Timers } from '@millrace/base'

/** Runs a long piece of work in slices, each in a turn of the event loop of its own, so that clients are served in between. */
export class Slices {
  private readonly timers: Timers
  private timer: Timer | null = null

  constructor(timers: Timers) {
    this.timers = timers
  }

  /** Takes `work` to its end, at least `size` of what it yields (which counts what it did) in a turn, then calls `done`. One piece of work at a time. */
  run(work: Iterator<number>, size: number, done: () => void): void {
    let spent = 0
    while (spent < size) {
      const step = work.next()
      if (step.done === true) return done()
      spent += step.value
    }
    this.timer = this.timers.after(0, () => this.run(work, size, done))
  }

  end(): void {
    this.timer?.cancel()
  }
}
