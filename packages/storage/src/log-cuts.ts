import { IoError } from '@millrace/base'
import { encodeGap } from '@millrace/records'
import { DELETED_FILE } from './file-names.ts'
import { HeldCut } from './held-cut.ts'
import type { LogChange } from './journal.ts'
import { retainedFrom } from './log-retention.ts'
import type { SegmentedLog } from './partition-log.ts'
import type { Segment } from './segment.ts'

/** What makes one log shorter: truncation and restart at its end, retention and deleted records at its start. */
export class LogCuts {
  private readonly log: SegmentedLog
  private readonly held: HeldCut

  constructor(log: SegmentedLog) {
    this.log = log
    this.held = new HeldCut(log)
  }

  /** The files are not cut yet, as the log is. */
  get heldBack(): boolean {
    return this.held.waits
  }

  truncate(offset: number): void {
    const { log } = this
    if (offset < log.logStart) return this.restart(offset)
    log.writer.writeOutBefore(offset)
    log.generation++
    // No record goes, but an epoch that was begun here without one does: what is appended next may be of an earlier epoch.
    if (offset >= log.endOffset) {
      log.epochs.truncateEnd(log.endOffset)
      log.sync.cut()
      return this.tell('truncate')
    }
    const keep = log.segments.findLastIndex((segment, at) => at === 0 || segment.baseOffset < offset)
    const last = log.segments[keep] as Segment
    const held = this.breaksPromise(last, offset)
    last.writable ||= !held
    const cut = log.guardRot(() => last.cutAt(log.sources, offset, held))
    const end = Math.min(cut.endOffset, offset)
    this.allOrNothing(() => {
      if (held) this.held.shorten(keep, cut.position, end)
      else this.shorten(keep, cut.position)
    })
    const op = end < log.highWatermark ? 'lower' : 'truncate'
    this.moveEnd(end)
    log.cleanedEnd = Math.min(log.cleanedEnd, end)
    // A crash may bring back names of some segments: the journal must say that none of them counts.
    if (held && keep === 0 && cut.position === 0) this.tellNewBeginning()
    else this.tell(op)
    log.snapshots?.truncated()
    this.keepGap(offset, cut.gapEpoch ?? -1)
  }

  /** A gap may be divided anywhere: what lies below the cut stays, so that the log ends where it was told to. */
  private keepGap(end: number, epoch: number): void {
    const { log } = this
    const { endOffset } = log
    if (epoch < 0 || endOffset >= end) return
    const gap = encodeGap({ baseOffset: endOffset, lastOffset: end - 1, leaderEpoch: epoch })
    log.writer.append([gap], log.services.world.clock.wallMs())
  }

  /** Nothing is left of the log's segments, and it goes on where it ends. */
  private tellNewBeginning(): void {
    const { logStart, endOffset } = this.log
    this.tell('restart')
    if (logStart > endOffset) this.tell('trim', logStart)
  }

  /** A recovery point on disk may be above, and only what the journal has already lowers it. What is provisional is of no such. */
  private breaksPromise(last: Segment, offset: number): boolean {
    const { promisedEnd, services } = this.log
    return services.journal !== null && !last.provisional && (this.held.waits || offset < promisedEnd)
  }

  private shorten(keep: number, position: number): void {
    const { log } = this
    const last = log.segments[keep] as Segment
    // The last first, so that no moment has a gap before a segment.
    for (let at = log.segments.length - 1; at > keep; at--) this.remove(at)
    log.services.files.now(last).truncateNow(position)
    log.sizeBytes -= last.size - position
    last.size = position
  }

  /** Tells the journal, and has what is held back done to the files once the journal has it. */
  private tell(op: LogChange, from?: number): void {
    const { log, held } = this
    log.services.journal?.changed(log, op, from, held.waits ? held.untilTold() : null)
  }

  /** An empty segment takes the place of all. */
  private replaceAll(base: number): void {
    const { log, held } = this
    this.allOrNothing(() => {
      if (log.services.journal !== null) return held.replaceFrom(0, base)
      // A segment of the same base gives up its name before the new one takes it.
      for (let at = log.segments.length - 1; at >= 0; at--) this.remove(at)
      log.segments.push(log.writer.makeSegment(base, log.services.world.clock.wallMs()))
    })
  }

  restart(offset: number): void {
    const { log } = this
    log.generation++
    log.writer.forget()
    this.replaceAll(offset)
    log.logStart = offset
    log.cleanedEnd = 0
    log.epochs.clear()
    log.tail.clear()
    log.durableEnd = offset
    log.syncedEnd = offset
    log.highWatermark = offset
    log.sync.restarted()
    this.moveEnd(offset)
    this.tell('restart')
    log.snapshots?.restarted()
  }

