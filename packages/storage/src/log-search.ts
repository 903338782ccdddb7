import { type Done, type IoError } from '@millrace/base'
import {
  baseOffset,
  batchBytes,
  codec,
  InvalidBatch,
  isLogAppendTime,
  lastOffset,
  leaderEpoch,
  maxTimestamp,
  nextOffset,
  recordCount,
  RecordReader,
  recordsSection,
} from '@millrace/records'
import { type VisitBatch, walkBatches, type WalkEnd, type WalkRequest } from './batch-walk.ts'
import type { SegmentedLog } from './partition-log.ts'
import { Rot, type Segment } from './segment.ts'
import type { Generation, TimestampHit } from './types.ts'
import { attempted } from './write-behind.ts'

/** No batch inflates to more here; of one that would, the first offset is the answer. */
const INFLATE_LIMIT_BYTES = 64 * 1024 * 1024
/** One that was made anew from the log and still does not fit it tells of the log. */
const MAX_REBUILDS = 1

/** Which record of a batch is looked for. */
type Wanted = (timestamp: number, offset: number) => boolean

/** Where a batch lies that a search found by its header. */
interface BatchPlace {
  readonly segment: Segment
  readonly position: number
  readonly size: number
}

/** What a search by time is about. */
interface Query {
  readonly timestamp: number
  readonly done: Done<TimestampHit | null>
  /** How often an index that lies may still be made anew. */
  rebuildsLeft: number
}

/** The search of one segment for a query. */
interface Part {
  readonly segment: Segment
  readonly query: Query
  readonly done: Done<TimestampHit | null>
}

/**
 * Finds records by time: the time index says where to begin, batches are walked from there, and one batch is looked into. Batches that are stepped over
 * are held against their CRC, for an answer says that nothing before it is that young. Rot quarantines the log, as where a read meets it. A search that a
 * truncation or the end of a segment overtook begins again.
 */
export class LogSearch {
  private readonly log: SegmentedLog

  constructor(log: SegmentedLog) {
    this.log = log
  }

  offsetForTimestamp(timestamp: number, done: Done<TimestampHit | null>): void {
    this.inTurn(() => this.search(timestamp, done))
  }

  /** The first record that has the largest timestamp of all. */
  maxTimestamp(done: Done<TimestampHit | null>): void {
    this.inTurn(() => this.searchLargest(done))
  }

  /** Answers must not come within the call, whatever is in memory. */
  private inTurn(run: () => void): void {
    this.log.services.world.timers.after(0, run)
  }

  private searchLargest(done: Done<TimestampHit | null>): void {
    const { generation } = this.log
    this.largest(0, -1, (error, largest) => {
      if (this.overtaken(generation)) return this.searchLargest(done)
      if (error !== null || largest < 0) return done(error, null)
      this.search(largest, done)
    })
  }

