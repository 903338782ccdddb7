import type { Disk, Done, File, IoError } from '@millrace/base'
import { eachLimited, inOrder } from './flow.ts'
import type { IndexFile } from './index-file.ts'
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
      // A file that was withdrawn meanwhile has nothing to lose.
      if (error !== null || segment.removed) return done(segment.removed ? null : error)
      syncIndexes(this.log.services.world.disk, segment, (failed) => done(segment.removed ? null : failed))
    })
  }
}

/** Index files are on disk before the log is said to be: a later start takes their entries for all that there were. */
export function syncIndexes(disk: Disk, segment: Segment, done: Done<void>): void {
  const sync = (index: IndexFile, ended: Done<void>): void => {
    index.dirty = false
    disk.open(index.path, 'append', (error, file) => {
      if (error !== null) return ended(error)
      file.sync((unsynced) => file.close(() => ended(unsynced)))
    })
  }
  eachLimited(segment.index.dirtyFiles, 1, sync, done)
}
