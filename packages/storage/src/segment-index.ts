import type { Disk } from '@millrace/base'
import { IndexFile } from './index-file.ts'
import {
  type IndexTable,
  isOffsetTable,
  isTimeTable,
  OFFSET_ENTRY_BYTES,
  pushOffsetEntry,
  pushTimeEntry,
  TIME_ENTRY_BYTES,
} from './index-table.ts'

/** How many entries wait in memory before they are written: those of 4 MiB of log at the usual interval. */
const SPILL_ENTRIES = 1024

/** Where to begin to look: a batch begins at `position`, and ends with `lastOffset` (-1 where it is the segment's first). */
export interface IndexedPosition {
  readonly position: number
  /** Relative to the segment's base. */
  readonly lastOffset: number
}

const START: IndexedPosition = { position: 0, lastOffset: -1 }

/** What one batch tells the index. Offsets are relative to the segment's base. */
export interface IndexedBatch {
  readonly position: number
  readonly size: number
  readonly lastOffset: number
  readonly maxTimestamp: number
}

/**
 * The sparse indexes of one segment, entry for entry as Apache Kafka writes them: before a batch is counted, once more than the interval
 * was written since the last entry, (last offset, position) of that batch and (largest timestamp so far, its offset).
 */
export class SegmentIndex {
  readonly offsets: IndexFile
  readonly times: IndexFile
  /** The largest timestamp of the segment; -1 for none. Known once the segment is awake. */
  maxTimestamp = -1
  /** The last offset of the first batch that has it, relative to the base. */
  offsetOfMax = 0
  /** Raised when the division into file and memory changes: what was read from the files before does not fit then. */
  version = 0
  private bytesSince = 0
  private lastTime = -1
  private lastTimeOffset = 0

  constructor(pathWithoutKind: string, offsetEntries: number, timeEntries: number) {
    this.offsets = new IndexFile(`${pathWithoutKind}.index`, OFFSET_ENTRY_BYTES, offsetEntries)
    this.times = new IndexFile(`${pathWithoutKind}.timeindex`, TIME_ENTRY_BYTES, timeEntries)
  }

  get wantsSpill(): boolean {
    return this.offsets.tail.count >= SPILL_ENTRIES
  }

  get hasUnwritten(): boolean {
    return this.offsets.tail.count + this.times.tail.count > 0
  }

  isFull(maxBytes: number): boolean {
    return (
      (this.offsets.count + 1) * OFFSET_ENTRY_BYTES > maxBytes || (this.times.count + 2) * TIME_ENTRY_BYTES > maxBytes
    )
  }

  add(batch: IndexedBatch, intervalBytes: number): void {
    if (batch.maxTimestamp > this.maxTimestamp) {
      this.maxTimestamp = batch.maxTimestamp
      this.offsetOfMax = batch.lastOffset
    }
    if (this.bytesSince > intervalBytes) {
      pushOffsetEntry(this.offsets.tail, batch.lastOffset, batch.position)
      this.addTimeEntry()
      this.bytesSince = 0
    }
    this.bytesSince += batch.size
  }

  /** The segment gets no more batches: its last time entry tells its largest timestamp. */
  finish(): void {
    this.addTimeEntry()
  }

  private addTimeEntry(): void {
    if (this.maxTimestamp <= this.lastTime || this.offsetOfMax < this.lastTimeOffset) return
    this.lastTime = this.maxTimestamp
    this.lastTimeOffset = this.offsetOfMax
    pushTimeEntry(this.times.tail, this.maxTimestamp, this.offsetOfMax)
  }

  /** The last indexed batch that ends at or below the offset; null when the file must be loaded to know. */
  before(relativeOffset: number): IndexedPosition | null {
    const count = this.offsets.countUpTo(relativeOffset, 0)
    return count === null ? null : this.entry(count - 1)
  }

