import {
  BATCH_HEADER_BYTES,
  baseOffset,
  isControl,
  lastOffset,
  leaderEpoch,
  NONE,
  producerId,
  recordCount,
  writeBatchHeader,
} from './header.ts'

/** The offsets of batches that compaction removed, ends included; all were written in one leader epoch. */
export interface Gap {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly leaderEpoch: number
}

/**
 * A batch without records and without a producer: it takes the place of the batches that compaction removed, so that the batches of a log
 * follow each other without a hole. To Kafka and its clients it is one of the empty batches that compaction may leave.
 */
export function encodeGap({ baseOffset: base, lastOffset: last, leaderEpoch: epoch }: Gap): Uint8Array {
  const batch = new Uint8Array(BATCH_HEADER_BYTES)
  writeBatchHeader(batch, {
    baseOffset: base,
    leaderEpoch: epoch,
    lastOffsetDelta: last - base,
    baseTimestamp: NONE,
    maxTimestamp: NONE,
    recordCount: 0,
  })
  return batch
}

/** Whether the batch at `at` only stands for removed ones, by its header. A gap may be divided at any offset. */
export function isGap(bytes: Uint8Array, at: number): boolean {
  return recordCount(bytes, at) === 0 && producerId(bytes, at) === NONE && !isControl(bytes, at)
}

/** The part of the gap at `at` that begins at `from`, which lies within it. */
export function restOfGap(bytes: Uint8Array, at: number, from: number): Uint8Array {
  const base = Math.max(from, baseOffset(bytes, at))
  return encodeGap({ baseOffset: base, lastOffset: lastOffset(bytes, at), leaderEpoch: leaderEpoch(bytes, at) })
}
