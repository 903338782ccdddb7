import type { Done } from '@millrace/base'

/** One rule of an interface, as a program that rejects when the implementation breaks it. */
export interface ContractCase {
  /** A sentence. */
  readonly name: string
  run(): Promise<void>
}

/**
 * What a contract suite needs beside the implementation. In a simulator `until` steps the simulation; on real machines it waits. It
 * rejects when the condition does not come to hold within its bound.
 */
export interface ContractHost {
  until(condition: () => boolean, what: string): Promise<void>
  /** Takes down what `make` set up. */
  end(): Promise<void>
}

/** Lets the real event loop run until the condition holds, at most `limitMs`. */
export async function untilReal(condition: () => boolean, what: string, limitMs = 10_000): Promise<void> {
  const deadline = performance.now() + limitMs
  for (let turn = 0; !condition(); turn++) {
    if (performance.now() > deadline) throw new Error(`still waiting for ${what} after ${limitMs} ms`)
    if (turn < 50) await new Promise((resolve) => setImmediate(resolve))
    else await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Makes one call and gives its value; rejects with its error, or when the answer came twice or inside the call. */
export async function ask<T>(host: ContractHost, call: (done: Done<T>) => void): Promise<T> {
  let inside = true
  let answer: { readonly error: Error | null; readonly value: T } | null = null
  call((error, value) => {
    if (inside) throw new Error('the answer came inside the call that registered it')
    if (answer !== null) throw new Error('the answer came twice')
    answer = { error, value }
  })
  inside = false
  await host.until(() => answer !== null, 'an answer')
  const { error, value } = answer as unknown as { readonly error: Error | null; readonly value: T }
  if (error !== null) throw error
  return value
}

/** Whether calls of a suite reject with an `IoError` of this code: for `assert.rejects`. */
export function withCode(code: string): { code: string; name: string } {
  return { code, name: 'IoError' }
}

/** Builds the cases of a suite: each gets a host of its own, which is ended whatever happens. */
export function contractCases<H extends ContractHost>(
  make: () => Promise<H>,
  rules: Readonly<Record<string, (host: H) => Promise<void>>>,
): ContractCase[] {
  return Object.entries(rules).map(([name, rule]) => ({
    name,
    run: async () => {
      const host = await make()
      try {
        await rule(host)
      } finally {
        await host.end()
      }
    },
  }))
}
