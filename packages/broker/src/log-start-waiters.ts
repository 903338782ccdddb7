import { ErrorCode } from '@millrace/base'

interface Waiter {
  readonly offset: number
  readonly done: (error: ErrorCode, lowWatermark: number) => void
}

/** Deletions of records that wait until every in-sync replica has moved its log start. Few at a time. */
export class LogStartWaiters {
  private waiters: Waiter[] = []

  get empty(): boolean {
    return this.waiters.length === 0
  }

  add(offset: number, done: (error: ErrorCode, lowWatermark: number) => void): void {
    this.waiters.push({ offset, done })
  }

  passed(lowWatermark: number): void {
    if (this.waiters.length === 0) return
    const ready = this.waiters.filter(({ offset }) => offset <= lowWatermark)
    this.waiters = this.waiters.filter(({ offset }) => offset > lowWatermark)
    for (const { done } of ready) done(ErrorCode.NONE, lowWatermark)
  }

  failAll(error: ErrorCode): void {
    const waiters = this.waiters
    this.waiters = []
    for (const { done } of waiters) done(error, -1)
  }
}
