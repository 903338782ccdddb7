import { type Done, IoError, type Uuid } from '@millrace/base'
import type { EpochHistory } from './epoch-history.ts'
import { journalKey } from './journal-format.ts'
import { LogCuts } from './log-cuts.ts'
import { LogReads } from './log-reads.ts'
import { OWN_MEMORY } from './read-memory.ts'
import { LogSearch } from './log-search.ts'
import type { LogServices } from './log-services.ts'
import { LogSync } from './log-sync.ts'
import { LogWriter } from './log-writer.ts'
import type { ProducerSnapshots } from './producer-snapshots.ts'
import { markQuarantined } from './quarantine.ts'
import { Rot, type Segment, type SegmentSources } from './segment.ts'
import { LogTail } from './tail-cache.ts'
import { attempted } from './write-behind.ts'
import type {
  BatchObserver,
  EpochEnd,
  Generation,
  LogConfig,
  LogEvents,
  LogInspection,
  LogSlice,
  PartitionLog,
  ReadMemory,
  TimestampHit,
} from './types.ts'

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
  readonly cleanedEnd?: number
  readonly quarantined: string | null
}

const SILENT: LogEvents = { durable: () => undefined, failed: () => undefined }

/**
 * A partition's log in Kafka's segment files; see {@link PartitionLog} for the contract. Holds the state; writer, cuts, reads, search and
 * sync work on it, and every call that changes the log passes one of its guards.
 */
export class SegmentedLog implements PartitionLog {
  readonly topic: string
  readonly topicId: Uuid
  readonly partition: number
  /** The path of the folder, while the log is open. */
  readonly folder: string
  readonly services: LogServices
  readonly epochs: EpochHistory
  readonly segments: Segment[]
  readonly tail: LogTail
  readonly sync: LogSync
  readonly writer: LogWriter
  readonly cuts: LogCuts
  readonly reads: LogReads
  config: LogConfig
  events: LogEvents = SILENT
  logStart: number
  endOffset: number
  durableEnd: number
  /** The segments are on disk up to here; with a journal the durable end runs ahead of it. */
  syncedEnd: number
  /** Keys below are compacted: each has one record there. */
  cleanedEnd: number
  /** No recovery point that may be on disk, and that the journal does not lower, is above. */
  promisedEnd = 0
  readonly journalKey: Uint8Array
  generation: Generation = 0
  sizeBytes: number
  highWatermark: number
  quarantined: string | null
  closed = false
  /** Keeps the owner's observer in step, once the log is what it will be; null where there is none. */
  snapshots: ProducerSnapshots | null = null
  /** The epoch history's version that its checkpoint has. */
  epochsWritten = 0
  private stopped = false
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
    this.syncedEnd = state.durableEnd
    this.journalKey = journalKey(state.topicId, state.partition)
    this.highWatermark = state.highWatermark
    this.cleanedEnd = state.cleanedEnd ?? 0
    this.quarantined = state.quarantined
    this.config = config
    this.sizeBytes = state.segments.reduce((sum, segment) => sum + segment.size, 0)
    this.tail = new LogTail(services.tails)
    this.sync = new LogSync(this)
    this.writer = new LogWriter(this)
    this.cuts = new LogCuts(this)
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

  get observer(): BatchObserver | null {
    return this.snapshots?.observer ?? null
  }

  get inspection(): LogInspection {
    return this
  }

  get unwritten(): readonly Uint8Array[] {
    return this.writer.unwritten
  }

  /**
   * The segments are on disk up to here, which recovery may hold against them. A truncation below is in the journal before it is done to
   * the files. Page-cache mode has no journal: there it is the watermark below which no truncation of a sound cluster goes.
   */
  get recoveryPoint(): number {
    if (this.sync.beginsAnew) return 0
    const onDisk = Math.min(this.syncedEnd, this.durableEnd)
    return Math.max(this.services.flushMode === 'fsync' ? onDisk : Math.min(onDisk, this.highWatermark), 0)
  }

