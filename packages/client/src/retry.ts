import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError, KafkaError, mayRetry, TimeoutError } from './errors.ts'

export interface RetryRules {
  readonly backoffMs: number
  readonly backoffMaxMs: number
  /** No try begins later than this after the first one. */
  readonly timeoutMs: number
  /** Ends the waits and the tries with `ClosedError`. */
  readonly signal: AbortSignal
}

/** The wait before try number `tries` + 1, with a spread of 20 % so that clients do not come back in step. */
export function backoff(rules: { readonly backoffMs: number; readonly backoffMaxMs: number }, tries: number): number {
  const wait = Math.min(rules.backoffMs * 2 ** Math.min(tries, 16), rules.backoffMaxMs)
  return wait * (0.8 + 0.4 * Math.random())
}

/** A signal of closing that any number of waits may listen to; aborted with the others too. */
export function closingSignal(own: AbortController, ...others: readonly AbortSignal[]): AbortSignal {
  const signal = AbortSignal.any([own.signal, ...others])
  setMaxListeners(0, signal)
  return signal
}

/**
 * Runs `attempt` again, with growing waits, while it fails with errors that may pass. Rejects with the last `KafkaError`, or with
 * `TimeoutError` when no broker answered to the end; other errors pass through at once.
 */
export async function retrying<T>(what: string, rules: RetryRules, attempt: (tries: number) => Promise<T>): Promise<T> {
  const deadline = performance.now() + rules.timeoutMs
  for (let tries = 0; ; tries++) {
    if (rules.signal.aborted) throw new ClosedError(`${what}: the client was closed`)
    try {
      return await orAborted(attempt(tries), rules.signal)
    } catch (error) {
      if (rules.signal.aborted) throw new ClosedError(`${what}: the client was closed`)
      if (!mayRetry(error)) throw error
      const wait = backoff(rules, tries)
      if (performance.now() + wait > deadline) throw givenUp(what, rules.timeoutMs, error as Error)
      await sleep(wait, undefined, { signal: rules.signal }).catch(() => undefined)
    }
  }
}

/** The same promise, or a rejection as soon as the signal is aborted: what is under way is not waited for. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(new ClosedError('the client was closed'))
    signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}

function givenUp(what: string, timeoutMs: number, last: Error): Error {
  if (last instanceof KafkaError) return last
  return Object.assign(
    new TimeoutError(`${what}: given up after ${timeoutMs} ms (retryTimeoutMs); the last try: ${last.message}`),
    { cause: last },
  )
}
