import type { Random } from '@millrace/base'

const FIRST_US = 50_000
const LONGEST_US = 1_000_000

/** Delays between attempts: from 50 ms doubling to 1 s, each spread by up to a quarter so that nodes do not dial in step. */
export class Backoff {
  private readonly random: Random
  private delayUs = FIRST_US

  constructor(random: Random) {
    this.random = random
  }

  /** The delay before the next attempt, in microseconds. */
  nextUs(): number {
    const delay = this.delayUs
    this.delayUs = Math.min(LONGEST_US, delay * 2)
    return delay - this.random.below(Math.floor(delay / 4))
  }

  /** The last attempt was good. */
  reset(): void {
    this.delayUs = FIRST_US
  }
}
