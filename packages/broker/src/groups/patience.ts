import type { Clock, Timer, Timers } from '@millrace/base'

interface Waiting<T> {
  readonly one: T
  readonly untilUs: number
}

/** Those who wait for a commit, each for at most so long: one list in the order of their coming, and one timer for its head. */
export class Patience<T> {
  private readonly clock: Clock
  private readonly timers: Timers
  private readonly limitUs: number
  private readonly over: (one: T) => void
  private waiting: Waiting<T>[] = []
  private timer: Timer | null = null

  /** `over` is called for everybody who came so long ago, whether they still wait or not. */
  constructor(world: { readonly clock: Clock; readonly timers: Timers }, limitMs: number, over: (one: T) => void) {
    this.clock = world.clock
    this.timers = world.timers
    this.limitUs = limitMs * 1000
    this.over = over
  }

  add(one: T): void {
    this.waiting.push({ one, untilUs: this.clock.monotonicUs() + this.limitUs })
    this.arm()
  }

  clear(): void {
    this.waiting = []
    this.timer?.cancel()
    this.timer = null
  }

  private arm(): void {
    const [head] = this.waiting
    if (this.timer !== null || head === undefined) return
    this.timer = this.timers.after(Math.max(0, head.untilUs - this.clock.monotonicUs()), () => this.rung())
  }

  private rung(): void {
    this.timer = null
    const now = this.clock.monotonicUs()
    let at = 0
    while (at < this.waiting.length && (this.waiting[at] as Waiting<T>).untilUs <= now) at++
    for (const { one } of this.waiting.splice(0, at)) this.over(one)
    this.arm()
  }
}
