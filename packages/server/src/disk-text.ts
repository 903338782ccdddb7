import type { Disk, Done, DirEntry, File, IoError } from '@millrace/base'

/** A call with a `Done` as a promise; for start and stop only. */
export function promised<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, value) => (error === null ? resolve(value) : reject(error))))
}

/** The text of a small file, or null when it is not there. */
export async function readText(disk: Disk, path: string): Promise<string | null> {
  let file: File
  try {
    file = await promised<File>((done) => disk.open(path, 'read', done))
  } catch (error) {
    if ((error as IoError).code === 'ENOENT') return null
    throw error
  }
  try {
    const bytes = new Uint8Array(file.size)
    const read = await promised<number>((done) => file.read(0, bytes, done))
    return Buffer.from(bytes.buffer, 0, read).toString('utf8')
  } finally {
    await promised<void>((done) => file.close(done))
  }
}

/** Replaces a small file so that a crash leaves the old text or the new one. */
export async function replaceText(disk: Disk, folder: string, name: string, text: string): Promise<void> {
  const temporary = `${folder}/${name}.tmp`
  const file = await promised<File>((done) => disk.open(temporary, 'create', done))
  file.appendNow([Buffer.from(text, 'utf8')])
  await promised<void>((done) => file.sync(done))
  await promised<void>((done) => file.close(done))
  await promised<void>((done) => disk.rename(temporary, `${folder}/${name}`, done))
  await promised<void>((done) => disk.syncDir(folder, done))
}

/**
 * Makes the names of a folder and of all above it durable: a power cut takes a folder whose name is only in memory, with everything in it
 * that was synced. One that this process may not open was made by somebody else.
 */
export async function syncNames(disk: Disk, path: string): Promise<void> {
  const parts = path.split('/')
  while (parts.length > 1) {
    parts.pop()
    const parent = parts.join('/') || '/'
    await new Promise<void>((resolve) => disk.syncDir(parent, () => resolve()))
  }
}

/** What a folder holds; it is made when it is not there. */
export async function listMaking(disk: Disk, path: string): Promise<readonly DirEntry[]> {
  await promised<void>((done) => disk.mkdir(path, done))
  return promised<readonly DirEntry[]>((done) => disk.list(path, done))
}