  /**
   * The last indexed batch that ends at or below the offset, and of which the time index is sure to tell all: after a crash either file may
   * have lost its end, and a time entry that is there proves the ones before it. Both files must be loaded.
   */
  surelyBefore(relativeOffset: number): IndexedPosition {
    const { times, offsets } = this
    const sure = times.count === 0 ? -1 : times.int32(times.count - 1, 8)
    return this.entry((offsets.countUpTo(Math.min(relativeOffset, sure), 0) as number) - 1)
  }

  private entry(at: number): IndexedPosition {
    return at < 0 ? START : { position: this.offsets.int32(at, 4), lastOffset: this.offsets.int32(at, 0) }
  }

  /** Nothing at or below this relative offset is as late as `timestamp`; -1 where the index says nothing, null to load. */
  offsetBeforeTime(timestamp: number): number | null {
    const count = this.times.countUpTo(timestamp - 1, 0, true)
    if (count === null) return null
    return count === 0 ? -1 : this.times.int32(count - 1, 8)
  }

  /** Writes what is only in memory; true when a file was made for it. Throws `IoError`; nothing is lost then. */
  spill(disk: Disk): boolean {
    this.version++
    const made = this.offsets.spill(disk)
    return this.times.spill(disk) || made
  }

  /** Takes over entries that were made anew from the log, up to where the entries in memory begin. */
  adopt(rebuilt: SegmentIndex): void {
    this.version++
    this.offsets.adopt(rebuilt.offsets.tail)
    this.times.adopt(rebuilt.times.tail)
  }

  /** Files that changed since they were synced. */
  get dirtyFiles(): IndexFile[] {
    return [this.offsets, this.times].filter(({ dirty, fileCount }) => dirty && fileCount > 0)
  }

  /**
   * Keeps the entries up to and including that of `kept`, whose batch has `keptBytes`; what follows is told again by `add`. Both files
   * must be loaded. The files are let be where `disk` is null. Throws `IoError`.
   */
  rewind(disk: Disk | null, kept: IndexedPosition, keptBytes: number): void {
    this.version++
    const offsets = kept.lastOffset < 0 ? 0 : (this.offsets.countUpTo(kept.lastOffset, 0) as number)
    let times = kept.lastOffset < 0 ? 0 : this.times.count
    while (times > 0 && this.times.int32(times - 1, 8) > kept.lastOffset) times--
    const lastTime = times === 0 ? -1 : this.times.int64(times - 1, 0)
    const lastTimeOffset = times === 0 ? 0 : this.times.int32(times - 1, 8)
    this.offsets.keep(disk, offsets)
    this.times.keep(disk, times)
    this.resume(keptBytes, lastTime, lastTimeOffset)
  }

  /** The files lose what a `rewind` left in them. Throws `IoError`. */
  trim(disk: Disk): void {
    this.offsets.trim(disk)
    this.times.trim(disk)
  }

  /**
   * The state right after the batch of the last entry was counted. An entry is made when its batch is counted, so its time is the
   * largest up to and including that batch.
   */
  resume(bytesSince: number, lastTime: number, lastTimeOffset: number): void {
    this.bytesSince = bytesSince
    this.lastTime = lastTime
    this.lastTimeOffset = lastTimeOffset
    this.maxTimestamp = lastTime
    this.offsetOfMax = lastTimeOffset
  }

  /** Begins anew, as if nothing was indexed. */
  forget(): void {
    this.version++
    this.offsets.forget()
    this.times.forget()
    this.resume(0, -1, 0)
  }

  /** Gives back the memory of entries that are in the files. */
  unload(): void {
    if (this.offsets.fileCount > 0) this.offsets.loaded = null
    if (this.times.fileCount > 0) this.times.loaded = null
  }

  /** Memory that entries of the files take at present. */
  get loadedBytes(): number {
    const { offsets, times } = this
    return (offsets.loaded?.count ?? 0) * offsets.width + (times.loaded?.count ?? 0) * times.width
  }

  /** Whether loaded entries can be those of a log file of `size` bytes. */
  static plausible(offsets: IndexTable, times: IndexTable, size: number): boolean {
    return isOffsetTable(offsets, size) && isTimeTable(times)
  }
}
