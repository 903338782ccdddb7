import { IoError } from '@millrace/base'
import type { DirEntry, IoErrorCode, Random } from '@millrace/base'
import type { DurableRaft } from './durable-raft.ts'
import { FileContent } from './file-content.ts'

/** A folder: its names as programs see them, and as they are on the platter. */
export class Folder {
  entries = new Map<string, Entry>()
  durable = new Map<string, Entry>()
  modifiedMs = 0
  /** The Raft store that has this folder to itself. */
  raft: DurableRaft | null = null
}

export type Entry = Folder | FileContent

/** A place for a name. */
export interface Place {
  readonly folder: Folder
  readonly name: string
}

/** A change of names: one step, whole or not at all, volatile until a folder that it touches is synced. */
type NameChange =
  | { readonly kind: 'link'; readonly at: Place; readonly entry: Entry }
  | { readonly kind: 'unlink'; readonly at: Place }
  | { readonly kind: 'rename'; readonly from: Place; readonly at: Place; readonly entry: Entry }

/** The names of a disk. A power cut keeps an arbitrary part of the changes that no sync of their folder made durable. */
export class Names {
  readonly root = new Folder()
  private pending: NameChange[] = []
  private files = 0

  /** The place of a path, whether something is there or not. ENOENT without its folder. */
  place(path: string): Place {
    const all = split(path)
    const name = all.pop()
    if (name === undefined) throw new IoError('EACCES', path, 'the root cannot be changed')
    return { folder: this.walk(all, path), name }
  }

  folder(path: string): Folder {
    return this.walk(split(path), path)
  }

  find(path: string): Entry | undefined {
    let entry: Entry | undefined = this.root
    for (const name of split(path)) entry = entry instanceof Folder ? entry.entries.get(name) : undefined
    return entry
  }

  /** A new file with this name. */
  create(at: Place, nowMs: number): FileContent {
    const content = new FileContent(++this.files)
    content.modifiedMs = nowMs
    this.change({ kind: 'link', at, entry: content }, nowMs)
    return content
  }

  makeFolders(path: string, nowMs: number): void {
    let folder = this.root
    for (const name of split(path)) {
      let next = folder.entries.get(name)
      if (next === undefined) {
        next = new Folder()
        this.change({ kind: 'link', at: { folder, name }, entry: next }, nowMs)
      }
      if (!(next instanceof Folder)) throw new IoError('EEXIST', path, 'a file has this name')
      folder = next
    }
  }

  /** Moves a name; returns what it replaced. */
  rename(fromPath: string, toPath: string, nowMs: number): Entry | undefined {
    if (isWithin(split(fromPath), split(toPath))) throw new IoError('EIO', fromPath, 'a folder cannot move into itself')
    const from = this.place(fromPath)
    const at = this.place(toPath)
    const entry = from.folder.entries.get(from.name)
    if (entry === undefined) throw new IoError('ENOENT', fromPath, 'no such file')
    const replaced = at.folder.entries.get(at.name)
    if (replaced === entry) return undefined
    if (replaced !== undefined) checkReplaceable(entry, replaced, toPath)
    this.change({ kind: 'rename', from, at, entry }, nowMs)
    return replaced
  }

  /**
   * Takes a name away, of a folder after the names in it: one by one, as a system does. A process that dies meanwhile has taken away only
   * the first `limit`.
   */
  remove(path: string, nowMs: number, limit = Number.POSITIVE_INFINITY): FileContent[] {
    const place = this.place(path)
    const entry = place.folder.entries.get(place.name)
    if (entry === undefined) throw new IoError('ENOENT', path, 'no such file')
    const removed: FileContent[] = []
    for (const at of placesWithin(entry).concat(place).slice(0, limit)) {
      const gone = at.folder.entries.get(at.name)
      if (gone instanceof FileContent) removed.push(gone)
      this.change({ kind: 'unlink', at }, nowMs)
    }
    return removed
  }

