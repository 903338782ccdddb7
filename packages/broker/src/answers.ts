import type { ErrorCode } from '@millrace/base'
import type { AppendAnswer } from './seams.ts'

interface Pending {
  readonly answer: AppendAnswer
  readonly error: ErrorCode
  readonly baseOffset: number
  readonly logStart: number
  readonly logAppendTimeMs: number
  /** Why it was refused, where the error alone does not tell. */
  readonly message?: string
}

/**
 * Answers to appends, given at the end of the turn: after the frames to the followers went out, and never inside the call that
 * asked. In the order in which they were decided.
 */
export class Answers {
  private pending: Pending[] = []
  private readonly schedule: () => void

  constructor(schedule: () => void) {
    this.schedule = schedule
  }

  fail(answer: AppendAnswer, error: ErrorCode): void {
    this.add({ answer, error, baseOffset: -1, logStart: -1, logAppendTimeMs: -1 })
  }

  refuse(answer: AppendAnswer, error: ErrorCode, message: string): void {
    this.add({ answer, error, baseOffset: -1, logStart: -1, logAppendTimeMs: -1, message })
  }

  add(pending: Pending): void {
    if (this.pending.length === 0) this.schedule()
    this.pending.push(pending)
  }

  give(): void {
    const batch = this.pending
    if (batch.length === 0) return
    this.pending = []
    for (const { answer, error, baseOffset, logStart, logAppendTimeMs, message } of batch)
      answer(error, baseOffset, logStart, logAppendTimeMs, message)
  }
}
