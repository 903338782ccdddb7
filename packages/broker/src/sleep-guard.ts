import type { Clock, Logger } from '@millrace/base'

/**
 * Notices that this process slept (was paused, or its machine was): the monotonic clock jumped by more than half a session between
 * two looks. Somebody else may lead our partitions by now, so nothing is served until the controller confirmed the broker epoch in
 * an exchange that began after the sleep.
 */
export class SleepGuard {
  private readonly clock: Clock
  private readonly log: Logger
  private readonly limitUs: number
  private readonly slept: () => void
  private lastUs: number
  private asleep = false
  /** How often this node found that it had slept. */
  sleeps = 0

  constructor(clock: Clock, log: Logger, sessionTimeoutMs: number, slept: () => void) {
    this.clock = clock
    this.log = log
    this.limitUs = (sessionTimeoutMs * 1000) / 2
    this.slept = slept
    this.lastUs = clock.monotonicUs()
  }

  /** Whether this node may serve. Called at every produce and fetch, and by the tick, which keeps the gaps of an idle node small. */
  awake(): boolean {
    const now = this.clock.monotonicUs()
    const gap = now - this.lastUs
    this.lastUs = now
    if (gap > this.limitUs) this.fallAsleep(gap)
    return !this.asleep
  }

  /** The controller confirmed the broker epoch in an exchange that began after the sleep. */
  confirmed(): void {
    if (!this.asleep) return
    this.asleep = false
    this.log.info({}, 'broker epoch confirmed after a pause, serving again')
  }

  private fallAsleep(gapUs: number): void {
    this.sleeps++
    if (!this.asleep)
      this.log.warn(
        { pausedMs: Math.round(gapUs / 1000) },
        'this node was paused: serving nothing until the controller answers',
      )
    this.asleep = true
    this.slept()
  }
}
