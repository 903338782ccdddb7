/** A broken invariant: a programmer's error. Nodes end at it, because state can no longer be trusted. */
export class BrokenInvariant extends Error {
  override readonly name = 'BrokenInvariant'
}

/** Throws {@link BrokenInvariant} unless `condition` holds. Never for bad input, which gets an error value. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new BrokenInvariant(message)
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never, what: string): never {
  throw new BrokenInvariant(`unexpected ${what}: ${JSON.stringify(value)}`)
}
