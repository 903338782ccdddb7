import type { Random } from '@millrace/base'
import { EventQueue, type Queued } from '../kernel/event-queue.ts'

interface Happening extends Queued {
  readonly run: () => void
}

/** What happens to the cores, on virtual time; events of the same microsecond in an order that the seed draws. */
export class Agenda {
  nowUs = 0
  events = 0
  private readonly queue = new EventQueue<Happening>()
  private readonly random: Random
  private order = 0

  constructor(random: Random) {
    this.random = random
  }

  after(delayUs: number, run: () => void): void {
    this.at(this.nowUs + delayUs, run)
  }

  at(atUs: number, run: () => void): void {
    this.queue.push({ atUs, tie: this.random.uint32(), order: this.order++, run })
  }

  /** Runs the next event; false when none is left. */
  step(): boolean {
    const next = this.queue.pop()
    if (next === undefined) return false
    this.events++
    this.nowUs = Math.max(this.nowUs, next.atUs)
    next.run()
    return true
  }
}
