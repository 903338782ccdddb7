import { SendAllError } from './errors.ts'
import type { Waiter } from './producer-batch.ts'
import type { SentRecord } from './records.ts'

/** The promise of one `send`. */
export class OneOutcome implements Waiter {
  private readonly resolve: (record: SentRecord) => void
  private readonly reject: (error: Error) => void

  constructor(resolve: (record: SentRecord) => void, reject: (error: Error) => void) {
    this.resolve = resolve
    this.reject = reject
  }

  sent(_place: number, record: SentRecord): void {
    this.resolve(record)
  }

  failed(_place: number, error: Error): void {
    this.reject(error)
  }
}

/** The promise of one `sendAll`: settled when all of its records are. */
export class AllOutcomes implements Waiter {
  private readonly outcomes: (SentRecord | Error)[]
  private readonly resolve: (records: readonly SentRecord[]) => void
  private readonly reject: (error: Error) => void
  private left: number
  private failures = 0

  constructor(count: number, resolve: (records: readonly SentRecord[]) => void, reject: (error: Error) => void) {
    this.outcomes = Array.from({ length: count })
    this.left = count
    this.resolve = resolve
    this.reject = reject
  }

  sent(place: number, record: SentRecord): void {
    this.outcomes[place] = record
    this.settleOne()
  }

  failed(place: number, error: Error): void {
    this.outcomes[place] = error
    this.failures++
    this.settleOne()
  }

  private settleOne(): void {
    if (--this.left > 0) return
    if (this.failures === 0) this.resolve(this.outcomes as SentRecord[])
    else this.reject(new SendAllError(this.outcomes))
  }
}