  /** A checkpoint is about to tell this recovery point. */
  promises(recoveryPoint: number): void {
    if (recoveryPoint > this.promisedEnd) this.promisedEnd = recoveryPoint
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

  append(batches: readonly Uint8Array[], nowMs: number, atOnce = false): void {
    this.checkServed()
    if (this.services.space.full) throw new IoError('ENOSPC', this.folder, 'less than the reserve is free')
    this.writer.append(batches, nowMs, atOnce)
  }

  beginEpoch(epoch: number): void {
    this.epochs.assign(epoch, this.endOffset)
  }

  epochEnd(epoch: number): EpochEnd | null {
    return this.epochs.epochEnd(epoch, this.endOffset)
  }

  // oxlint-disable-next-line max-params -- the seam's signature.
  read(from: number, maxBytes: number, below: number, done: Done<LogSlice>, memory?: ReadMemory): LogSlice | null {
    return this.reads.read({ from, maxBytes, below, done, proven: false, memory: memory ?? OWN_MEMORY })
  }

  readProven(from: number, maxBytes: number, below: number, done: Done<LogSlice>): LogSlice | null {
    return this.reads.read({ from, maxBytes, below, done, proven: true, memory: OWN_MEMORY })
  }

  peek(from: number, maxBytes: number, below: number): LogSlice | null {
    return this.reads.peek(from, maxBytes, below)
  }

  truncate(offset: number): void {
    this.checkServed()
    this.cuts.truncate(offset)
  }

  restart(offset: number): void {
    this.checkServed()
    this.cuts.restart(offset)
  }

  advanceLogStart(offset: number): void {
    this.checkServed()
    this.cuts.advanceLogStart(offset)
  }

  applyRetention(highWatermark: number, nowMs: number): number {
    this.checkServed()
    return this.cuts.applyRetention(highWatermark, nowMs)
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

  /** Everything below `end` would be found again after a crash. */
  becameDurable(end: number): void {
    if (end > this.durableEnd) this.durableEnd = end
    this.events.durable(this.durableEnd, this.generation)
  }

  /**
   * The segments are on disk below `end`. With a journal that promises nothing: the journal may hold a truncation of this log, and then a
   * replay ends where the journal does.
   */
  becameSynced(end: number): void {
    if (end > this.syncedEnd) this.syncedEnd = end
    if (this.services.journal === null) this.becameDurable(end)
  }

  /** Rot was met: nothing of this log is served or written from now on. */
  quarantine(reason: string): void {
    if (this.quarantined !== null) return
    this.quarantined = reason
    this.services.world.log.error({ path: this.folder, reason }, 'log quarantined')
    markQuarantined(this.services.world, this.folder, reason)
    this.events.quarantined?.(reason)
  }

  /** Quarantines the log where what runs meets rot, and throws on. */
  guardRot<T>(run: () => T): T {
    try {
      return run()
    } catch (error) {
      if (error instanceof Rot) this.quarantine(error.message)
      throw error
    }
  }

  close(done: Done<void>): void {
    const settled = this.quarantined === null && this.services.failed === null && !this.closed
    const finish: Done<void> = (error) => {
      this.release()
      done(error)
    }
    const { journal } = this.services
    const sync = (): void => {
      this.settle()
      this.sync.flush(finish)
    }
    if (settled && journal !== null) journal.flush(sync)
    else if (settled) sync()
    else this.services.world.timers.after(0, () => finish(null))
  }

  /** Writes what only memory knows of the indexes, so that a clean start needs no walk. */
  settle(): void {
    if (this.quarantined !== null || this.closed) return
    const { active } = this
    if (active.awake) active.index.finish()
    if (!active.index.hasUnwritten) return
    this.writer.spill(active)
    this.sync.wrote(active)
  }

  /** No append is taken any more; what was taken is on disk. */
  stop(): void {
    this.stopped = true
  }

  /** Nothing more is done for this log; its files are closed. */
  release(): void {
    if (this.closed) return
    // Whoever looks at the files of a log that was put aside finds all of it.
    if (this.services.failed === null) attempted(() => this.writer.writeOut())
    this.writer.forget()
    this.closed = true
    this.tail.clear()
    this.services.scheduler.forget(this.sync)
    for (const segment of this.segments) {
      this.services.files.close(segment)
      this.services.indexes.forget(segment)
    }
  }

  private checkServed(): void {
    const { failed } = this.services
    if (failed !== null) throw new IoError(failed.code, this.folder, 'the log directory failed', failed)
    if (this.closed || this.stopped) throw new IoError('ECLOSED', this.folder, 'the log is closed')
    if (this.quarantined !== null) throw new IoError('EIO', this.folder, `the log is quarantined: ${this.quarantined}`)
  }
}
