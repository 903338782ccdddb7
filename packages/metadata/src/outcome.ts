import { ErrorCode } from '@millrace/base'
import type { Outcome } from './requests.ts'

/** Nothing to tell. */
export const succeeded: Outcome = Object.freeze({ error: ErrorCode.NONE, message: null })

/** Ends the decision about one part of a request; never leaves this package. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string) {
    super(message)
    this.code = code
  }

  /** What is answered; any other error is a programmer's and is thrown on. */
  static outcome(error: unknown): Outcome {
    if (error instanceof Refused) return { error: error.code, message: error.message }
    throw error
  }
}

/** The names that come more than once. */
export function duplicates(names: readonly string[]): ReadonlySet<string> {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const name of names) (seen.has(name) ? twice : seen).add(name)
  return twice
}
