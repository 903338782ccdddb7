import type { Done } from '@millrace/base'
import { ioError } from './io-error.ts'

/**
 * Hands a promise's outcome to a callback, outside of the promise: what the callback throws is an uncaught exception, which ends the
 * process, and not a rejection of the work that it was told about.
 */
export function answer<T>(work: Promise<T>, path: string, done: Done<T>): void {
  work.then(
    (value) => process.nextTick(done, null, value),
    (error: unknown) => process.nextTick(done, ioError(path, error), undefined as T),
  )
}
