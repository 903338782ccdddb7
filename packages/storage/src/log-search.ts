import { type Done, type IoError } from '@millrace/base'
import {
  baseOffset,
  batchBytes,
  codec,
  InvalidBatch,
  isLogAppendTime,
  leaderEpoch,
  maxTimestamp,
  nextOffset,
  recordCount,
  RecordReader,
  recordsSection,
} from '@millrace/records'
import { walkBatches } from './batch-walk.ts'
import type { SegmentedLog } from './partition-log.ts'
import type { Segment } from './segment.ts'
import type { TimestampHit } from './types.ts'

/** No batch inflates to more here; of one that would, the first offset is the answer. */
const INFLATE_LIMIT_BYTES = 64 * 1024 * 1024

/** Which record of a batch is looked for. */
type Wanted = (timestamp: number, offset: number) => boolean

/** Where a batch lies that a search found by its header. */
interface BatchPlace {
  readonly segment: Segment
  readonly position: number
  readonly size: number
}

/** Finds records by time: the time index says where to begin, batch headers are walked from there, and one batch is looked into. */
export class LogSearch {
  private readonly log: SegmentedLog

  constructor(log: SegmentedLog) {
    this.log = log
  }

  offsetForTimestamp(timestamp: number, done: Done<TimestampHit | null>): void {
    this.inTurn(() => this.searchFrom(0, timestamp, done))
  }

  /** The first record that has the largest timestamp of all. */
  maxTimestamp(done: Done<TimestampHit | null>): void {
    this.inTurn(() =>
      this.largest(0, -1, (error, largest) => {
        if (error !== null || largest < 0) return done(error, null)
        this.searchFrom(0, largest, done)
      }),
    )
  }

  /** Answers must not come within the call, whatever is in memory. */
  private inTurn(run: () => void): void {
    this.log.services.world.timers.after(0, run)
  }

  /** The largest timestamp of the segments from number `at` on. */
  private largest(at: number, known: number, done: Done<number>): void {
    const segment = this.log.segments[at]
    if (segment === undefined) return done(null, known)
    this.segmentMax(segment, (error, max) => {
      if (error !== null) return done(error, -1)
      this.largest(at + 1, Math.max(known, max), done)
    })
  }

  private segmentMax(segment: Segment, done: Done<number>): void {
    if (segment.size === 0) return done(null, -1)
    const { disk } = this.log.services.world
    if (!segment.writable || segment.awake) {
      const max = segment.largestTimestampNow(disk)
      if (max >= 0) return done(null, max)
    }
    let max = -1
    this.walk(
      segment,
      0,
      (bytes, at) => {
        max = Math.max(max, maxTimestamp(bytes, at))
        return true
      },
      (error) => done(error, max),
    )
  }

  private searchFrom(at: number, timestamp: number, done: Done<TimestampHit | null>): void {
    const segment = this.log.segments[at]
    if (segment === undefined) return done(null, null)
    this.segmentMax(segment, (error, max) => {
      if (error !== null) return this.retry(segment, error, () => this.searchFrom(0, timestamp, done), done)
      if (max < timestamp) return this.searchFrom(this.after(segment), timestamp, done)
      this.searchSegment(segment, timestamp, (failed, hit) => {
        if (failed !== null) return this.retry(segment, failed, () => this.searchFrom(0, timestamp, done), done)
        if (hit === null) return this.searchFrom(this.after(segment), timestamp, done)
        done(null, hit)
      })
    })
  }

  /** The number of the segment that follows, also when older ones went away meanwhile. */
  private after(segment: Segment): number {
    const at = this.log.segments.findIndex(({ baseOffset }) => baseOffset > segment.baseOffset)
    return at < 0 ? this.log.segments.length : at
  }

  // oxlint-disable-next-line max-params -- what failed, and both ways on.
  private retry(segment: Segment, error: IoError, again: () => void, done: Done<TimestampHit | null>): void {
    if (segment.removed && !this.log.closed) again()
    else done(error, null)
  }

  private searchSegment(segment: Segment, timestamp: number, done: Done<TimestampHit | null>): void {
    const { indexes } = this.log.services
    const before = segment.index.offsetBeforeTime(timestamp)
    const start = before === null ? null : segment.index.before(before)
    if (start === null)
      return indexes.load(segment, this.log.config.indexIntervalBytes, (error) => {
        if (error !== null) return done(error, null)
        this.searchSegment(segment, timestamp, done)
      })
    let found: BatchPlace | null = null
    this.walk(
      segment,
      start.position,
      (bytes, at, position, size) => {
        if (
          recordCount(bytes, at) === 0 ||
          maxTimestamp(bytes, at) < timestamp ||
          nextOffset(bytes, at) <= this.log.logStart
        )
          return true
        found = { segment, position, size }
        return false
      },
      (error) => {
        if (error !== null || found === null) return done(error, null)
        this.lookInto(found, (time, offset) => time >= timestamp && offset >= this.log.logStart, done)
      },
    )
  }

  // oxlint-disable-next-line max-params -- where a walk begins, what it does and who hears of its end.
  private walk(
    segment: Segment,
    from: number,
    visit: (bytes: Uint8Array, at: number, position: number, size: number) => boolean,
    done: Done<void>,
  ): void {
    const request = { path: segment.logPath, from, to: segment.size, checkCrc: false, visit }
    walkBatches(this.log.services.world.disk, request, (error, end) => {
      // A truncation may have taken what was being walked: what was seen until there counts.
      if (error === null && end.why === 'damage' && end.position < segment.size)
        this.log.services.world.log.warn(
          { path: segment.logPath, position: end.position, detail: end.detail },
          'search met damage',
        )
      done(error)
    })
  }

  private lookInto(place: BatchPlace, wanted: Wanted, done: Done<TimestampHit | null>): void {
    const { files } = this.log.services
    files.later(place.segment, (error, file) => {
      if (error !== null) return done(error, null)
      const bytes = new Uint8Array(place.size)
      file.read(place.position, bytes, (failed, count) => {
        if (failed !== null) return done(failed, null)
        if (count < place.size || batchBytes(bytes, 0) !== place.size) return done(null, null)
        this.inflate(bytes, wanted, done)
      })
    })
  }

  private inflate(batch: Uint8Array, wanted: Wanted, done: Done<TimestampHit | null>): void {
    const packing = codec(batch, 0)
    const whole = {
      offset: Math.max(baseOffset(batch, 0), this.log.logStart),
      timestamp: maxTimestamp(batch, 0),
      leaderEpoch: leaderEpoch(batch, 0),
    }
    if (isLogAppendTime(batch, 0) || packing === null) return done(null, whole)
    if (packing === 'none') return done(null, recordOf(batch, recordsSection(batch, 0), wanted) ?? whole)
    const section = recordsSection(batch, 0)
    this.log.services.world.compute.inflate(packing, section, INFLATE_LIMIT_BYTES, (error, inflated) => {
      // A batch that can not be inflated is answered by its first offset: nobody reads past it unseen.
      done(null, error === null ? (recordOf(batch, inflated, wanted) ?? whole) : whole)
    })
  }
}

function recordOf(batch: Uint8Array, section: Uint8Array, wanted: Wanted): TimestampHit | null {
  try {
    const reader = new RecordReader(batch, 0, section)
    while (reader.next())
      if (wanted(reader.timestamp, reader.offset))
        return { offset: reader.offset, timestamp: reader.timestamp, leaderEpoch: leaderEpoch(batch, 0) }
    return null
  } catch (error) {
    if (error instanceof InvalidBatch) return null
    throw error
  }
}
