import type { Done } from '@millrace/base'

/** A call with a `Done` as a promise; for start and stop only. */
export function promised<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, value) => (error === null ? resolve(value) : reject(error))))
}
