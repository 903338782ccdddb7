import nodeFs from 'node:fs'
import type { Dirent } from 'node:fs'
import { join } from 'node:path'
import { type DirEntry, type Disk, type Done, type File, IoError, type OpenHow } from '@millrace/base'
import { ioError } from '../io-error.ts'
import { NodeFile } from './node-file.ts'
import type { FileCalls } from './node-file.ts'

const { O_CREAT, O_DSYNC, O_RDONLY, O_RDWR, O_TRUNC } = nodeFs.constants
/** `append` writes at a known end by position, so the flag O_APPEND, which ignores positions, is not wanted. */
const FLAGS = {
  read: O_RDONLY,
  append: O_RDWR | O_CREAT,
  create: O_RDWR | O_CREAT | O_TRUNC,
  // A write that returns when it is on disk costs a third of a write and a sync.
  overwrite: O_RDWR | O_CREAT | O_DSYNC,
} satisfies Record<OpenHow, number>
/** How many `stat` calls of one listing run at once: the thread pool is shared with syncs and reads. */
const STATS_AT_ONCE = 16

function noFile(path: string): IoError {
  return new IoError('EIO', path, 'it is not a file')
}

/** The machine's file system. */
export class NodeDisk implements Disk {
  private readonly calls: FileCalls

  /** `calls` stands in for `node:fs` where a test injects the failure of a system call into open files. */
  constructor(calls: FileCalls = nodeFs) {
    this.calls = calls
  }

  open(path: string, how: OpenHow, done: Done<File>): void {
    nodeFs.open(path, FLAGS[how], 0o644, (error, fd) => {
      if (error !== null) return done(ioError(path, error), NO_FILE)
      nodeFs.fstat(fd, (failed, stats) => {
        if (failed === null && stats.isFile()) done(null, new NodeFile(path, fd, stats.size, how, this.calls))
        else nodeFs.close(fd, () => done(ioError(path, failed ?? noFile(path)), NO_FILE))
      })
    })
  }

  openNow(path: string, how: OpenHow): File {
    let fd = -1
    try {
      fd = nodeFs.openSync(path, FLAGS[how], 0o644)
      const stats = nodeFs.fstatSync(fd)
      if (!stats.isFile()) throw noFile(path)
      return new NodeFile(path, fd, stats.size, how, this.calls)
    } catch (cause) {
      if (fd !== -1) nodeFs.closeSync(fd)
      throw ioError(path, cause)
    }
  }

  list(path: string, done: Done<readonly DirEntry[]>): void {
    nodeFs.readdir(path, { withFileTypes: true }, (error, found) => {
      if (error !== null) done(ioError(path, error), [])
      else new Listing(path, found, done).start()
    })
  }

  mkdir(path: string, done: Done<void>): void {
    nodeFs.mkdir(path, { recursive: true }, (error) => done(failure(path, error)))
  }

  rename(from: string, to: string, done: Done<void>): void {
    nodeFs.rename(from, to, (error) => done(failure(from, error)))
  }

  renameNow(from: string, to: string): void {
    try {
      nodeFs.renameSync(from, to)
    } catch (cause) {
      throw ioError(from, cause)
    }
  }

  remove(path: string, done: Done<void>): void {
    nodeFs.unlink(path, (error) => {
      if (error === null || error.code === 'ENOENT') return done(failure(path, error))
      nodeFs.rm(path, { recursive: true }, (failed) => done(failure(path, failed)))
    })
  }

  syncDir(path: string, done: Done<void>): void {
    nodeFs.open(path, O_RDONLY, (error, fd) => {
      if (error !== null) return done(ioError(path, error))
      nodeFs.fsync(fd, (failed) => nodeFs.close(fd, (unclosed) => done(failure(path, failed ?? unclosed))))
    })
  }

  freeBytes(path: string, done: Done<number>): void {
    nodeFs.statfs(path, (error, stats) => {
      if (error === null) done(null, stats.bavail * stats.bsize)
      else done(ioError(path, error), 0)
    })
  }
}

/** Stands where a failed call has no value; callers look at the error first. */
const NO_FILE = null as unknown as File

function failure(path: string, error: unknown): ReturnType<typeof ioError> | null {
  return error === null || error === undefined ? null : ioError(path, error)
}

/** One call of `list`: the sizes and times of all entries, sorted by name. What vanishes meanwhile is left out. */
class Listing {
  private readonly path: string
  private readonly found: Dirent[]
  private readonly done: Done<readonly DirEntry[]>
  private readonly entries: DirEntry[] = []
  private asked = 0
  private answered = 0
  private failed: unknown = null

  constructor(path: string, found: Dirent[], done: Done<readonly DirEntry[]>) {
    this.path = path
    this.found = found
    this.done = done
  }

  start(): void {
    if (this.found.length === 0) this.done(null, [])
    else while (this.asked < this.found.length && this.asked < STATS_AT_ONCE) this.askNext()
  }

  private askNext(): void {
    const { name } = this.found[this.asked++] as Dirent
    nodeFs.stat(join(this.path, name), (error, stats) => {
      if (error === null) {
        const kind = stats.isDirectory() ? 'directory' : 'file'
        this.entries.push({ name, kind, size: kind === 'file' ? stats.size : 0, modifiedMs: Math.floor(stats.mtimeMs) })
      } else if (error.code !== 'ENOENT') this.failed = error
      this.answered++
      if (this.asked < this.found.length) this.askNext()
      else if (this.answered === this.found.length) this.finish()
    })
  }

  private finish(): void {
    if (this.failed !== null) return this.done(ioError(this.path, this.failed), [])
    this.entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    this.done(null, this.entries)
  }
}
