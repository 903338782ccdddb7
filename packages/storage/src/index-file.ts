import type { Disk, File } from '@millrace/base'
import { IndexTable } from './index-table.ts'

/**
 * One index of a segment: the entries that are in its file, and those after them that are only in memory yet. Files are written in pieces,
 * so that the index of a large segment needs little memory. An index is never trusted unseen: who loads it checks it, and rebuilds it.
 */
export class IndexFile {
  readonly path: string
  readonly width: number
  /** Entries in the file. */
  fileCount: number
  /** The entries of the file while they are in memory; null when they must be read first. */
  loaded: IndexTable | null
  tail: IndexTable
  /** The file has changed since a sync of it began. */
  dirty = false
  /** The file holds entries behind those that count. */
  private uncut = false

  constructor(path: string, width: number, fileCount: number) {
    this.path = path
    this.width = width
    this.fileCount = fileCount
    this.loaded = fileCount === 0 ? new IndexTable(width) : null
    this.tail = new IndexTable(width)
  }

  get count(): number {
    return this.fileCount + this.tail.count
  }

  /** The number of leading entries whose key at `at` is at most `key`; null when the file must be loaded to know. */
  countUpTo(key: number, at: number, wide = false): number | null {
    const { tail } = this
    if (tail.count > 0 && (wide ? tail.int64(0, at) : tail.int32(0, at)) <= key)
      return this.fileCount + tail.countUpTo(key, at, wide)
    return this.loaded === null ? null : this.loaded.countUpTo(key, at, wide)
  }

  int32(entry: number, at: number): number {
    return entry >= this.fileCount
      ? this.tail.int32(entry - this.fileCount, at)
      : (this.loaded as IndexTable).int32(entry, at)
  }

  int64(entry: number, at: number): number {
    return entry >= this.fileCount
      ? this.tail.int64(entry - this.fileCount, at)
      : (this.loaded as IndexTable).int64(entry, at)
  }

  /** Moves the entries in memory to the file; true when that made the file. Throws `IoError`, and nothing has changed then. */
  spill(disk: Disk): boolean {
    if (this.tail.count === 0) return false
    const made = this.fileCount === 0
    withFile(disk, this.path, 'append', (file) => {
      // What an earlier process left after the entries that count would be taken for entries.
      if (file.size !== this.fileCount * this.width) file.truncateNow(this.fileCount * this.width)
      file.appendNow([this.tail.content])
    })
    this.dirty = true
    this.fileCount += this.tail.count
    this.loaded = null
    this.tail = new IndexTable(this.width)
    return made
  }

  /** Keeps the first `count` entries; the file is let be where `disk` is null. Throws `IoError`. */
  keep(disk: Disk | null, count: number): void {
    this.tail.count = Math.max(0, Math.min(this.tail.count, count - this.fileCount))
    if (count >= this.fileCount) return
    this.fileCount = count
    this.uncut = true
    if (disk !== null) this.trim(disk)
    this.loaded = count === 0 ? new IndexTable(this.width) : null
  }

  /** The file loses what `keep` left in it. Throws `IoError`. */
  trim(disk: Disk): void {
    if (!this.uncut) return
    withFile(disk, this.path, 'append', (file) => file.truncateNow(this.fileCount * this.width))
    this.uncut = false
    this.dirty = true
  }

  /** The entries of the file, read at once. Throws `IoError`. */
  readNow(disk: Disk): IndexTable {
    if (this.loaded !== null) return this.loaded
    return withFile(disk, this.path, 'read', (file) => {
      const bytes = new Uint8Array(this.fileCount * this.width)
      return new IndexTable(this.width, bytes.subarray(0, file.readNow(0, bytes)))
    })
  }

  /** The last entry of the file alone, read at once; empty when the file has none. Throws `IoError`. */
  lastNow(disk: Disk): IndexTable {
    if (this.fileCount === 0) return new IndexTable(this.width)
    return withFile(disk, this.path, 'read', (file) => {
      const bytes = new Uint8Array(this.width)
      return new IndexTable(this.width, bytes.subarray(0, file.readNow((this.fileCount - 1) * this.width, bytes)))
    })
  }

  /** What is in the file counts no longer; it is overwritten when entries are written next. */
  forget(): void {
    this.fileCount = 0
    this.loaded = new IndexTable(this.width)
    this.tail = new IndexTable(this.width)
  }

  /** Rebuilt entries take the place of those in the file, which counts no longer; those in memory follow them. */
  adopt(rebuilt: IndexTable): void {
    const tail = this.tail.content
    const joined = new Uint8Array(rebuilt.content.length + tail.length)
    joined.set(rebuilt.content)
    joined.set(tail, rebuilt.content.length)
    this.forget()
    this.tail = new IndexTable(this.width, joined)
  }

  /** All entries in memory are in the file now, by a rename. */
  published(): void {
    this.fileCount = this.tail.count
    this.loaded = this.tail
    this.tail = new IndexTable(this.width)
  }
}

/** Opens a file for one use. Throws `IoError`. */
export function withFile<T>(disk: Disk, path: string, how: 'read' | 'append' | 'create', use: (file: File) => T): T {
  const file = disk.openNow(path, how)
  try {
    return use(file)
  } finally {
    file.close(() => undefined)
  }
}
