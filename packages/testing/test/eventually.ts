import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until `look` gives something other than null; throws with `what` after the time is over. */
export async function eventually<T>(
  what: string,
  look: () => T | null | Promise<T | null>,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== null) return found
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await sleep(20)
  }
}
