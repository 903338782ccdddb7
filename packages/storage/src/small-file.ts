import { type Disk, type Done, type File, IoError } from '@millrace/base'

/** Checkpoints are small; a larger file is not one. */
const MAX_BYTES = 64 * 1024 * 1024

/** The whole content of a small file; null when there is none. */
export function readSmallFile(disk: Disk, path: string, done: Done<Uint8Array | null>): void {
  disk.open(path, 'read', (error, file) => {
    if (error !== null) return error.code === 'ENOENT' ? done(null, null) : done(error, null)
    if (file.size > MAX_BYTES)
      return closeWith(file, new IoError('EIO', path, `${file.size} bytes are no checkpoint`), done)
    const into = new Uint8Array(file.size)
    file.read(0, into, (failed, count) =>
      file.close(() => done(failed, failed === null ? into.subarray(0, count) : null)),
    )
  })
}

/**
 * Replaces a small file as one step: whoever reads it, also after a crash, finds the old or the new content, and after `done` the new one.
 * `folder` is the file's folder.
 */
export function replaceSmallFile(
  disk: Disk,
  folder: string,
  name: string,
  content: Uint8Array,
): (done: Done<void>) => void {
  const path = `${folder}/${name}`
  return (done) => {
    disk.open(`${path}.tmp`, 'create', (error, file) => {
      if (error !== null) return done(error)
      try {
        file.appendNow([content])
      } catch (cause) {
        return closeWith(file, cause as IoError, done)
      }
      file.sync((unsynced) => {
        if (unsynced !== null) return closeWith(file, unsynced, done)
        file.close(() => publish(disk, folder, name, done))
      })
    })
  }
}

function publish(disk: Disk, folder: string, name: string, done: Done<void>): void {
  disk.rename(`${folder}/${name}.tmp`, `${folder}/${name}`, (error) => {
    if (error !== null) return done(error)
    disk.syncDir(folder, done)
  })
}

function closeWith<T>(file: File, error: IoError, done: Done<T>): void {
  file.close(() => done(error, undefined as T))
}
