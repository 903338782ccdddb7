import { IoError, type Disk, type Done, type File } from '@millrace/base'

/** A file in a folder. */
export interface FilePlace {
  readonly directory: string
  readonly name: string
}

export function pathOf({ directory, name }: FilePlace): string {
  return `${directory}/${name}`
}

/** The folder in which the last name of a path is. */
export function parentOf(path: string): string {
  const at = path.lastIndexOf('/')
  if (at > 0) return path.slice(0, at)
  return at === 0 ? '/' : '.'
}

/**
 * Writes a whole file so that after a crash either the old content is there or the new one: a temporary file, synced, renamed
 * over the name, and the folder synced.
 */
export function writeDurably(disk: Disk, place: FilePlace, parts: readonly Uint8Array[], done: Done<void>): void {
  const temporary = `${pathOf(place)}.tmp`
  disk.open(temporary, 'create', (error, file) => {
    if (error !== null) return done(error)
    const failed = attempt(temporary, () => file.appendNow(parts))
    if (failed !== null) return closeWith(file, failed, done)
    sealFile(disk, file, { ...place, temporary }, done)
  })
}

/** Makes an open temporary file durable under its final name, and closes it. */
export function sealFile(
  disk: Disk,
  file: File,
  place: FilePlace & { readonly temporary: string },
  done: Done<void>,
): void {
  file.sync((error) => {
    if (error !== null) return closeWith(file, error, done)
    file.close((error) => {
      if (error !== null) return done(error)
      disk.rename(place.temporary, pathOf(place), (error) => {
        if (error !== null) return done(error)
        disk.syncDir(place.directory, done)
      })
    })
  })
}

/** The content of a file, or null when there is none. */
export function readWhole(disk: Disk, path: string, done: Done<Uint8Array | null>): void {
  disk.open(path, 'read', (error, file) => {
    if (error?.code === 'ENOENT') return done(null, null)
    if (error !== null) return done(error, null)
    const content = new Uint8Array(file.size)
    fill(file, content, 0, (error, filled) => {
      file.close(() => done(error, error === null ? content.subarray(0, filled) : null))
    })
  })
}

/** Removes a file that may not be there. What cannot be removed is left: it only takes space. */
export function removeQuietly(disk: Disk, path: string): void {
  disk.remove(path, () => {})
}

function fill(file: File, content: Uint8Array, at: number, done: Done<number>): void {
  if (at === content.length) return done(null, at)
  file.read(at, content.subarray(at), (error, count) => {
    if (error !== null || count === 0) return done(error, at)
    fill(file, content, at + count, done)
  })
}

/** Runs what throws `IoError` when the disk refuses. */
export function attempt(path: string, work: () => void): IoError | null {
  try {
    work()
    return null
  } catch (error) {
    return error instanceof IoError ? error : new IoError('EIO', path, String(error), error)
  }
}

function closeWith(file: File, error: IoError, done: Done<void>): void {
  file.close(() => done(error))
}
