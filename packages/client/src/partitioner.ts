const M = 0x5bd1e995

/** Murmur2 of `bytes[from, to)` as Kafka's Java client computes it; an int32. */
export function murmur2(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
  const length = to - from
  let hash = 0x9747b28c ^ length
  const whole = from + (length & ~3)
  for (let at = from; at < whole; at += 4) {
    let word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    word = Math.imul(word, M)
    word = Math.imul(word ^ (word >>> 24), M)
    hash = Math.imul(hash, M) ^ word
  }
  const rest = to - whole
  if (rest >= 3) hash ^= (bytes[whole + 2] as number) << 16
  if (rest >= 2) hash ^= (bytes[whole + 1] as number) << 8
  if (rest >= 1) hash = Math.imul(hash ^ (bytes[whole] as number), M)
  hash = Math.imul(hash ^ (hash >>> 13), M)
  return hash ^ (hash >>> 15)
}

/** The partition of a key: equal to what Kafka's default partitioner chooses, so clients of all kinds agree. */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}
