import { assert, type Done, IoError, type Uuid } from '@millrace/base'
import { baseOffset, leaderEpoch, maxTimestamp, nextOffset } from '@millrace/records'
import { type AppendRun, planRuns, shouldRoll } from './append-plan.ts'
import { EpochHistory } from './epoch-history.ts'
import { DELETED_FILE } from './file-names.ts'
import { markQuarantined } from './quarantine.ts'
import { LogReads } from './log-reads.ts'
import { retainedFrom } from './log-retention.ts'
import { LogSearch } from './log-search.ts'
import type { LogServices } from './log-services.ts'
import { LogSync } from './log-sync.ts'
import { Segment, type SegmentSources } from './segment.ts'
import { LogTail } from './tail-cache.ts'
import type { EpochEnd, Generation, LogConfig, LogEvents, LogSlice, PartitionLog, TimestampHit } from './types.ts'

/** What is known of a log when its object is made: from its creation, or from the checkpoints and its recovery. */
export interface LogState {
  readonly topic: string
  readonly topicId: Uuid
  readonly partition: number
  readonly folder: string
  /** At least one, by base offset. */
  readonly segments: Segment[]
  readonly epochs: EpochHistory
  readonly logStart: number
  readonly endOffset: number
  readonly durableEnd: number
  readonly highWatermark: number
  readonly quarantined: string | null
}

const SILENT: LogEvents = { durable: () => undefined, failed: () => undefined }

/** A partition's log in Kafka's segment files; see {@link PartitionLog} for the contract. */
export class SegmentedLog implements PartitionLog {
  readonly topic: string
  readonly topicId: Uuid
  readonly partition: number
  /** The path of the folder, while the log is open. */
  readonly folder: string
  readonly services: LogServices
  readonly epochs: EpochHistory
  readonly tail: LogTail
  segments: Segment[]
  config: LogConfig
  events: LogEvents = SILENT
  logStart: number
  endOffset: number
  durableEnd: number
  generation: Generation = 0
  sizeBytes: number
  highWatermark: number
  quarantined: string | null
  closed = false
  private stopped = false
  /** The epoch history's version that its checkpoint has. */
  epochsWritten = 0
  private readonly sync: LogSync
  private readonly reads: LogReads
  private readonly search: LogSearch

  constructor(services: LogServices, state: LogState, config: LogConfig) {
    this.services = services
    this.topic = state.topic
    this.topicId = state.topicId
    this.partition = state.partition
    this.folder = state.folder
    this.segments = state.segments
    this.epochs = state.epochs
    this.logStart = state.logStart
    this.endOffset = state.endOffset
    this.durableEnd = state.durableEnd
    this.highWatermark = state.highWatermark
    this.quarantined = state.quarantined
    this.config = config
    this.sizeBytes = state.segments.reduce((sum, segment) => sum + segment.size, 0)
    this.tail = new LogTail(services.tails)
    this.sync = new LogSync(this)
    this.reads = new LogReads(this)
    this.search = new LogSearch(this)
    this.active.writable = true
  }

  get active(): Segment {
    return this.segments.at(-1) as Segment
  }

  get lastEpoch(): number {
    return this.epochs.lastEpoch
  }

  /**
   * Everything below is on disk, and no truncation of a sound cluster goes below: what recovery may hold against this log. Not the durable
   * end, because a follower's truncation goes below that, and a crash before the next checkpoint would look like rot.
   */
  get recoveryPoint(): number {
    if (this.sync.beginsAnew) return 0
    return Math.max(Math.min(this.durableEnd, this.highWatermark), 0)
  }

  /** The watermark as a checkpoint may tell it. */
  get promisedWatermark(): number {
    return this.sync.beginsAnew ? 0 : Math.max(this.highWatermark, 0)
  }

  get sources(): SegmentSources {
    const { world, files } = this.services
    return { disk: world.disk, files, indexIntervalBytes: this.config.indexIntervalBytes }
  }

  configure(config: LogConfig): void {
    this.config = config
    for (const segment of this.segments) segment.jitterMs = Math.min(segment.jitterMs, config.segmentJitterMs)
  }

  attach(events: LogEvents): void {
    this.events = events
  }

