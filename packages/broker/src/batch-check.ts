import { baseOffset, crcMatches, lastOffsetDelta, leaderEpoch, nextOffset, wholeBatchBytes } from '@millrace/records'

/** What a leader's batches must continue. */
export interface ExpectedBatches {
  /** The own log's end once everything staged is written. */
  readonly endOffset: number
  /** Epochs of batches never fall. */
  readonly lastEpoch: number
  /** The epoch of the session: a later one must not be appended under it. */
  readonly maxEpoch: number
  /** The own log is empty: where records were deleted its start may lie within the first batch. */
  readonly empty: boolean
}

export interface CheckedBatches {
  /** What is wrong, or null. */
  readonly problem: string | null
  /** One view a batch. */
  readonly batches: readonly Uint8Array[]
  readonly endOffset: number
  readonly lastEpoch: number
  readonly bytes: number
}

/**
 * Checks what a leader sent before it is written: whole batches of the one format, their CRC, offsets that continue the own log and
 * epochs that neither fall nor pass the session's. The follower trusts nothing of a frame that fails.
 */
export function checkReplicatedBatches(parts: readonly Uint8Array[], expected: ExpectedBatches): CheckedBatches {
  let { endOffset, lastEpoch } = expected
  const batches: Uint8Array[] = []
  let bytes = 0
  for (const part of parts) {
    for (let at = 0; at < part.length;) {
      const size = wholeBatchBytes(part, at)
      const problem =
        size <= 0
          ? `no whole batch at byte ${at} of ${part.length}`
          : batchProblem(part, at, { ...expected, endOffset, lastEpoch, empty: expected.empty && batches.length === 0 })
      if (problem !== null) return { problem, batches, endOffset, lastEpoch, bytes }
      batches.push(size === part.length ? part : part.subarray(at, at + size))
      endOffset = nextOffset(part, at)
      lastEpoch = leaderEpoch(part, at)
      at += size
    }
    bytes += part.length
  }
  return { problem: bytes === 0 ? 'no batch at all' : null, batches, endOffset, lastEpoch, bytes }
}

function batchProblem(part: Uint8Array, at: number, expected: ExpectedBatches): string | null {
  const base = baseOffset(part, at)
  const epoch = leaderEpoch(part, at)
  if (!Number.isSafeInteger(base) || !continues(base, nextOffset(part, at), expected))
    return `a batch at offset ${base} does not continue the log at ${expected.endOffset}`
  if (lastOffsetDelta(part, at) < 0 || !Number.isSafeInteger(nextOffset(part, at)))
    return `the batch at offset ${base} ends before it begins`
  if (epoch < expected.lastEpoch) return `the batch at offset ${base} has epoch ${epoch} after ${expected.lastEpoch}`
  if (epoch > expected.maxEpoch)
    return `the batch at offset ${base} has epoch ${epoch} in a session of ${expected.maxEpoch}`
  return crcMatches(part, at) ? null : `the batch at offset ${base} does not match its CRC`
}

/** Batches follow each other without a hole, in compacted logs too. */
function continues(base: number, next: number, { endOffset, empty }: ExpectedBatches): boolean {
  return base === endOffset || (base < endOffset && empty && next > endOffset)
}
