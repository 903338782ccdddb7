import type { SegmentedLog } from './partition-log.ts'
import type { Segment } from './segment.ts'

/**
 * How many of the oldest segments are past retention: those below the log start; with the delete policy also the oldest ones for as
 * long as the rest has `retention.bytes`, and those whose last record is older than `retention.ms`. Only whole segments below the
 * watermark, and none after the first that stays. Equal to the number of segments when even the active one may go.
 */
export function retainedFrom(log: SegmentedLog, highWatermark: number, nowMs: number): number {
  const { segments, config } = log
  const deletes = config.cleanupPolicy.includes('delete')
  let excess = deletes && config.retentionBytes >= 0 ? log.sizeBytes - config.retentionBytes : -1
  let count = 0
  for (const segment of segments) {
    const successor = segments[count + 1]
    const end = successor?.baseOffset ?? log.endOffset
    if (end > highWatermark || (successor === undefined && segment.size === 0)) break
    const belowStart = successor !== undefined && end <= log.logStart
    const overSize = excess >= 0 && excess >= segment.size
    if (!belowStart && !overSize && !(deletes && isExpired(log, segment, nowMs))) break
    excess -= segment.size
    count++
  }
  return count
}

function isExpired(log: SegmentedLog, segment: Segment, nowMs: number): boolean {
  const { retentionMs } = log.config
  if (retentionMs < 0) return false
  const { disk } = log.services.world
  const largest = segment.largestTimestampNow(disk)
  // Records without timestamps are as old as their file.
  if (nowMs - (largest >= 0 ? largest : segment.modifiedMs) <= retentionMs) return false
  // The index has no checksum, and what it says would cost the records of all replicas.
  return nowMs - segment.lastTimestampNow(disk) > retentionMs
}
