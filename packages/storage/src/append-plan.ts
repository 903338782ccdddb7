import { lastOffset, maxTimestamp } from '@millrace/records'
import type { Segment } from './segment.ts'
import type { LogConfig } from './types.ts'

/** What is about to be appended, as far as rolling depends on it. */
export interface Incoming {
  readonly bytes: number
  readonly lastOffset: number
  /** Milliseconds; -1 for none. */
  readonly maxTimestamp: number
}

/**
 * Whether a new segment begins before `incoming`: it would be too large, or is too old, or its index is full, or an offset would not fit
 * into it. Age is measured by record timestamps, and by wall time where there are none.
 */
export function shouldRoll(segment: Segment, config: LogConfig, incoming: Incoming, nowMs: number): boolean {
  if (!segment.canHold(incoming.lastOffset, incoming.bytes))
    return segment.size > 0 || incoming.lastOffset - segment.baseOffset >= 2 ** 31
  if (segment.size === 0) return false
  if (segment.size + incoming.bytes > config.segmentBytes) return true
  const began = segment.firstTimestamp
  const age = began >= 0 && incoming.maxTimestamp >= 0 ? incoming.maxTimestamp - began : nowMs - segment.modifiedMs
  return age > config.segmentMs - segment.jitterMs || segment.index.isFull(config.segmentIndexBytes)
}

/** The batches that go into one segment. */
export interface AppendRun {
  readonly batches: readonly Uint8Array[]
  readonly bytes: number
  /** The base of the segment that the run begins: where the log ended then, so that segments leave no gap between them. */
  readonly baseOffset: number
}

export interface AppendTo {
  readonly active: Segment
  readonly config: LogConfig
  readonly endOffset: number
  readonly nowMs: number
}

/** Divides batches over the active segment (the first run, maybe empty) and new ones. A batch is never split. */
export function planRuns({ active, config, endOffset, nowMs }: AppendTo, batches: readonly Uint8Array[]): AppendRun[] {
  const runs: { batches: Uint8Array[]; bytes: number; baseOffset: number }[] = []
  let run = { batches: [] as Uint8Array[], bytes: 0, baseOffset: active.baseOffset }
  let next = endOffset
  runs.push(run)
  for (const batch of batches) {
    const last = lastOffset(batch, 0)
    const incoming = { bytes: run.bytes + batch.length, lastOffset: last, maxTimestamp: maxTimestamp(batch, 0) }
    const tooLarge = run.bytes > 0 && (run === runs[0] ? active.size : 0) + incoming.bytes > config.segmentBytes
    const tooFar = last - run.baseOffset >= 2 ** 31
    if (tooLarge || tooFar || (run === runs[0] && shouldRoll(active, config, incoming, nowMs))) {
      run = { batches: [], bytes: 0, baseOffset: next }
      runs.push(run)
    }
    run.batches.push(batch)
    run.bytes += batch.length
    next = last + 1
  }
  return runs
}
