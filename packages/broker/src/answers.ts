import type { ErrorCode } from '@millrace/base'
import type { AppendAnswer } from './seams.ts'

interface Pending {
  readonly answer: AppendAnswer
  readonly error: ErrorCode
  readonly baseOffset: number
  readonly logStart: number
  readonly logAppendTimeMs: number
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

  add(pending: Pending): void {
    if (this.pending.length === 0) this.schedule()
    this.pending.push(pending)
  }

  give(): void {
    const batch = this.pending
    if (batch.length === 0) return
    this.pending = []
    for (const { answer, error, baseOffset, logStart, logAppendTimeMs } of batch)
      answer(error, baseOffset, logStart, logAppendTimeMs)
  }
}