  append(batches: readonly Uint8Array[], nowMs: number): void {
    const first = batches[0]
    if (first === undefined) return
    this.checkWritable()
    let bytes = 0
    let next = this.endOffset
    let epoch = this.lastEpoch
    let timestamp = -1
    for (const batch of batches) {
      assert(
        baseOffset(batch, 0) >= next,
        `a batch at ${baseOffset(batch, 0)} is appended to a log that ends at ${next}`,
      )
      assert(leaderEpoch(batch, 0) >= epoch, `a batch of epoch ${leaderEpoch(batch, 0)} follows one of ${epoch}`)
      bytes += batch.length
      epoch = leaderEpoch(batch, 0)
      timestamp = Math.max(timestamp, maxTimestamp(batch, 0))
      next = nextOffset(batch, 0)
    }
    if (!this.active.awake) this.active.wake(this.sources, this.endOffset)
    const incoming = { bytes, lastOffset: next - 1, maxTimestamp: timestamp }
    this.guardSpace(() => {
      if (shouldRoll(this.active, this.config, incoming, nowMs)) this.appendRolling(batches, nowMs)
      else this.appendHere(batches)
    })
    this.endOffset = next
    this.sizeBytes += bytes
    this.tail.add(batches.slice(), baseOffset(first, 0), next)
    this.services.space.wrote(bytes)
    this.sync.wrote(this.active)
  }

  private guardSpace(write: () => void): void {
    try {
      write()
    } catch (error) {
      if (error instanceof IoError && error.code === 'ENOSPC') this.services.space.ranOut()
      throw error
    }
  }

  private appendHere(batches: readonly Uint8Array[]): void {
    const { active } = this
    this.services.files.now(active).appendNow(batches)
    this.count(active, batches)
  }

  private count(segment: Segment, batches: readonly Uint8Array[]): void {
    const interval = this.config.indexIntervalBytes
    for (const batch of batches) {
      const epoch = leaderEpoch(batch, 0)
      if (epoch > this.epochs.lastEpoch) this.epochs.assign(epoch, baseOffset(batch, 0))
      segment.added(batch, 0, batch.length, interval)
    }
    if (segment.index.wantsSpill) this.spill(segment)
  }

  /** Writes all runs before anything is counted, so that a failure of any leaves the log as it was. */
  private appendRolling(batches: readonly Uint8Array[], nowMs: number): void {
    const [here, ...runs] = planRuns(
      { active: this.active, config: this.config, endOffset: this.endOffset, nowMs },
      batches,
    ) as [AppendRun, ...AppendRun[]]
    const { active } = this
    const fresh: Segment[] = []
    try {
      for (const run of runs) fresh.push(this.makeSegment(run.baseOffset, nowMs))
      if (here.batches.length > 0) this.services.files.now(active).appendNow(here.batches)
      runs.forEach((run, at) => this.services.files.now(fresh[at] as Segment).appendNow(run.batches))
    } catch (error) {
      this.undo(active, fresh)
      throw error
    }
    this.count(active, here.batches)
    runs.forEach((run, at) => {
      this.roll(fresh[at] as Segment)
      this.count(fresh[at] as Segment, run.batches)
    })
  }

  /** An empty segment with its file made; it is not part of the log yet. Throws `IoError`. */
  private makeSegment(base: number, nowMs: number): Segment {
    const { world, files } = this.services
    const segment = Segment.empty(this.folder, base, nowMs)
    segment.writable = true
    segment.jitterMs =
      this.config.segmentJitterMs > 0 ? world.random.below(Math.min(this.config.segmentJitterMs, 2 ** 31)) : 0
    files.keep(segment, world.disk.openNow(segment.logPath, 'create'))
    return segment
  }

  private undo(active: Segment, fresh: readonly Segment[]): void {
    const { files } = this.services
    try {
      const file = files.now(active)
      if (file.size > active.size) file.truncateNow(active.size)
      for (const segment of fresh) this.discardFiles(segment)
    } catch (error) {
      // Bytes that nobody knows of may be in the log now: nothing may follow them.
      this.services.fail(error as IoError)
    }
  }

  /** The new segment gets the appends from now on. */
  private roll(fresh: Segment): void {
    const old = this.active
    old.index.finish()
    this.spill(old)
    old.indexDirty = true
    old.writable = false
    this.sync.wrote(old)
    this.sync.folderChanged()
    this.segments.push(fresh)
  }

