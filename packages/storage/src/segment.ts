import { type Disk, type File, IoError } from '@millrace/base'
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  batchBytes,
  isGap,
  lastOffset,
  leaderEpoch,
  MALFORMED,
  maxTimestamp,
  nextOffset,
  wholeBatchBytes,
} from '@millrace/records'
import { headerProblem, walkHeadersNow } from './batch-walk.ts'
import { PROVISIONAL_FILE, segmentFileName } from './file-names.ts'
import { withFile } from './index-file.ts'
import { type IndexTable, OFFSET_ENTRY_BYTES, TIME_ENTRY_BYTES } from './index-table.ts'
import type { FileOwner, OpenFiles } from './open-files.ts'
import { type IndexedBatch, type IndexedPosition, SegmentIndex } from './segment-index.ts'

/** Relative offsets and positions are int32 in the index files. */
const MAX_RELATIVE = 2 ** 31 - 1

export interface SegmentFiles {
  readonly baseOffset: number
  readonly folder: string
  readonly size: number
  /** Bytes; 0 for a file that is missing. */
  readonly indexBytes: number
  readonly timeIndexBytes: number
  /** Milliseconds since 1970. */
  readonly modifiedMs: number
}

/** A place between batches: those before `position` end at `endOffset`. */
export interface Cut {
  readonly position: number
  readonly endOffset: number
  /** The leader epoch of the batch before; -1 where that is not known. */
  readonly epoch: number
  /** That of a gap which begins at the place, and of which a part is to stay; -1 where no gap is divided. */
  readonly gapEpoch?: number
}

/**
 * One segment: a log file and its indexes. Until it is needed nothing but its name and size is known; it is `awake` when the
 * state that appends go on with is known too.
 */
export class Segment implements FileOwner {
  readonly baseOffset: number
  readonly folder: string
  /** Bytes of whole batches; the file is longer while a cut of it is held back. */
  size: number
  /** So many of them are not in the file yet, which is shorter by that; of the last segment of a log only. */
  lag = 0
  modifiedMs: number
  /** The last segment of a log gets appends. */
  writable = false
  /** Written since the last sync began. */
  dirty = false
  syncing = false
  /** Its name is gone; readers that still have it open finish. */
  removed = false
  awake = false
  /** Its file has another name until the journal has the cut that made room for it: a start that finds that name removes it. */
  provisional = false
  /** It was cut, and its files are as they were until the journal has the cut. */
  held = false
  /** The largest timestamp of the first batch, which the age of the segment is measured from; -1 for none. */
  firstTimestamp = -1
  /** The random part of `segment.ms`, drawn once. */
  jitterMs = 0
  readonly index: SegmentIndex
  private readonly path: string
  private readonly provisionalPath: string

  constructor(files: SegmentFiles) {
    this.baseOffset = files.baseOffset
    this.folder = files.folder
    this.path = `${files.folder}/${segmentFileName(files.baseOffset, 'log')}`
    this.provisionalPath = this.path + PROVISIONAL_FILE
    this.size = files.size
    this.modifiedMs = files.modifiedMs
    this.index = new SegmentIndex(
      this.path.slice(0, -'.log'.length),
      wholeEntries(files.indexBytes, OFFSET_ENTRY_BYTES),
      wholeEntries(files.timeIndexBytes, TIME_ENTRY_BYTES),
    )
  }

  /** A new, empty one; its files are made by who keeps the handle. */
  static empty(folder: string, baseOffset: number, nowMs: number): Segment {
    const segment = new Segment({ baseOffset, folder, size: 0, indexBytes: 0, timeIndexBytes: 0, modifiedMs: nowMs })
    segment.awake = true
    return segment
  }

  get logPath(): string {
    return this.provisional ? this.provisionalPath : this.path
  }

  /** A provisional one keeps its handle too: whoever opens its name in the background may find it renamed. */
  get unsynced(): boolean {
    return this.dirty || this.syncing || this.provisional
  }

  /** The index of a provisional one is only in memory: those names are of what was cut. */
  get paths(): readonly string[] {
    return this.provisional ? [this.logPath] : [this.logPath, this.index.offsets.path, this.index.times.path]
  }

  relative(offset: number): number {
    return Math.min(offset - this.baseOffset, MAX_RELATIVE)
  }

  /** Whether a batch that ends with `lastOffset` and these bytes may be added by the index's number format. */
  canHold(lastOffset: number, bytes: number): boolean {
    return lastOffset - this.baseOffset <= MAX_RELATIVE && this.size + bytes <= MAX_RELATIVE
  }

