import { IoError } from './errors.ts'
import type { Disk, Done, File } from './world.ts'

/** More than a checkpoint or an identity ever has. */
const MAX_BYTES = 64 * 1024 * 1024

/**
 * The whole content of a small file; null when there is none. Fails with EIO, before anything is read, where the file is larger than
 * `maxBytes` (64 MiB): it is not what it should be.
 */
export function readSmallFile(disk: Disk, path: string, done: Done<Uint8Array | null>, maxBytes = MAX_BYTES): void {
  disk.open(path, 'read', (error, file) => {
    if (error !== null) return error.code === 'ENOENT' ? done(null, null) : done(error, null)
    if (file.size > maxBytes)
      return closeWith(file, new IoError('EIO', path, `${file.size} bytes are too many for this file`), done)
    const into = new Uint8Array(file.size)
    fill(file, into, 0, (failed, count) =>
      file.close(() => done(failed, failed === null ? into.subarray(0, count) : null)),
    )
  })
}

/**
 * Replaces a small file as one step: whoever reads it, also after a crash, finds the old or the new content, and after `done` said null the
 * new one. A crash or an error may leave `NAME.tmp` in the folder, which the next call overwrites. `folder` is the file's folder.
 */
export function replaceSmallFile(
  disk: Disk,
  folder: string,
  name: string,
  content: Uint8Array | readonly Uint8Array[],
): (done: Done<void>) => void {
  const path = `${folder}/${name}`
  const parts = content instanceof Uint8Array ? [content] : content
  return (done) => {
    disk.open(`${path}.tmp`, 'create', (error, file) => {
      if (error !== null) return done(error)
      const refused = tryAppend(file, parts)
      if (refused !== null) return closeWith(file, refused, done)
      publishFile(disk, file, path, done)
    })
  }
}

/** Gives an open file its final name, in the same folder, once its content is durable, and closes it. Durable with its name at `done`. */
export function publishFile(disk: Disk, file: File, path: string, done: Done<void>): void {
  file.sync((unsynced) => {
    if (unsynced !== null) return closeWith(file, unsynced, done)
    file.close((unclosed) => {
      if (unclosed !== null) return done(unclosed)
      disk.rename(file.path, path, (unnamed) => {
        if (unnamed !== null) return done(unnamed)
        disk.syncDir(parentOf(path), done)
      })
    })
  })
}

/** Appends to the page cache; the answer is why the disk refused, or null. */
export function tryAppend(file: File, parts: readonly Uint8Array[]): IoError | null {
  try {
    file.appendNow(parts)
    return null
  } catch (error) {
    if (error instanceof IoError) return error
    throw error
  }
}

/** The folder in which the last name of a path is. */
export function parentOf(path: string): string {
  const at = path.replace(/\/+$/, '').lastIndexOf('/')
  return at < 0 ? '.' : path.slice(0, Math.max(at, 1))
}

function fill(file: File, into: Uint8Array, at: number, done: Done<number>): void {
  if (at === into.length) return done(null, at)
  file.read(at, into.subarray(at), (error, count) => {
    if (error !== null || count === 0) return done(error, at)
    fill(file, into, at + count, done)
  })
}

function closeWith<T>(file: File, error: IoError, done: Done<T>): void {
  file.close(() => done(error, undefined as T))
}