  /** An index is a cache: when its file can not be written its entries stay in memory. */
  private spill(segment: Segment): void {
    try {
      segment.index.spill(this.services.world.disk)
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      this.services.world.log.warn({ path: segment.logPath, error }, 'index not written')
    }
  }

  beginEpoch(epoch: number): void {
    this.epochs.assign(epoch, this.endOffset)
  }

  epochEnd(epoch: number): EpochEnd | null {
    return this.epochs.epochEnd(epoch, this.endOffset)
  }

  read(from: number, maxBytes: number, below: number, done: Done<LogSlice>): LogSlice | null {
    return this.reads.read(from, maxBytes, below, done)
  }

  truncate(offset: number): void {
    this.checkServed()
    if (offset < this.logStart) return this.restart(offset)
    this.generation++
    this.sync.truncated()
    // No record goes, but an epoch that was begun here without one does: what is appended next may be of an earlier epoch.
    if (offset >= this.endOffset) return this.epochs.truncateEnd(this.endOffset)
    this.removeSegments(this.segments.findIndex((segment, at) => at > 0 && segment.baseOffset >= offset))
    const { active } = this
    active.writable = true
    const cut = active.cutAt(this.sources, offset)
    this.services.files.now(active).truncateNow(cut.position)
    this.sizeBytes -= active.size - cut.position
    active.size = cut.position
    this.moveEnd(Math.min(cut.endOffset, offset))
  }

  /** Takes the segments from this place on out of the log, the last first, so that no moment has a gap before a segment. */
  private removeSegments(from: number): void {
    if (from < 0) return
    for (let at = this.segments.length - 1; at >= from; at--) this.removeSegment(at)
  }

  private removeSegment(at: number): void {
    const segment = this.segments[at] as Segment
    this.discardFiles(segment)
    this.segments.splice(at, 1)
    this.sizeBytes -= segment.size
    this.sync.folderChanged()
  }

  /** Takes the names from a segment's files; they are removed later, so that readers that have them open finish. */
  private discardFiles(segment: Segment): void {
    this.withdraw(segment)
    this.renameFiles(segment)
  }

  /** The segment is no part of the log any more. */
  private withdraw(segment: Segment): void {
    segment.removed = true
    this.sync.forget(segment)
    this.services.files.close(segment)
    this.services.indexes.forget(segment)
  }

  private renameFiles(segment: Segment): void {
    const { reaper } = this.services
    const renamed = segment.paths.map((path) => reaper.renameAway(path, DELETED_FILE))
    reaper.removeLater(
      renamed.filter((path) => path !== null),
      this.config.fileDeleteDelayMs,
    )
  }

  private moveEnd(offset: number): void {
    this.endOffset = offset
    this.durableEnd = Math.min(this.durableEnd, offset)
    this.epochs.truncateEnd(offset)
    this.tail.truncate(offset)
    this.reads.forgetPlaces()
    if (offset < this.highWatermark) {
      this.highWatermark = offset
      this.sync.promisedTooMuch()
    }
    this.sync.wrote(this.active)
  }

  restart(offset: number): void {
    this.checkServed()
    this.generation++
    this.sync.truncated()
    const nowMs = this.services.world.clock.wallMs()
    // A segment of this base is replaced: its file gives up the name before the new one takes it.
    for (let at = this.segments.length - 1; at >= 0; at--) this.removeSegment(at)
    this.segments = [this.makeSegment(offset, nowMs)]
    this.sizeBytes = 0
    this.logStart = offset
    this.epochs.clear()
    this.tail.clear()
    this.durableEnd = offset
    this.highWatermark = offset
    this.moveEnd(offset)
    this.sync.restarted()
  }

  advanceLogStart(offset: number): void {
    this.checkServed()
    const target = Math.min(offset, this.endOffset)
    if (target <= this.logStart) return
    this.logStart = target
    this.highWatermark = Math.max(this.highWatermark, target)
    this.epochs.truncateStart(target)
    const count = this.segments.findIndex(
      (_, at) => (this.segments[at + 1]?.baseOffset ?? Number.POSITIVE_INFINITY) > target,
    )
    if (count > 0) this.dropOldest(count)
  }