  list(path: string): DirEntry[] {
    const entries: DirEntry[] = []
    for (const [name, entry] of this.folder(path).entries) {
      const { modifiedMs } = entry
      if (entry instanceof Folder) entries.push({ name, kind: 'directory', size: 0, modifiedMs })
      else entries.push({ name, kind: 'file', size: entry.size, modifiedMs })
    }
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Every change that touches the folder gets to the platter. */
  sync(folder: Folder): void {
    if (this.pending.length === 0) return
    const rest: NameChange[] = []
    for (const change of this.pending) {
      const touches = change.at.folder === folder || (change.kind === 'rename' && change.from.folder === folder)
      if (touches) applyDurably(change)
      else rest.push(change)
    }
    this.pending = rest
  }

  powerCut(random: Random, survivesPercent: number): void {
    for (const change of this.pending) if (random.below(100) < survivesPercent) applyDurably(change)
    this.pending = []
    revive(this.root)
  }

  wipe(): void {
    this.root.entries.clear()
    this.root.durable.clear()
    this.pending = []
  }

  /** A name that is gone as if it had never been there. */
  drop(at: Place): void {
    at.folder.entries.delete(at.name)
    at.folder.durable.delete(at.name)
    this.pending = this.pending.filter((change) => change.at.folder !== at.folder || change.at.name !== at.name)
  }

  /** All files with their paths and places, in the order in which their names were made. */
  allFiles(): { readonly path: string; readonly at: Place; readonly content: FileContent }[] {
    const found: { path: string; at: Place; content: FileContent }[] = []
    const visit = (folder: Folder, path: string): void => {
      for (const [name, entry] of folder.entries) {
        if (entry instanceof Folder) visit(entry, `${path}/${name}`)
        else found.push({ path: `${path}/${name}`, at: { folder, name }, content: entry })
      }
    }
    visit(this.root, '')
    return found
  }

  /** All folders that are Raft stores, with their places. */
  raftStores(): { readonly at: Place; readonly raft: DurableRaft }[] {
    const found: { at: Place; raft: DurableRaft }[] = []
    const visit = (folder: Folder): void => {
      for (const [name, entry] of folder.entries) {
        if (!(entry instanceof Folder)) continue
        if (entry.raft !== null) found.push({ at: { folder, name }, raft: entry.raft })
        else visit(entry)
      }
    }
    visit(this.root)
    return found
  }

  private walk(all: readonly string[], path: string): Folder {
    let folder = this.root
    for (const name of all) {
      const next = folder.entries.get(name)
      if (!(next instanceof Folder)) throw new IoError('ENOENT', path, 'no such directory')
      folder = next
    }
    return folder
  }

  private change(change: NameChange, nowMs: number): void {
    const { folder, name } = change.at
    if (change.kind === 'unlink') folder.entries.delete(name)
    else folder.entries.set(name, change.entry)
    folder.modifiedMs = nowMs
    if (change.kind === 'rename') {
      change.from.folder.entries.delete(change.from.name)
      change.from.folder.modifiedMs = nowMs
    }
    this.pending.push(change)
  }
}

/** The names below an entry, those in a folder before the folder's own. */
function placesWithin(entry: Entry): Place[] {
  if (!(entry instanceof Folder)) return []
  return Array.from(entry.entries).flatMap(([name, inner]) => [...placesWithin(inner), { folder: entry, name }])
}

function applyDurably(change: NameChange): void {
  const { folder, name } = change.at
  if (change.kind === 'unlink') return void folder.durable.delete(name)
  if (change.kind === 'link') return void folder.durable.set(name, change.entry)
  // A name that never got to the platter cannot move there.
  if (change.from.folder.durable.get(change.from.name) !== change.entry) return
  change.from.folder.durable.delete(change.from.name)
  folder.durable.set(name, change.entry)
}

/** What programs see after a power cut is what is on the platter. */
function revive(folder: Folder): void {
  folder.entries = new Map(folder.durable)
  for (const entry of folder.entries.values()) if (entry instanceof Folder) revive(entry)
}

function checkReplaceable(entry: Entry, replaced: Entry, path: string): void {
  let code: IoErrorCode | null = null
  if (entry instanceof Folder !== replaced instanceof Folder) code = entry instanceof Folder ? 'ENOENT' : 'EIO'
  else if (replaced instanceof Folder && replaced.entries.size > 0) code = 'EEXIST'
  if (code !== null) throw new IoError(code, path, 'cannot be replaced')
}

function split(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.')
}

function isWithin(outer: readonly string[], inner: readonly string[]): boolean {
  return inner.length > outer.length && outer.every((name, at) => inner[at] === name)
}
