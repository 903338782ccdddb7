import { type Disk, type Done, type IoError, readSmallFile, replaceSmallFile } from '@millrace/base'
import { lastOffset, maxTimestamp, nextOffset } from '@millrace/records'
import { walkBatches, type WalkEnd } from './batch-walk.ts'
import { CLEANED_FILE, DELETED_FILE, swapMarkName } from './file-names.ts'
import { eachLimited, inOrder } from './flow.ts'
import type { FolderListing } from './folder-listing.ts'
import { syncIndexes } from './log-sync.ts'
import type { SegmentedLog } from './partition-log.ts'
import type { Reaper } from './reaper.ts'
import { Segment } from './segment.ts'

/** The interval of a topic is not known yet when its log is opened; any interval makes a right index. */
const INDEX_INTERVAL_BYTES = 4096

/** One compacted segment, whose `.cleaned` file is on disk, and those whose place it takes: all between its first offset and its last. */
export interface Swap {
  readonly log: SegmentedLog
  readonly sources: readonly Segment[]
  readonly fresh: Segment
  /** The sources are still what was compacted, and the log goes on. */
  alive(): boolean
}

/**
 * Puts a compacted segment in the place of its sources. Whatever a crash leaves can be told, because a mark is on disk before the first name
 * changes and goes after the last change is on disk:
 *
 * 1. `<base>.log.cleaned` is on disk (its writer's work), then the mark, which has its size.
 * 2. In one turn the sources' files lose their names, `.cleaned` becomes `<base>.log`, and the log has the new segment.
 * 3. Its indexes and the folder are synced.
 * 4. The mark is removed, and the folder synced, so that no later mark is ever taken for this one.
 *
 * A start that finds a mark (`completeSwaps`) looks for `.cleaned` of that size, else at `<base>.log`: segments that begin within it are
 * sources that came back, and go. Nothing else can begin there, for a log has no overlaps. Fails when the disk does; `false` where it was given up.
 */
export function swapIn(swap: Swap, done: Done<boolean>): void {
  const { log, fresh } = swap
  const { disk } = log.services.world
  const { folder } = log
  const name = swapMarkName(fresh.baseOffset)
  replaceSmallFile(
    disk,
    folder,
    name,
    new TextEncoder().encode(`${fresh.size}\n`),
  )((error) => {
    const given = error !== null || !swap.alive()
    if (given) return giveUp(swap, (failed) => done(error ?? failed, false))
    const settled: Done<void> = (failed) => {
      // What was synced may not be on disk; but a folder that was removed meanwhile has nothing to lose.
      if (failed !== null && !log.closed) log.services.fail(failed)
      done(failed, true)
    }
    try {
      exchange(swap)
    } catch (cause) {
      // Half of a change of names is no log any more.
      return settled(cause as IoError)
    }
    const steps = [(ended: Done<void>) => syncIndexes(disk, fresh, ended), syncing(disk, folder)]
    inOrder([...steps, removing(disk, `${folder}/${name}`), syncing(disk, folder)], settled)
  })
}

/** Removes what a swap that is not to be has made. */
export function giveUp({ log, fresh }: Pick<Swap, 'log' | 'fresh'>, done: Done<void>): void {
  const { disk } = log.services.world
  const mark = `${log.folder}/${swapMarkName(fresh.baseOffset)}`
  const steps = [removing(disk, fresh.logPath + CLEANED_FILE), removing(disk, mark), syncing(disk, log.folder)]
  // The folder itself may be gone.
  inOrder(steps, (error) => done(log.closed ? null : error))
}

function exchange({ log, sources, fresh }: Swap): void {
  const { services, cuts } = log
  const at = log.segments.indexOf(sources[0] as Segment)
  for (const source of sources) cuts.discard(cuts.takeOut(log.segments.indexOf(source)))
  services.world.disk.renameNow(fresh.logPath + CLEANED_FILE, fresh.logPath)
  log.segments.splice(at, 0, fresh)
  log.sizeBytes += fresh.size
  log.reads.forgetPlaces()
  log.writer.spill(fresh)
}

function syncing(disk: Disk, folder: string): (done: Done<void>) => void {
  return (done) => disk.syncDir(folder, done)
}

/** A file that is not there is as good as removed. */
function removing(disk: Disk, path: string): (done: Done<void>) => void {
  return (done) => disk.remove(path, (error) => done(error?.code === 'ENOENT' ? null : error))
}

