import type { Done, Timer, Timers } from '@millrace/base'

/** A checkpoint begins at the latest so long after the first change that the one before did not cover: a restart replays little. */
const LONGEST_US = 60_000_000
/** A checkpoint that a full disk refused is tried again after this. */
const RETRY_US = 1_000_000

/** When a journal's checkpoints are made, and what they make superfluous. One runs at a time. */
export class JournalCheckpoints {
  /** No replay needs a group with a smaller number, once a group that says so is on disk. */
  firstNeeded = 1
  private readonly timers: Timers
  private readonly run: (done: Done<void>) => void
  private readonly firstUnwritten: () => number
  private timer: Timer | null = null
  private running = false
  private asked = false
  private uncovered = false
  private ended = false

  /** `firstUnwritten` tells the first group that is not on disk: whatever is in an earlier one was done to the log's files before now. */
  constructor(timers: Timers, run: (done: Done<void>) => void, firstUnwritten: () => number) {
    this.timers = timers
    this.run = run
    this.firstUnwritten = firstUnwritten
  }

  /** Something was added to the journal. */
  changed(): void {
    this.uncovered = true
    if (this.timer === null && !this.running) this.wait(LONGEST_US)
  }

  /** A checkpoint begins, at the latest when the one that runs has ended. */
  due(): void {
    if (this.running) this.asked = true
    else this.begin()
  }

  end(): void {
    this.ended = true
    this.timer?.cancel()
  }

  private wait(us: number): void {
    this.timer = this.timers.after(us, () => this.begin())
  }

  private begin(): void {
    if (this.ended) return
    this.timer?.cancel()
    this.timer = null
    this.running = true
    this.asked = false
    this.uncovered = false
    const covered = this.firstUnwritten()
    this.run((error) => {
      this.running = false
      if (this.ended) return
      if (error === null) this.firstNeeded = covered
      if (error !== null) this.wait(RETRY_US)
      else if (this.asked) this.begin()
      else if (this.uncovered) this.wait(LONGEST_US)
    })
  }
}
