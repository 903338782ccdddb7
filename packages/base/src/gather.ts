/** Copies parts one after another into `into`, which has room for them, from `at` on. Returns `into`. */
export function gatherInto<B extends Uint8Array>(into: B, parts: readonly Uint8Array[], at = 0): B {
  let end = at
  for (const part of parts) {
    into.set(part, end)
    end += part.length
  }
  return into
}

/** Parts as one run of bytes: a copy, except of a single part, which is returned as it is. */
export function gathered(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0] as Uint8Array
  return gatherInto(new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0)), parts)
}
