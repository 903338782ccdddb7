import type { Timer, World } from '@millrace/base'

/** Other work has its turn after so long. */
const TURN_US = 2000

/** When a pass goes on: never long at once, and with no more bytes per second than it may read and write. */
export class CompactionTurns {
  readonly bytesPerSecond: number
  private readonly world: World
  private beganUs: number
  /** What was read and written is paid for by then. */
  private freeUs = 0
  private waiting: { readonly timer: Timer; readonly go: () => void } | null = null
  private over = false

  constructor(world: World, bytesPerSecond: number) {
    this.world = world
    this.bytesPerSecond = bytesPerSecond
    this.beganUs = world.clock.monotonicUs()
  }

  get ended(): boolean {
    return this.over
  }

  get exhausted(): boolean {
    return this.world.clock.monotonicUs() - this.beganUs > TURN_US
  }

  /** So many bytes were read or written. */
  spent(bytes: number): void {
    this.freeUs = Math.max(this.freeUs, this.world.clock.monotonicUs()) + (bytes / this.bytesPerSecond) * 1e6
  }

  /** Goes on in a later turn, when that is paid for. */
  next(go: () => void): void {
    const wait = this.over ? 0 : Math.max(0, this.freeUs - this.world.clock.monotonicUs())
    const begin = (): void => {
      this.waiting = null
      this.beganUs = this.world.clock.monotonicUs()
      go()
    }
    this.waiting = { timer: this.world.timers.after(Math.ceil(wait), begin), go: begin }
  }

  /** Nothing is waited for any more: who goes on sees that it is over. */
  end(): void {
    this.over = true
    const { waiting } = this
    if (waiting === null) return
    waiting.timer.cancel()
    this.waiting = { timer: this.world.timers.after(0, waiting.go), go: waiting.go }
  }
}