  /** The largest timestamp of the segments from number `at` on. */
  private largest(at: number, known: number, done: Done<number>): void {
    const segment = this.log.segments[at]
    if (segment === undefined) return done(null, known)
    this.segmentMax(segment, (error, max) => {
      if (segment.removed && !this.log.closed) return this.largest(0, -1, done)
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
    const visit: VisitBatch = (bytes, at) => {
      max = Math.max(max, maxTimestamp(bytes, at))
      return true
    }
    const suspect = this.suspect(segment)
    this.walk(segment, { from: 0, checkCrc: false, visit }, (error, end) =>
      done(error ?? (end.why === 'damage' ? suspect(rotOf(segment, end)) : null), max),
    )
  }

  private search(timestamp: number, done: Done<TimestampHit | null>): void {
    const { generation } = this.log
    const answer: Done<TimestampHit | null> = (error, hit) => {
      if (this.overtaken(generation)) this.search(timestamp, done)
      else done(error, hit)
    }
    this.searchFrom(0, { timestamp, done: answer, rebuildsLeft: MAX_REBUILDS })
  }

  /** What was cut since then may have been walked, and what took its place passed by. */
  private overtaken(generation: Generation): boolean {
    return this.log.generation !== generation && !this.log.closed
  }

  private searchFrom(at: number, query: Query): void {
    const segment = this.log.segments[at]
    if (segment === undefined) return query.done(null, null)
    this.segmentMax(segment, (error, max) => {
      if (error !== null || segment.removed) return this.stopped(segment, error, query)
      if (max < query.timestamp) return this.searchFrom(this.after(segment), query)
      const done: Done<TimestampHit | null> = (failed, hit) => {
        if (failed !== null || segment.removed) return this.stopped(segment, failed, query)
        if (hit === null) return this.searchFrom(this.after(segment), query)
        query.done(null, hit)
      }
      this.searchSegment({ segment, query, done })
    })
  }

  /** The number of the segment that follows, also when older ones went away meanwhile. */
  private after(segment: Segment): number {
    const at = this.log.segments.findIndex(({ baseOffset }) => baseOffset > segment.baseOffset)
    return at < 0 ? this.log.segments.length : at
  }

  /** Of a segment that went away meanwhile nothing counts. */
  private stopped(segment: Segment, error: IoError | null, query: Query): void {
    if (segment.removed && !this.log.closed) this.searchFrom(0, query)
    else query.done(error, null)
  }

  private searchSegment(part: Part): void {
    const { segment, query, done } = part
    const { timestamp } = query
    const before = segment.index.offsetBeforeTime(timestamp)
    const start = before === null ? null : segment.index.before(before)
    if (start === null) return this.withIndex('load', part)
    let found: BatchPlace | null = null
    let first = -1
    const visit: VisitBatch = (bytes, at, position, size) => {
      if (position === start.position) first = segment.relative(lastOffset(bytes, at))
      const isSought = recordCount(bytes, at) > 0 && maxTimestamp(bytes, at) >= timestamp
      if (!isSought || nextOffset(bytes, at) <= this.log.logStart) return true
      found = { segment, position, size }
      return false
    }
    const suspect = this.suspect(segment)
    this.walk(segment, { from: start.position, checkCrc: true, visit }, (error, end) => {
      if (error !== null) return done(error, null)
      const isAsIndexed = start.lastOffset < 0 || first === start.lastOffset
      if (!isAsIndexed && query.rebuildsLeft-- > 0) return this.withIndex('rebuild', part)
      if (end.why === 'damage') return done(suspect(rotOf(segment, end)), null)
      if (found === null) return done(null, null)
      this.lookInto(found, (time, offset) => time >= timestamp && offset >= this.log.logStart, done)
    })
  }

  /** Goes on with a segment once its index is there. */
  private withIndex(how: 'load' | 'rebuild', part: Part): void {
    const { segment, done } = part
    const suspect = this.suspect(segment)
    this.log.services.indexes[how](segment, this.log.config.indexIntervalBytes, (error) => {
      if (error === null) this.searchSegment(part)
      else done(suspect(error), null)
    })
  }

  /** Takes errors of what begins now: where it is rot, and nothing was cut or removed meanwhile, it quarantines the log. */
  private suspect(segment: Segment): (error: IoError) => IoError {
    const { log } = this
    const { generation } = log
    return (error) => {
      if (error instanceof Rot && log.generation === generation && !segment.removed) log.quarantine(error.message)
      return error
    }
  }

  private walk(
    segment: Segment,
    { from, checkCrc, visit }: Pick<WalkRequest, 'from' | 'checkCrc' | 'visit'>,
    done: Done<WalkEnd>,
  ): void {
    const unwritten = segment === this.log.active ? attempted(() => this.log.writer.writeOut()) : null
    if (unwritten !== null) return done(unwritten, { position: from, why: 'stopped', detail: '' })
    const request = { path: segment.logPath, from, to: segment.size, checkCrc, visit }
    walkBatches(this.log.services.world.disk, request, done)
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

function rotOf({ logPath }: Segment, { detail, position }: WalkEnd): Rot {
  return new Rot(logPath, `${detail}, at byte ${position}`)
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