  /** Counts a batch that was written at the end. */
  // oxlint-disable-next-line max-params -- a batch where it lies, on the append path.
  added(bytes: Uint8Array, at: number, size: number, indexIntervalBytes: number): void {
    if (this.size === 0) this.firstTimestamp = maxTimestamp(bytes, at)
    this.index.add(this.indexed(bytes, at, this.size, size), indexIntervalBytes)
    this.size += size
  }

  // oxlint-disable-next-line max-params -- a batch where it lies.
  private indexed(bytes: Uint8Array, at: number, position: number, size: number): IndexedBatch {
    return {
      position,
      size,
      lastOffset: lastOffset(bytes, at) - this.baseOffset,
      maxTimestamp: maxTimestamp(bytes, at),
    }
  }

  /**
   * Reads what appends go on with, from the last index entries on; indexes that do not fit the log are made anew. `endOffset` is
   * what the log must end with. Returns the last batch's epoch, -1 for none. Throws `IoError`.
   */
  wake(from: SegmentSources, endOffset: number): number {
    const file = from.files.now(this)
    if (file.size !== this.size) throw new Rot(this.logPath, `${file.size} bytes where ${this.size} were expected`)
    const end = this.walkOn(file, this.resumeAtLast(from.disk, file), from.indexIntervalBytes, () => true)
    if (this.size > 0 && end.endOffset !== endOffset)
      throw new Rot(this.logPath, `it ends at offset ${end.endOffset}, the log at ${endOffset}`)
    this.awake = true
    return end.epoch
  }

  /** Where a truncation to `offset` cuts; the indexes are cut with it, but in memory alone where `held`. Throws `IoError`. */
  cutAt(from: SegmentSources, offset: number, held: boolean): Cut {
    const file = from.files.now(this)
    const start = this.resumeBefore(from.disk, file, { at: this.relative(offset - 1), held })
    let gapEpoch = -1
    const cut = this.walkOn(file, start, from.indexIntervalBytes, (bytes, at) => {
      if (nextOffset(bytes, at) <= offset) return true
      if (baseOffset(bytes, at) < offset && isGap(bytes, at)) gapEpoch = leaderEpoch(bytes, at)
      return false
    })
    this.awake = true
    return { ...cut, gapEpoch }
  }

  /**
   * Where a recovery that must look at everything from `offset` on begins; the indexes are cut to what lies before. What is not
   * trusted is made anew by the walk. Throws `IoError`.
   */
  resumeAt(from: SegmentSources, offset: number): Cut {
    const file = from.files.now(this)
    const start = this.resumeBefore(from.disk, file, { at: this.relative(offset - 1), afterCrash: true })
    if (start.position > 0) this.readFirstTimestamp(file)
    return start
  }

  private resumeAtLast(disk: Disk, file: File): Cut {
    const { index } = this
    const lastOffset = attempt(() => index.offsets.lastNow(disk))
    const lastTime = attempt(() => index.times.lastNow(disk))
    const entry = lastOffset === null || lastOffset.count === 0 ? null : lastOffset
    const after = entry && this.batchEnd(file, { position: entry.int32(0, 4), lastOffset: entry.int32(0, 0) })
    if (after === null || lastTime === null || lastTime.count === 0 || !this.isPlausibleTime(lastTime))
      return this.startAnew()
    index.resume(after.size, lastTime.int64(0, 0), lastTime.int32(0, 8))
    return after
  }

  private isPlausibleTime(last: IndexTable): boolean {
    return (
      last.count === 0 || (Number.isSafeInteger(last.int64(0, 0)) && last.int64(0, 0) >= 0 && last.int32(0, 8) >= 0)
    )
  }

  private resumeBefore(disk: Disk, file: File, where: Resumption): Cut {
    const { index } = this
    const { at, afterCrash, held } = where
    const offsets = attempt(() => index.offsets.readNow(disk))
    const times = attempt(() => index.times.readNow(disk))
    if (offsets === null || times === null || !SegmentIndex.plausible(offsets, times, this.size))
      return this.startAnew()
    index.offsets.loaded = offsets
    index.times.loaded = times
    const start = afterCrash === true ? index.surelyBefore(at) : (index.before(at) as IndexedPosition)
    const after =
      start.lastOffset < 0
        ? { position: 0, endOffset: this.baseOffset, epoch: -1, size: 0 }
        : this.batchEnd(file, start)
    if (after === null) return this.startAnew()
    index.rewind(held === true ? null : disk, start, after.size)
    index.unload()
    return after
  }

  private startAnew(): Cut {
    this.index.forget()
    return { position: 0, endOffset: this.baseOffset, epoch: -1 }
  }