  /**
   * The files keep their names until the checkpoint says that the log begins after them: a crash may bring any of them back, and a log
   * with a hole looks like one that lost its tail.
   */
  private dropOldest(count: number): void {
    const dropped = this.segments.splice(0, count)
    for (const segment of dropped) {
      this.sizeBytes -= segment.size
      this.withdraw(segment)
    }
    this.services.afterCheckpoint((failed) => {
      if (this.closed) return
      try {
        for (const segment of dropped) this.renameFiles(segment)
      } catch (error) {
        return this.services.fail(error as IoError)
      }
      this.sync.folderChanged()
      if (failed !== null)
        this.services.world.log.warn({ path: this.folder, error: failed }, 'log start not checkpointed')
    })
  }

  applyRetention(highWatermark: number, nowMs: number): number {
    this.checkServed()
    const keep = retainedFrom(this, highWatermark, nowMs)
    if (keep === this.segments.length) this.rollEmpty(nowMs)
    const first = this.segments[keep]
    if (keep > 0 && first !== undefined) {
      this.services.world.log.info(
        { path: this.folder, segments: keep, from: this.logStart, to: first.baseOffset },
        'segments past retention',
      )
      this.advanceLogStart(first.baseOffset)
    }
    return this.logStart
  }

  /** All of the log is past its retention: an empty segment takes the place of the active one. */
  private rollEmpty(nowMs: number): void {
    this.active.wake(this.sources, this.endOffset)
    const fresh = this.makeSegment(this.endOffset, nowMs)
    this.roll(fresh)
  }

  offsetForTimestamp(timestamp: number, done: Done<TimestampHit | null>): void {
    this.search.offsetForTimestamp(timestamp, done)
  }

  maxTimestamp(done: Done<TimestampHit | null>): void {
    this.search.maxTimestamp(done)
  }

  checkpointHighWatermark(offset: number): void {
    this.highWatermark = offset
  }

  /** A sync round has ended with everything below `end` on disk. */
  becameDurable(end: number): void {
    if (end > this.durableEnd) this.durableEnd = end
    this.events.durable(this.durableEnd, this.generation)
  }

  /** Rot was met: nothing of this log is served or written from now on. */
  quarantine(reason: string): void {
    if (this.quarantined !== null) return
    this.quarantined = reason
    this.services.world.log.error({ path: this.folder, reason }, 'log quarantined')
    markQuarantined(this.services.world, this.folder, reason)
    this.events.quarantined?.(reason)
  }

  close(done: Done<void>): void {
    this.settle()
    const settled = this.quarantined === null && this.services.failed === null && !this.closed
    const finish: Done<void> = (error) => {
      this.release()
      done(error)
    }
    if (settled) this.sync.flush(finish)
    else this.services.world.timers.after(0, () => finish(null))
  }

  /** Writes what only memory knows of the indexes, so that a clean start needs no walk. */
  settle(): void {
    if (this.quarantined !== null || this.closed) return
    const { active } = this
    if (active.awake) active.index.finish()
    if (!active.index.hasUnwritten) return
    this.spill(active)
    active.indexDirty = true
    this.sync.wrote(active)
  }

  /** No append is taken any more; what was taken is on disk. */
  stop(): void {
    this.stopped = true
  }

  /** Nothing more is done for this log; its files are closed. */
  release(): void {
    if (this.closed) return
    this.closed = true
    this.tail.clear()
    this.services.scheduler.forget(this.sync)
    for (const segment of this.segments) {
      this.services.files.close(segment)
      this.services.indexes.forget(segment)
    }
  }

  private checkWritable(): void {
    this.checkServed()
    if (this.services.space.full) throw new IoError('ENOSPC', this.folder, 'less than the reserve is free')
  }

  private checkServed(): void {
    const { failed } = this.services
    if (failed !== null) throw new IoError(failed.code, this.folder, 'the log directory failed', failed)
    if (this.closed || this.stopped) throw new IoError('ECLOSED', this.folder, 'the log is closed')
    if (this.quarantined !== null) throw new IoError('EIO', this.folder, `the log is quarantined: ${this.quarantined}`)
  }
}
