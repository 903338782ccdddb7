import { type Done, type File, type IoError } from '@millrace/base'
import { eachLimited, inOrder } from './flow.ts'
import type { SegmentedLog } from './partition-log.ts'
import type { Segment } from './segment.ts'
import type { SyncTarget, SyncWork } from './sync-scheduler.ts'

/**
 * What of one log is not on disk yet: files, and names in its folder. A round takes all of it; what is written while the round runs is
 * for the next one. What a round covered counts only if no truncation came in between.
 */
export class LogSync implements SyncTarget {
  private readonly log: SegmentedLog
  private dirty = new Set<Segment>()
  private folderDirty = false
  private checkpointTooHigh = false
  beginsAnew = false
  private waiting: Done<void>[] = []

  constructor(log: SegmentedLog) {
    this.log = log
  }

  wrote(segment: Segment): void {
    if (!segment.dirty) {
      segment.dirty = true
      this.dirty.add(segment)
    }
    this.log.services.scheduler.markDirty(this)
  }

  /** Files were made or renamed. */
  folderChanged(): void {
    this.folderDirty = true
    this.log.services.scheduler.markDirty(this)
  }

  /** The checkpoints must not promise what is gone: nothing is reported durable before they are written again. */
  promisedTooMuch(): void {
    this.checkpointTooHigh = true
  }

  /** All of the log was replaced: until that is on disk a crash may bring the old one back, of which nothing is promised. */
  restarted(): void {
    this.beginsAnew = true
    this.checkpointTooHigh = true
    this.folderChanged()
  }

  forget(segment: Segment): void {
    this.dirty.delete(segment)
    segment.dirty = false
  }

  /** All that was written up to now is on disk; `done` never runs within the call. */
  flush(done: Done<void>): void {
    this.waiting.push(done)
    this.log.services.scheduler.markDirty(this)
  }

  beginSync(): SyncWork {
    const { log } = this
    const segments = [...this.dirty]
    const folder = this.folderDirty
    const lower = this.checkpointTooHigh
    const { endOffset, generation } = log
    const waiting = this.waiting
    this.waiting = []
    this.dirty.clear()
    this.folderDirty = false
    this.checkpointTooHigh = false
    for (const segment of segments) {
      segment.dirty = false
      segment.syncing = true
    }
    const { disk } = log.services.world
    const steps: ((done: Done<void>) => void)[] = [
      (done) => eachLimited(segments, 1, (segment, ended) => this.syncSegment(segment, ended), done),
    ]
    if (folder) steps.push((done) => (log.closed ? done(null) : disk.syncDir(log.folder, done)))
    if (lower) steps.push((done) => log.services.lowerCheckpoint(done))
    return {
      files: segments.length + (folder ? 1 : 0),
      run: (done) =>
        inOrder(steps, (error) => {
          for (const segment of segments) segment.syncing = false
          log.services.files.synced()
          // A folder that was renamed or removed meanwhile has no files to lose.
          done(log.closed ? null : error)
          if (error !== null) for (const waiter of waiting) waiter(error)
        }),
      finished: () => {
        if (generation === log.generation && !log.closed) {
          this.beginsAnew = false
          log.becameDurable(endOffset)
        }
        for (const waiter of waiting) waiter(null)
      },
    }
  }

  private syncSegment(segment: Segment, done: Done<void>): void {
    if (segment.removed || this.log.closed) return done(null)
    let file: File
    try {
      file = this.log.services.files.now(segment)
    } catch (error) {
      return done(error as IoError)
    }
    file.sync((error) => {
      if (error !== null) return done(segment.removed ? null : error)
      if (!segment.indexDirty) return done(null)
      segment.indexDirty = false
      this.syncIndexes(segment, done)
    })
  }

  /** An index that is lost or torn is noticed and rebuilt, so a failure here is no failure of the log. */
  private syncIndexes(segment: Segment, done: Done<void>): void {
    const { disk } = this.log.services.world
    const paths = [segment.index.offsets, segment.index.times].filter((index) => index.fileCount > 0)
    eachLimited(
      paths,
      1,
      (index, ended) =>
        disk.open(index.path, 'append', (error, file) => {
          if (error !== null) return ended(null)
          file.sync(() => file.close(() => ended(null)))
        }),
      done,
    )
  }
}