  /** What follows the batch that an entry points at; null when no such batch is there. */
  private batchEnd(file: File, entry: IndexedPosition): (Cut & { size: number }) | null {
    const header = new Uint8Array(BATCH_HEADER_BYTES)
    if (entry.position < 0 || file.readNow(entry.position, header) < header.length) return null
    if (headerProblem(header, 0, this.size - entry.position) !== null) return null
    if (lastOffset(header, 0) - this.baseOffset !== entry.lastOffset) return null
    const size = batchBytes(header, 0)
    return { position: entry.position + size, endOffset: nextOffset(header, 0), epoch: leaderEpoch(header, 0), size }
  }

  // oxlint-disable-next-line max-params -- where a walk begins, and how far it goes.
  private walkOn(file: File, from: Cut, intervalBytes: number, keep: (bytes: Uint8Array, at: number) => boolean): Cut {
    let { position, endOffset, epoch } = from
    if (position > 0) this.readFirstTimestamp(file)
    const end = walkHeadersNow(file, position, this.size, (bytes, at, where, size) => {
      if (!keep(bytes, at)) return false
      if (where === 0) this.firstTimestamp = maxTimestamp(bytes, at)
      this.index.add(this.indexed(bytes, at, where, size), intervalBytes)
      endOffset = nextOffset(bytes, at)
      epoch = leaderEpoch(bytes, at)
      position = where + size
      return true
    })
    if (end.why === 'damage') throw new Rot(this.logPath, `${end.detail}, at byte ${end.position}`)
    return { position, endOffset, epoch }
  }

  private readFirstTimestamp(file: File): void {
    const header = new Uint8Array(BATCH_HEADER_BYTES)
    if (file.readNow(0, header) === header.length) this.firstTimestamp = maxTimestamp(header, 0)
  }

  /** The largest timestamp as far as one read at once tells it; -1 when that tells nothing. */
  largestTimestampNow(disk: Disk): number {
    if (this.awake) return this.index.maxTimestamp
    const last = attempt(() => this.index.times.lastNow(disk))
    return last === null || last.count === 0 || !this.isPlausibleTime(last) ? -1 : last.int64(0, 0)
  }

  /** The largest timestamp of the last batches, read from the log at once; infinity where it cannot be read, -1 without timestamps. */
  lastTimestampNow(disk: Disk): number {
    const last = attempt(() => this.index.offsets.lastNow(disk))
    try {
      return withFile(disk, this.logPath, 'read', (file) => {
        const entry =
          last === null || last.count === 0 ? null : { position: last.int32(0, 4), lastOffset: last.int32(0, 0) }
        const from = entry !== null && this.batchEnd(file, entry) !== null ? entry.position : 0
        let largest = -1
        const end = walkHeadersNow(file, from, this.size, (bytes, at) => {
          largest = Math.max(largest, maxTimestamp(bytes, at))
          return true
        })
        return end.why === 'end' ? largest : Number.POSITIVE_INFINITY
      })
    } catch (error) {
      if (error instanceof IoError) return Number.POSITIVE_INFINITY
      throw error
    }
  }
}

/**
 * What is wrong with the first batch of a segment, by its header; null where nothing is. The file is named by where that batch begins, so
 * any other is not of this place: no torn write puts it there. Of a compacted segment that is a gap where its first batch is gone.
 */
export function strangeBeginning(header: Uint8Array, baseOfName: number): string | null {
  if (header.length < BATCH_HEADER_BYTES || wholeBatchBytes(header, 0) === MALFORMED) return null
  const base = baseOffset(header, 0)
  return base === baseOfName ? null : `its first batch begins at offset ${base}`
}

/** Where to resume. */
interface Resumption {
  /** An offset relative to the base: what is indexed up to it counts. */
  readonly at: number
  /** The indexes may have lost their ends. */
  readonly afterCrash?: boolean
  /** The files of the indexes stay as they are. */
  readonly held?: boolean
}

/** The bytes of a segment are not what they were when they were promised; the disk itself answers. */
export class Rot extends IoError {
  constructor(path: string, message: string) {
    super('EIO', path, message)
  }
}

/** Where a segment's state is read from. */
export interface SegmentSources {
  readonly disk: Disk
  readonly files: OpenFiles
  readonly indexIntervalBytes: number
}

/** Null where the file can not be read: the caller goes on without it. */
function attempt(read: () => IndexTable): IndexTable | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof IoError) return null
    throw error
  }
}

/** The entries of an index file, 0 when its size can not be that of one. */
function wholeEntries(bytes: number, width: number): number {
  return bytes % width === 0 ? bytes / width : 0
}
