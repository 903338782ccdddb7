import type { Timers } from '@millrace/base'

/** So many bytes are replayed in one turn of the event loop, whatever the number of partitions that load: some milliseconds. */
export const TURN_BYTES = 256 * 1024

/** Partitions that load take turns, so that clients are served meanwhile. */
export class LoadTurns {
  private readonly timers: Timers
  private queue: (() => number)[] = []
  private scheduled = false

  constructor(timers: Timers) {
    this.timers = timers
  }

  /** Runs a piece of work in a later turn; it returns how many bytes it went through. */
  add(work: () => number): void {
    this.queue.push(work)
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    this.timers.after(0, this.run)
  }

  private readonly run = (): void => {
    this.scheduled = false
    const { queue } = this
    this.queue = []
    let at = 0
    for (let spent = 0; at < queue.length && spent < TURN_BYTES; at++) spent += (queue[at] as () => number)()
    // What was not reached goes before what was added meanwhile.
    if (at < queue.length) this.queue = [...queue.slice(at), ...this.queue]
    if (this.queue.length > 0) this.schedule()
  }
}