  /**
   * Nothing of the log may be read, and what comes next is the batch that holds its start (records before it were deleted): the
   * log's file is named by that batch. The start and the generation stay, for no record goes.
   */
  beginAtBatch(base: number): void {
    const { log } = this
    log.writer.forget()
    this.replaceAll(base)
    log.endOffset = base
    log.syncedEnd = Math.min(log.syncedEnd, base)
    log.epochs.clear()
    log.tail.clear()
    log.reads.forgetPlaces()
    log.sync.restarted()
    this.tellNewBeginning()
    log.snapshots?.restarted()
  }

  /** Half of a change of names and sizes is no log any more: the directory is given up where one step of it fails. */
  private allOrNothing(change: () => void): void {
    try {
      change()
    } catch (error) {
      this.log.services.fail(error as IoError)
      throw error
    }
  }

  private moveEnd(offset: number): void {
    const { log } = this
    log.endOffset = offset
    log.durableEnd = Math.min(log.durableEnd, offset)
    log.syncedEnd = Math.min(log.syncedEnd, offset)
    log.epochs.truncateEnd(offset)
    log.tail.truncate(offset)
    log.reads.forgetPlaces()
    if (offset < log.highWatermark) {
      log.highWatermark = offset
      log.sync.promisedTooMuch()
    }
    log.sync.cut()
  }

  advanceLogStart(offset: number): void {
    const { log } = this
    const target = Math.min(offset, log.endOffset)
    if (target <= log.logStart) return
    log.logStart = target
    log.highWatermark = Math.max(log.highWatermark, target)
    log.epochs.truncateStart(target)
    log.services.journal?.changed(log, 'trim', target)
    const count = log.segments.findIndex((_, at) => (log.segments[at + 1]?.baseOffset ?? Infinity) > target)
    if (count > 0) this.dropOldest(count)
  }

  applyRetention(highWatermark: number, nowMs: number): number {
    const { log } = this
    log.writer.writeOut()
    const keep = retainedFrom(log, highWatermark, nowMs)
    if (keep === log.segments.length) log.writer.rollEmpty(nowMs)
    const first = log.segments[keep]
    if (keep > 0 && first !== undefined) {
      const fields = { path: log.folder, segments: keep, from: log.logStart, to: first.baseOffset }
      log.services.world.log.info(fields, 'segments past retention')
      this.advanceLogStart(first.baseOffset)
    }
    return log.logStart
  }

  /**
   * The files keep their names until the checkpoint says that the log begins after them: a crash may bring any of them back, and a log
   * with a hole looks like one that lost its tail. And until the names of those that stay are on disk: a log without any looks lost.
   */
  private dropOldest(count: number): void {
    const { log } = this
    const { services } = log
    const dropped = log.segments.splice(0, count)
    log.snapshots?.dropped()
    for (const segment of dropped) {
      log.sizeBytes -= segment.size
      this.withdraw(segment)
    }
    services.afterCheckpoint((failed) => {
      if (log.closed) return
      if (failed !== null) services.world.log.warn({ path: log.folder, error: failed }, 'log start not checkpointed')
      services.world.disk.syncDir(log.folder, (unsynced) => {
        if (log.closed) return
        if (unsynced !== null) return services.fail(unsynced)
        this.renameDropped(dropped)
      })
    })
  }

  private renameDropped(dropped: readonly Segment[]): void {
    const { log } = this
    try {
      for (const segment of dropped) this.renameFiles(segment)
    } catch (error) {
      return log.services.fail(error as IoError)
    }
    log.sync.folderChanged()
  }

  private remove(at: number): void {
    this.discard(this.takeOut(at))
  }

  /** The segment leaves the log, its files stay as they are. */
  takeOut(at: number): Segment {
    const { log } = this
    const segment = log.segments[at] as Segment
    this.withdraw(segment)
    log.segments.splice(at, 1)
    log.sizeBytes -= segment.size
    log.sync.folderChanged()
    return segment
  }

  /** Takes the names from a segment's files; they are removed later, so that readers that have them open finish. */
  discard(segment: Segment): void {
    this.withdraw(segment)
    this.renameFiles(segment)
  }

  /** The segment is no part of the log any more. */
  private withdraw(segment: Segment): void {
    const { sync, services } = this.log
    segment.removed = true
    sync.forget(segment)
    services.files.close(segment)
    services.indexes.forget(segment)
  }

  private renameFiles(segment: Segment): void {
    const { services, config } = this.log
    const renamed = segment.paths.map((path) => services.reaper.renameAway(path, DELETED_FILE))
    services.reaper.removeLater(
      renamed.filter((path) => path !== null),
      config.fileDeleteDelayMs,
    )
  }
}
