import type { Disk, Done, File, IoError } from '@millrace/base'

/** Whoever has a file that may be open. One object a file, for as long as the file has one name. */
export interface FileOwner {
  readonly logPath: string
  /** Only a file that gets appends is opened for them. */
  readonly writable: boolean
  /** Written and not synced: its handle must live until then, because a sync of another handle may not tell of a failure. */
  readonly unsynced: boolean
}

interface Handle {
  readonly file: File
  /** Whether appends may use it, too; a file that was opened for reading is opened again by the first of them. */
  readonly writable: boolean
}

/** Keeps at most so many log files open, and closes those that were not used for the longest time. */
export class OpenFiles {
  private readonly disk: Disk
  private readonly limit: number
  private readonly crowded: () => void
  /** In order of use. */
  private readonly handles = new Map<FileOwner, Handle>()
  private readonly opening = new Map<FileOwner, Done<File>[]>()

  /** `crowded` is called when more than `limit` stay open because they are not synced. */
  constructor(disk: Disk, limit: number, crowded: () => void) {
    this.disk = disk
    this.limit = limit
    this.crowded = crowded
  }

  get count(): number {
    return this.handles.size
  }

  /** The file, opened at once where it is not open. Throws `IoError`. */
  now(owner: FileOwner): File {
    const handle = this.handles.get(owner)
    if (handle !== undefined && (handle.writable || !owner.writable)) return this.used(owner, handle)
    const file = this.disk.openNow(owner.logPath, owner.writable ? 'append' : 'read')
    return this.keep(owner, file)
  }

  /** A file that was just made. */
  keep(owner: FileOwner, file: File): File {
    return this.hold(owner, { file, writable: owner.writable })
  }

  /** The file for reading, opened in the background where it is not open; `done` may be called within the call. */
  later(owner: FileOwner, done: Done<File>): void {
    const handle = this.handles.get(owner)
    if (handle !== undefined) return done(null, this.used(owner, handle))
    const waiting = this.opening.get(owner)
    if (waiting !== undefined) return void waiting.push(done)
    const waiters = [done]
    this.opening.set(owner, waiters)
    this.disk.open(owner.logPath, 'read', (error, file) => this.opened(owner, waiters, error, file))
  }

  // oxlint-disable-next-line max-params -- the two arguments of a callback, and whom it is for.
  private opened(owner: FileOwner, waiters: readonly Done<File>[], error: IoError | null, file: File): void {
    // The file may have been closed meanwhile, as its log is, or opened at once: then this handle serves these reads only.
    const awaited = this.opening.get(owner) === waiters
    if (awaited) this.opening.delete(owner)
    if (error === null && awaited && !this.handles.has(owner)) this.hold(owner, { file, writable: false })
    for (const done of waiters) done(error, file)
    if (error === null && this.handles.get(owner)?.file !== file) file.close(() => undefined)
  }

  private hold(owner: FileOwner, handle: Handle): File {
    this.close(owner)
    this.handles.set(owner, handle)
    this.trim(owner)
    return handle.file
  }

  private used(owner: FileOwner, handle: Handle): File {
    this.handles.delete(owner)
    this.handles.set(owner, handle)
    return handle.file
  }

  /** Closes the file once its reads have ended; nothing when it is not open. */
  close(owner: FileOwner): void {
    this.opening.delete(owner)
    const handle = this.handles.get(owner)
    if (handle === undefined) return
    this.handles.delete(owner)
    handle.file.close(() => undefined)
  }

  /** Files were synced, so that more of them may be closed. */
  synced(): void {
    this.trim(null)
  }

  /** Whoever needs a file now gets it, whatever the limit: all others may be unsynced. */
  private trim(needed: FileOwner | null): void {
    if (this.handles.size <= this.limit) return
    for (const owner of this.handles.keys()) {
      if (owner.unsynced || owner === needed) continue
      this.close(owner)
      if (this.handles.size <= this.limit) return
    }
    this.crowded()
  }
}
