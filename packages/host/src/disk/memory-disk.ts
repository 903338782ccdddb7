import { IoError } from '@millrace/base'
import type { Clock, DirEntry, Disk, Done, File, IoErrorCode, OpenHow } from '@millrace/base'
import { LaterTurns } from '../turns.ts'
import { MemoryBytes } from './memory-bytes.ts'
import { MemoryFile } from './memory-file.ts'
import type { MemoryNode, MemorySpace } from './memory-space.ts'

/** How a {@link MemoryDisk} behaves. */
export interface MemoryDiskOptions {
  readonly clock: Clock
  /** How many bytes all files together may hold; past it appends fail with ENOSPC. */
  readonly quotaBytes?: number
}

interface Folder {
  readonly entries: Map<string, MemoryNode | Folder>
  modifiedMs: number
}

/** A disk in memory: the same names, errors and open-file rules as a real one, gone with the object. */
export class MemoryDisk implements Disk, MemorySpace {
  readonly clock: Clock
  readonly turns = new LaterTurns()
  private readonly quotaBytes: number
  private readonly root: Folder
  private usedBytes = 0

  constructor(options: MemoryDiskOptions) {
    this.clock = options.clock
    this.quotaBytes = options.quotaBytes ?? 2 ** 42
    this.root = { entries: new Map(), modifiedMs: this.clock.wallMs() }
  }

  take(bytes: number): boolean {
    if (this.usedBytes + bytes > this.quotaBytes) return false
    this.usedBytes += bytes
    return true
  }

  open(path: string, how: OpenHow, done: Done<File>): void {
    this.answer(path, done, () => this.openNow(path, how))
  }

  openNow(path: string, how: OpenHow): File {
    const { folder, name } = this.place(path)
    let node = folder.entries.get(name)
    if (node !== undefined && isFolder(node)) throw new IoError('EIO', path, 'it is not a file')
    if (node === undefined && how === 'read') throw new IoError('ENOENT', path, 'no such file')
    if (node === undefined) {
      node = { bytes: new MemoryBytes(), modifiedMs: this.clock.wallMs() }
      this.link(folder, name, node)
    }
    const file = new MemoryFile(path, node, how, this)
    if (how === 'create') file.truncateNow(0)
    return file
  }

  list(path: string, done: Done<readonly DirEntry[]>): void {
    this.answer(path, done, () => {
      const entries = [...this.folder(path).entries].map(([name, node]) => entryOf(name, node))
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    })
  }

  mkdir(path: string, done: Done<void>): void {
    this.answer(path, done, () => {
      let folder = this.root
      for (const name of names(path)) {
        let next = folder.entries.get(name)
        if (next === undefined)
          this.link(folder, name, (next = { entries: new Map(), modifiedMs: this.clock.wallMs() }))
        if (!isFolder(next)) throw new IoError('EEXIST', path, 'a file has this name')
        folder = next
      }
    })
  }

  rename(from: string, to: string, done: Done<void>): void {
    this.answer(from, done, () => this.renameNow(from, to))
  }

  renameNow(from: string, to: string): void {
    if (isWithin(names(from), names(to))) throw new IoError('EIO', from, 'a folder cannot move into itself')
    const source = this.place(from)
    const target = this.place(to)
    const node = source.folder.entries.get(source.name)
    if (node === undefined) throw new IoError('ENOENT', from, 'no such file')
    const replaced = target.folder.entries.get(target.name)
    if (replaced === node) return
    if (replaced !== undefined) this.checkReplaceable(node, replaced, to)
    if (replaced !== undefined && !isFolder(replaced)) this.unlink(replaced)
    source.folder.entries.delete(source.name)
    this.link(target.folder, target.name, node)
  }

  remove(path: string, done: Done<void>): void {
    this.answer(path, done, () => {
      const { folder, name } = this.place(path)
      const node = folder.entries.get(name)
      if (node === undefined) throw new IoError('ENOENT', path, 'no such file')
      this.unlink(node)
      folder.entries.delete(name)
      folder.modifiedMs = this.clock.wallMs()
    })
  }

  syncDir(path: string, done: Done<void>): void {
    this.answer(path, done, () => void this.folder(path))
  }

  freeBytes(path: string, done: Done<number>): void {
    this.answer(path, done, () => {
      if (names(path).length > 0 && !this.exists(path)) throw new IoError('ENOENT', path, 'no such file')
      return this.quotaBytes - this.usedBytes
    })
  }

  /** Does `work` now, so that calls take effect in their order, and answers later. */
  private answer<T>(path: string, done: Done<T>, work: () => T): void {
    let value: T
    try {
      value = work()
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      return this.turns.later(() => done(new IoError(error.code, path, error.message), undefined as T))
    }
    this.turns.later(() => done(null, value))
  }

  private link(folder: Folder, name: string, node: MemoryNode | Folder): void {
    folder.entries.set(name, node)
    folder.modifiedMs = this.clock.wallMs()
  }

  /** Gives the space back at once; a real disk waits for the last open handle. */
  private unlink(node: MemoryNode | Folder): void {
    if (!isFolder(node)) this.take(-node.bytes.release())
    else for (const inner of node.entries.values()) this.unlink(inner)
  }

  private checkReplaceable(node: MemoryNode | Folder, replaced: MemoryNode | Folder, path: string): void {
    let code: IoErrorCode | null = null
    if (isFolder(node) !== isFolder(replaced)) code = isFolder(node) ? 'ENOENT' : 'EIO'
    else if (isFolder(replaced) && replaced.entries.size > 0) code = 'EEXIST'
    if (code !== null) throw new IoError(code, path, 'cannot be replaced')
  }

  private exists(path: string): boolean {
    const { folder, name } = this.place(path)
    return folder.entries.has(name)
  }

  private place(path: string): { folder: Folder; name: string } {
    const all = names(path)
    const name = all.pop()
    if (name === undefined) throw new IoError('EACCES', path, 'the root cannot be changed')
    return { folder: this.walk(all, path), name }
  }

  private folder(path: string): Folder {
    return this.walk(names(path), path)
  }

  private walk(all: readonly string[], path: string): Folder {
    let folder = this.root
    for (const name of all) {
      const next = folder.entries.get(name)
      if (next === undefined || !isFolder(next)) throw new IoError('ENOENT', path, 'no such directory')
      folder = next
    }
    return folder
  }
}

function isFolder(node: MemoryNode | Folder): node is Folder {
  return 'entries' in node
}

function entryOf(name: string, node: MemoryNode | Folder): DirEntry {
  if (isFolder(node)) return { name, kind: 'directory', size: 0, modifiedMs: node.modifiedMs }
  return { name, kind: 'file', size: node.bytes.size, modifiedMs: node.modifiedMs }
}

function names(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.')
}

function isWithin(outer: readonly string[], inner: readonly string[]): boolean {
  return inner.length > outer.length && outer.every((name, at) => inner[at] === name)
}
