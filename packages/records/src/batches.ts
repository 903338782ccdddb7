import { BATCH_HEADER_BYTES, MAGIC, batchBytes, magic } from './header.ts'

/** What `wholeBatchBytes` says of bytes that can not be a batch of the one format. */
export const MALFORMED = -1

/**
 * The size of the whole batch at `at`: 0 when the bytes end before the batch does, {@link MALFORMED} when they can not be a
 * batch. Never reads outside of `bytes`, whatever they hold.
 */
export function wholeBatchBytes(bytes: Uint8Array, at: number): number {
  if (at + 17 > bytes.length) return 0
  const size = batchBytes(bytes, at)
  if (size < BATCH_HEADER_BYTES || magic(bytes, at) !== MAGIC) return MALFORMED
  return at + size > bytes.length ? 0 : size
}

/**
 * The whole batches of `bytes` as views, in order. Ends silently at a partial batch, which a fetch may carry at its end, and at
 * bytes that are no batch; the caller that cares compares the sum of the lengths.
 */
export function splitBatches(bytes: Uint8Array): Uint8Array[] {
  const batches: Uint8Array[] = []
  for (let at = 0; ;) {
    const size = wholeBatchBytes(bytes, at)
    if (size <= 0) return batches
    batches.push(bytes.subarray(at, at + size))
    at += size
  }
}

/** The records section of the whole batch at `at`, as it is stored (compressed when it has a codec), without copying. */
export function recordsSection(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.subarray(at + BATCH_HEADER_BYTES, at + batchBytes(bytes, at))
}
