import { IoError, LONG_MAX } from '@millrace/base'
import { BATCH_HEADER_BYTES, maxTimestamp } from '@millrace/records'
import type { SegmentedLog } from './partition-log.ts'
import type { Segment } from './segment.ts'

/** What of a log can be compacted now. */
export interface CompactionPlan {
  readonly log: SegmentedLog
  /** Keys from here on are dirty. */
  readonly dirtyFrom: number
  /** Those segments that may be rewritten, the first of the log first; and where the last of them ends. */
  readonly segments: readonly Segment[]
  readonly end: number
  readonly dirtyRatio: number
}

/** The log that needs compaction most, of those that do. */
export function filthiest(logs: Iterable<SegmentedLog>, nowMs: number): CompactionPlan | null {
  let best: CompactionPlan | null = null
  for (const log of logs) {
    const plan = planOf(log, nowMs)
    if (plan !== null && (best === null || plan.dirtyRatio > best.dirtyRatio)) best = plan
  }
  return best
}

/** Null where the log is not compacted, or not dirty enough. */
function planOf(log: SegmentedLog, nowMs: number): CompactionPlan | null {
  const { config } = log
  const resting = log.closed || log.quarantined !== null || log.cuts.heldBack
  if (!config.cleanupPolicy.includes('compact') || resting) return null
  const { cleanedEnd, logStart, endOffset } = log
  const dirtyFrom = cleanedEnd < logStart || cleanedEnd > endOffset ? logStart : cleanedEnd
  const count = cleanable(log, dirtyFrom, nowMs)
  const segments = log.segments.slice(0, count)
  const end = log.segments[count]?.baseOffset ?? endOffset
  const dirty = segments.filter((_, at) => endOf(log, at) > dirtyFrom)
  const [first] = dirty
  if (first === undefined) return null
  const dirtyRatio = sum(dirty) / Math.max(1, sum(segments))
  if (dirtyRatio <= config.minCleanableDirtyRatio && !isOverdue(log, first, nowMs)) return null
  return { log, dirtyFrom, segments, end, dirtyRatio }
}

/** How many segments may be rewritten: those below everything that may still change or be looked for elsewhere. */
function cleanable(log: SegmentedLog, dirtyFrom: number, nowMs: number): number {
  const bound = Math.min(log.highWatermark, log.recoveryPoint, log.promisedEnd)
  let count = 0
  while (count < log.segments.length - 1 && endOf(log, count) <= bound) {
    const segment = log.segments[count] as Segment
    if (segment.provisional || segment.held) break
    if (endOf(log, count) > dirtyFrom && isYoung(log, segment, nowMs)) break
    count++
  }
  return count
}

function endOf({ segments, endOffset }: SegmentedLog, at: number): number {
  return segments[at + 1]?.baseOffset ?? endOffset
}

function isYoung(log: SegmentedLog, segment: Segment, nowMs: number): boolean {
  const { minCompactionLagMs } = log.config
  if (minCompactionLagMs <= 0) return false
  const largest = segment.largestTimestampNow(log.services.world.disk)
  return nowMs - (largest >= 0 ? largest : segment.modifiedMs) < minCompactionLagMs
}

/** Whether the first record that is not compacted has waited for longer than the topic allows. */
function isOverdue(log: SegmentedLog, firstDirty: Segment, nowMs: number): boolean {
  const { maxCompactionLagMs } = log.config
  if (maxCompactionLagMs >= LONG_MAX) return false
  const header = new Uint8Array(BATCH_HEADER_BYTES)
  try {
    if (log.services.files.now(firstDirty).readNow(0, header) < header.length) return false
  } catch (error) {
    // Who compacts or reads it will hear of it.
    if (error instanceof IoError) return false
    throw error
  }
  const written = maxTimestamp(header, 0)
  return nowMs - (written >= 0 ? written : firstDirty.modifiedMs) > maxCompactionLagMs
}

/** All names of a group change in one turn, which must not be long. */
const MOST_MERGED = 64

/** Neighbours that become one segment: as many as the topic's segment may hold, by what they take now. */
export function groupsOf(plan: CompactionPlan, below: number): Segment[][] {
  const { segmentBytes } = plan.log.config
  const groups: Segment[][] = []
  let group: Segment[] = []
  plan.segments.forEach((segment, at) => {
    if (segment.baseOffset >= below) return
    const end = plan.segments[at + 1]?.baseOffset ?? plan.end
    const base = group[0]?.baseOffset ?? segment.baseOffset
    const few = group.length < MOST_MERGED
    const fits = few && sum(group) + segment.size <= segmentBytes && end - 1 - base < 2 ** 31
    if (group.length === 0 || !fits) groups.push((group = [segment]))
    else group.push(segment)
  })
  return groups
}

function sum(segments: readonly Segment[]): number {
  return segments.reduce((bytes, { size }) => bytes + size, 0)
}
