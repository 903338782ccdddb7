import type { Disk, Done, File, IoError } from '@millrace/base'
import { eachLimited, inOrder } from './flow.ts'
import type { IndexFile } from './index-file.ts'
import type { SegmentedLog } from './partition-log.ts'
import type { Segment } from './segment.ts'
import type { SyncTarget, SyncWork } from './sync-scheduler.ts'
import { attempted } from './write-behind.ts'

/**
 * What of one log is not on disk yet: files, and names in its folder. A round takes all of it, or what no longer gets appends; what is
 * written while the round runs is for the next one. What a round covered counts only if no truncation came in between.
 */
export class LogSync implements SyncTarget {
  private readonly log: SegmentedLog
  private readonly rolledPart: SyncTarget
  private dirty = new Set<Segment>()
  private folderDirty = false
  private checkpointTooHigh = false
  beginsAnew = false
  /** A round that began before the last of these says nothing about the files that there are now. */
  private restarts = 0
  private waiting: Done<void>[] = []

  constructor(log: SegmentedLog) {
    this.log = log
    this.rolledPart = { beginSync: () => this.beginRolled() }
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

  /** A segment gets no more appends: the moment to have it on disk, in the background. */
  rolled(): void {
    this.log.services.scheduler.hurry(this.rolledPart)
  }

  /** The log was cut: without a journal the next durable report waits for its files. */
  cut(): void {
    this.wrote(this.log.active)
    if (this.log.services.journal === null) this.log.services.scheduler.hurry(this)
  }

  /** The checkpoints must not promise what is gone: nothing is reported durable before they are written again. */
  promisedTooMuch(): void {
    this.checkpointTooHigh = true
  }

  /** All of the log was replaced: until that is on disk a crash may bring the old one back, of which nothing is promised. */
  restarted(): void {
    this.beginsAnew = true
    this.checkpointTooHigh = true
    this.restarts++
    this.folderChanged()
  }

  /** What a cut had to wait with was done to the files: a round that runs has seen them as they were before. */
  carriedOut(): void {
    this.restarts++
    this.folderChanged()
  }

  forget(segment: Segment): void {
    this.dirty.delete(segment)
    segment.dirty = false
  }

  /** All that was written up to now is on disk; `done` never runs within the call. */
  flush(done: Done<void>): void {
    this.waiting.push(done)
    this.log.services.scheduler.hurry(this)
  }

  beginSync(): SyncWork {
    const { log } = this
    const lower = this.checkpointTooHigh
    // What finds no room on the disk now is for a later round, and the checkpoint that needs it fails.
    if (!log.closed) attempted(() => log.writer.writeOut())
    const endOffset = log.writer.writtenEnd
    const waiting = this.waiting
    this.waiting = []
    this.checkpointTooHigh = false
    const work = this.take([...this.dirty], lower ? (done) => log.services.lowerCheckpoint(done) : null, (current) => {
      if (current) this.beginsAnew = false
      if (current) log.becameSynced(endOffset)
    })
    return {
      run: (done) =>
        work.run((error) => {
          done(error)
          if (error !== null) for (const waiter of waiting) waiter(error)
        }),
      finished: () => {
        work.finished()
        for (const waiter of waiting) waiter(null)
      },
    }
  }

  /** The part of the log that gets no more appends. */
  private beginRolled(): SyncWork {
    const { log } = this
    const { active } = log
    const rolled = [...this.dirty].filter((segment) => segment !== active)
    return this.take(rolled, null, (current) => current && !this.beginsAnew && log.becameSynced(active.baseOffset))
  }

  /** Syncs these segments, and the folder where it changed. `ended` hears whether what they were then still counts. */
  private take(
    segments: readonly Segment[],
    last: ((done: Done<void>) => void) | null,
    ended: (current: boolean) => void,
  ): SyncWork {
    const { log } = this
    const { generation } = log
    const { restarts } = this
    const { disk } = log.services.world
    const folder = this.folderDirty
    this.folderDirty = false
    for (const segment of segments) {
      this.forget(segment)
      segment.syncing = true
    }
    const steps: ((done: Done<void>) => void)[] = [
      (done) => eachLimited(segments, 1, (segment, synced) => this.syncSegment(segment, synced), done),
    ]
    if (folder) steps.push((done) => (log.closed ? done(null) : disk.syncDir(log.folder, done)))
    if (last !== null) steps.push(last)
    return {
      run: (done) =>
        inOrder(steps, (error) => {
          for (const segment of segments) segment.syncing = false
          log.services.files.synced()
          // A folder that was renamed or removed meanwhile has no files to lose.
          done(log.closed ? null : error)
        }),
      finished: () => ended(generation === log.generation && restarts === this.restarts && !log.closed),
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
