import { setImmediate as scheduleImmediate } from 'node:timers'

/** The answers of things that live in memory: each runs in a later turn of the event loop, in the order of their registration. */
export class LaterTurns {
  private queue: (() => void)[] = []

  /** Runs `task` in a later turn, never inside this call. */
  later(task: () => void): void {
    this.queue.push(task)
    if (this.queue.length === 1) scheduleImmediate(this.drain)
  }

  private readonly drain = (): void => {
    const batch = this.queue
    this.queue = []
    let at = 0
    try {
      while (at < batch.length) (batch[at++] as () => void)()
    } finally {
      if (at < batch.length) {
        if (this.queue.length === 0) scheduleImmediate(this.drain)
        this.queue = batch.slice(at).concat(this.queue)
      }
    }
  }
}
