import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { MillraceError } from '@millrace/base'
import { ioError } from './io-error.ts'

/** In the locked folder: an empty database that is never written to. */
export const FOLDER_LOCK = '.millrace-lock'

/** A folder that no other process can lock. */
export interface FolderLock {
  /** Gives the folder free. The end of the process does so too, however it ends. */
  release(): Promise<void>
}

/**
 * Locks a folder, which is made when it is not there. Node has no file locks of its own; LevelDB's are the kernel's, so a killed process leaves
 * none behind. Rejects with a `MillraceError` DIRECTORY_LOCKED when another process has it, or the same one a second time.
 */
export async function lockFolder(path: string): Promise<FolderLock> {
  const at = join(path, FOLDER_LOCK)
  try {
    await mkdir(at, { recursive: true })
  } catch (error) {
    throw ioError(path, error)
  }
  return (await open(path, at)) ?? (await openAnew(path, at))
}

/** Null when the database is there and cannot be opened. */
async function open(path: string, at: string): Promise<FolderLock | null> {
  const level = new Level(at)
  try {
    await level.open()
  } catch (error) {
    const { code } = ((error as Error).cause ?? error) as NodeJS.ErrnoException
    if (code !== 'LEVEL_LOCKED') return null
    throw new MillraceError('DIRECTORY_LOCKED', `${path} is in use by another process.`, {
      cause: error,
      fix: 'Stop that process, or name another folder in log.dirs.',
    })
  }
  return { release: () => level.close() }
}

/** Nothing is kept in it, so damage is mended by making it anew. */
async function openAnew(path: string, at: string): Promise<FolderLock> {
  await rm(at, { recursive: true, force: true })
  const lock = await open(path, at)
  if (lock !== null) return lock
  throw new MillraceError('IO_FAILED', `${path} cannot be locked.`, {
    fix: 'The folder must be writable, and the disk must not be full.',
  })
}