/** Where the swaps of one folder are completed. */
export interface SwapFolder {
  readonly disk: Disk
  readonly reaper: Reaper
  readonly folder: string
  readonly listing: FolderListing
}

/** Ends what a crash left of swaps, durably; the folder is to be listed again then. */
export function completeSwaps(where: SwapFolder, done: Done<void>): void {
  eachLimited(where.listing.swaps, 1, (base, ended) => new SwapCompletion(where, base).run(ended), done)
}

class SwapCompletion {
  private readonly where: SwapFolder
  private readonly base: number
  private readonly mark: string
  private segment: Segment

  constructor(where: SwapFolder, base: number) {
    this.where = where
    this.base = base
    this.mark = `${where.folder}/${swapMarkName(base)}`
    this.segment = Segment.empty(where.folder, base, 0)
  }

  run(done: Done<void>): void {
    const { disk, folder } = this.where
    readSmallFile(disk, this.mark, (error, bytes) => {
      if (error !== null) return done(error)
      const size = Number(new TextDecoder().decode(bytes ?? new Uint8Array(0)))
      inOrder([(ended) => this.complete(size, ended), removing(disk, this.mark), syncing(disk, folder)], done)
    })
  }

  private complete(size: number, done: Done<void>): void {
    const { disk } = this.where
    const path = this.segment.logPath + CLEANED_FILE
    disk.open(path, 'read', (error, file) => {
      if (error !== null) return error.code === 'ENOENT' ? this.completeNamed(done) : done(error)
      const found = file.size
      file.close(() => {
        if (found !== size) return this.completeNamed(done)
        this.walk(path, { to: size, checkCrc: true }, (failed, end) => {
          if (failed !== null) return done(failed)
          if (end.why !== 'end' || size === 0) return this.completeNamed(done)
          this.replace(true, done)
        })
      })
    })
  }

  /** `<base>.log` is the compacted one already, or one that has nothing to do with the mark: then nothing begins within it. */
  private completeNamed(done: Done<void>): void {
    const size = this.where.listing.segments.find(({ baseOffset }) => baseOffset === this.base)?.size ?? 0
    if (size === 0) return done(null)
    this.segment = Segment.empty(this.where.folder, this.base, 0)
    this.walk(this.segment.logPath, { to: size, checkCrc: false }, (error) => {
      if (error !== null) return done(error)
      this.replace(false, done)
    })
  }

  private end = 0

  private walk(path: string, { to, checkCrc }: { to: number; checkCrc: boolean }, done: Done<WalkEnd>): void {
    this.end = this.base
    const visit = (bytes: Uint8Array, at: number, position: number, size: number): boolean => {
      const last = lastOffset(bytes, at) - this.base
      this.segment.index.add(
        { position, size, lastOffset: last, maxTimestamp: maxTimestamp(bytes, at) },
        INDEX_INTERVAL_BYTES,
      )
      this.end = nextOffset(bytes, at)
      return true
    }
    walkBatches(this.where.disk, { path, from: 0, to, checkCrc, visit }, done)
  }

  /** What begins within the segment goes, and its indexes are made anew. */
  private replace(cleaned: boolean, done: Done<void>): void {
    const { disk, folder, listing } = this.where
    const { segment } = this
    try {
      for (const { baseOffset } of listing.segments)
        if (baseOffset > this.base && baseOffset < this.end)
          this.away(new Segment({ ...NO_FILES, folder, baseOffset }).paths)
      this.away(cleaned ? segment.paths : segment.paths.slice(1))
      if (cleaned) disk.renameNow(segment.logPath + CLEANED_FILE, segment.logPath)
      segment.index.finish()
      segment.index.spill(disk)
    } catch (error) {
      return done(error as IoError)
    }
    inOrder([(ended) => syncIndexes(disk, segment, ended), syncing(disk, folder)], done)
  }

  private away(paths: readonly string[]): void {
    const { reaper } = this.where
    const renamed = paths.map((path) => reaper.renameAway(path, DELETED_FILE))
    reaper.removeLater(
      renamed.filter((path) => path !== null),
      0,
    )
  }
}

const NO_FILES = { size: 0, indexBytes: 0, timeIndexBytes: 0, modifiedMs: 0 }
