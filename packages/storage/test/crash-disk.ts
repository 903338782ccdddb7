import { type DirEntry, type Disk, type Done, type File, IoError, type IoErrorCode, type OpenHow } from '@millrace/base'
import type { SimWorld, TestRandom } from './sim-world.ts'

const SECTOR = 512
const PAGE = 4096

/** A file's content: as running programs see it, and as it was when it was last synced. */
export class Node {
  volatile = Buffer.alloc(0)
  durable = Buffer.alloc(0)
  size = 0
  modifiedMs = 0

  get content(): Buffer {
    return this.volatile.subarray(0, this.size)
  }

  /** Durable at once. */
  overwrite(at: number, bytes: Uint8Array): void {
    const end = at + bytes.length
    if (end > this.size) this.resize(end)
    this.volatile.set(bytes, at)
    if (end > this.durable.length) this.durable = Buffer.concat([this.durable, Buffer.alloc(end - this.durable.length)])
    this.durable.set(bytes, at)
  }

  resize(size: number): void {
    if (size > this.volatile.length) {
      const grown = Buffer.alloc(Math.max(size, this.volatile.length * 2, 1024))
      this.content.copy(grown)
      this.volatile = grown
    }
    if (size > this.size) this.volatile.fill(0, this.size, size)
    this.size = size
  }
}

/** A durable write that has not answered: any of its sectors may be on disk. */
interface DurableWrite {
  readonly node: Node
  readonly at: number
  readonly bytes: Buffer
}

function land({ node, at, bytes }: DurableWrite, random: TestRandom): void {
  const sector = random.chance(50) ? SECTOR : PAGE
  const percent = [0, 30, 70, 100][random.below(4)] as number
  for (let from = 0; from < bytes.length;) {
    // Sectors lie at multiples of their size in the file, wherever the write began.
    const to = Math.min(bytes.length, from + sector - ((at + from) % sector))
    if (random.chance(percent)) node.overwrite(at + from, bytes.subarray(from, to))
    from = to
  }
}

/** A change of names: one step, whole or not at all, volatile until the folder is synced. */
type NameChange =
  | { readonly kind: 'link'; readonly path: string; readonly node: Node | 'folder' }
  | { readonly kind: 'unlink'; readonly path: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }

type Tree = Map<string, Node | 'folder'>

/**
 * A disk with a page cache. `crash` keeps what was synced, and of the rest an arbitrary part: sectors, sizes and names. Faults are asked
 * for by a hook.
 */
export class CrashDisk implements Disk {
  /** May answer a call with an error; undefined lets it pass. Called with the operation and its path. */
  fault: (operation: string, path: string) => IoErrorCode | undefined = () => undefined
  free = 2 ** 40
  opened = 0
  reads = 0
  syncs = 0
  /** Durable writes that ended, and those under way. */
  writes = 0
  readonly underWay = new Set<DurableWrite>()
  private world: SimWorld | null = null
  private tree: Tree = new Map([['/', 'folder']])
  private durableTree: Tree = new Map([['/', 'folder']])
  private pending: NameChange[] = []

  attach(world: SimWorld): void {
    this.world = world
  }

  /** Loses what a power cut may lose; whoever was running must be killed first. */
  crash(random: TestRandom): void {
    const lost: NameChange[] = []
    for (const change of this.pending)
      if (random.chance(60) && !lost.some((before) => needs(change, before))) apply(this.durableTree, change)
      else lost.push(change)
    this.pending = []
    for (const write of this.underWay) land(write, random)
    this.underWay.clear()
    // A name whose folder's own name is lost is lost with it.
    for (const path of Array.from(this.durableTree.keys()))
      if (path !== '/' && !hasAncestors(this.durableTree, path)) this.durableTree.delete(path)
    this.tree = new Map(this.durableTree)
    for (const node of this.tree.values()) if (node !== 'folder') tear(node, random)
  }

  /** The worst of power cuts: nothing is left but what was synced, or written durably. */
  loseUnsynced(): void {
    this.pending = []
    this.underWay.clear()
    this.tree = new Map(this.durableTree)
    for (const node of this.tree.values())
      if (node !== 'folder') {
        node.volatile = Buffer.from(node.durable)
        node.size = node.durable.length
      }
  }

  /** The process died but the machine lives on: nothing is lost, but what it was writing may be there or not. */
  killProcess(random: TestRandom): void {
    for (const write of this.underWay) if (random.chance(50)) land(write, random)
    this.underWay.clear()
  }

  file(path: string): Node {
    const node = this.tree.get(path)
    if (node === undefined || node === 'folder') throw new Error(`no file ${path}`)
    return node
  }

  /** A file as if it had always been there. */
  put(path: string, content: Uint8Array): void {
    for (let folder = parent(path); folder !== '/'; folder = parent(folder)) {
      this.tree.set(folder, 'folder')
      this.durableTree.set(folder, 'folder')
    }
    const node = new Node()
    node.resize(content.length)
    node.volatile.set(content)
    node.durable = Buffer.from(content)
    this.tree.set(path, node)
    this.durableTree.set(path, node)
  }

  /** A file or folder gone as if it had never been there. */
  drop(path: string): void {
    removeAll(this.tree, path)
    removeAll(this.durableTree, path)
  }

  has(path: string): boolean {
    return this.tree.has(path)
  }

  paths(): string[] {
    return [...this.tree.keys()].sort()
  }

  open(path: string, how: OpenHow, done: Done<File>): void {
    this.later(done, () => this.openNow(path, how))
  }

  openNow(path: string, how: OpenHow): File {
    this.check('open', path)
    let node = this.tree.get(path)
    if (node === 'folder') throw new IoError('EIO', path, 'it is a folder')
    if (node === undefined) {
      if (how === 'read' || this.tree.get(parent(path)) !== 'folder') throw new IoError('ENOENT', path, 'no such file')
      node = new Node()
      node.modifiedMs = this.nowMs()
      this.change({ kind: 'link', path, node })
    }
    this.opened++
    const file = new SimFile(this, path, node, how)
    if (how === 'create') file.truncateNow(0)
    return file
  }

  list(path: string, done: Done<readonly DirEntry[]>): void {
    this.later(done, () => {
      if (this.tree.get(path) !== 'folder') throw new IoError('ENOENT', path, 'no such folder')
      const entries: DirEntry[] = []
      for (const [name, node] of this.tree) {
        if (name === path || parent(name) !== path) continue
        const kind = node === 'folder' ? 'directory' : 'file'
        const size = node === 'folder' ? 0 : node.size
        entries.push({
          name: name.slice(name.lastIndexOf('/') + 1),
          kind,
          size,
          modifiedMs: node === 'folder' ? 0 : node.modifiedMs,
        })
      }
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    })
  }

  mkdir(path: string, done: Done<void>): void {
    this.later(done, () => {
      this.check('mkdir', path)
      const names = path.split('/').filter((name) => name !== '')
      names.forEach((_, i) => {
        const folder = `/${names.slice(0, i + 1).join('/')}`
        if (!this.tree.has(folder)) this.change({ kind: 'link', path: folder, node: 'folder' })
      })
    })
  }

  rename(from: string, to: string, done: Done<void>): void {
    this.later(done, () => this.renameNow(from, to))
  }

  renameNow(from: string, to: string): void {
    this.check('rename', from)
    if (!this.tree.has(from)) throw new IoError('ENOENT', from, 'no such file')
    this.change({ kind: 'rename', from, to })
  }

  remove(path: string, done: Done<void>): void {
    this.later(done, () => {
      this.check('remove', path)
      if (!this.tree.has(path)) throw new IoError('ENOENT', path, 'no such file')
      this.change({ kind: 'unlink', path })
    })
  }

  syncDir(path: string, done: Done<void>): void {
    this.later(done, () => {
      this.check('syncDir', path)
      if (this.tree.get(path) !== 'folder') throw new IoError('ENOENT', path, 'no such folder')
      const touches = (change: NameChange): boolean =>
        change.kind === 'rename'
          ? parent(change.from) === path || parent(change.to) === path
          : parent(change.path) === path
      const synced = new Set(this.pending.filter(touches))
      for (const change of [...this.pending].reverse())
        if ([...synced].some((later) => needs(later, change))) synced.add(change)
      for (const change of this.pending) if (synced.has(change)) apply(this.durableTree, change)
      this.pending = this.pending.filter((change) => !synced.has(change))
    })
  }

  freeBytes(_path: string, done: Done<number>): void {
    this.later(done, () => this.free)
  }

  /** Does the work when the answer is due, so that calls in flight overtake each other. */
  later<T>(done: Done<T>, work: () => T): void {
    const world = this.world as SimWorld
    world.at(world.nowUs + 20 + world.random.below(400), () => {
      let value: T
      try {
        value = work()
      } catch (error) {
        if (!(error instanceof IoError)) throw error
        return done(error, undefined as T)
      }
      done(null, value)
    })
  }

  check(operation: string, path: string): void {
    const code = this.fault(operation, path)
    if (code !== undefined) throw new IoError(code, path, `injected into ${operation}`)
  }

  nowMs(): number {
    return this.world?.clock.wallMs() ?? 0
  }

  private change(change: NameChange): void {
    apply(this.tree, change)
    // What is pending in a folder goes with it, and is of nothing that takes its name.
    if (change.kind === 'rename') this.pending = this.pending.map((before) => moved(before, change))
    this.pending.push(change)
  }
}

function moved(change: NameChange, { from, to }: { readonly from: string; readonly to: string }): NameChange {
  const move = (path: string): string => (path.startsWith(`${from}/`) ? to + path.slice(from.length) : path)
  if (change.kind === 'rename') return { ...change, from: move(change.from), to: move(change.to) }
  return { ...change, path: move(change.path) }
}

/** Whether a change is of a folder that took the place of one that an earlier change renamed or removed: never seen without that one. */
function needs(change: NameChange, before: NameChange): boolean {
  if (before.kind === 'link' || change === before) return false
  const gone = before.kind === 'rename' ? before.from : before.path
  const path = change.kind === 'rename' ? change.to : change.path
  return path === gone || path.startsWith(`${gone}/`)
}

function parent(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')))
}

function hasAncestors(tree: Tree, path: string): boolean {
  for (let above = parent(path); above !== '/'; above = parent(above)) if (tree.get(above) !== 'folder') return false
  return true
}

function apply(tree: Tree, change: NameChange): void {
  if (change.kind === 'link') return void tree.set(change.path, change.node)
  if (change.kind === 'unlink') return removeAll(tree, change.path)
  const node = tree.get(change.from)
  if (node === undefined) return
  removeAll(tree, change.to)
  for (const [path, moved] of Array.from(tree))
    if (path === change.from || path.startsWith(`${change.from}/`)) {
      tree.delete(path)
      tree.set(change.to + path.slice(change.from.length), moved)
    }
}

function removeAll(tree: Tree, path: string): void {
  for (const name of Array.from(tree.keys())) if (name === path || name.startsWith(`${path}/`)) tree.delete(name)
}

/** Every sector is as it was synced or as it was last; the size is one of both, or between. */
function tear(node: Node, random: TestRandom): void {
  const { durable, content } = node
  const low = Math.min(durable.length, content.length)
  const high = Math.max(durable.length, content.length)
  const size = [durable.length, content.length, low + random.below(high - low + 1)][random.below(3)] ?? low
  const after = Buffer.alloc(size)
  durable.copy(after)
  for (let at = 0; at < size; at += SECTOR)
    if (at < content.length && random.chance(70)) content.copy(after, at, at, Math.min(at + SECTOR, size))
  node.durable = after
  node.volatile = Buffer.from(after)
  node.size = size
}

class SimFile implements File {
  readonly path: string
  private readonly disk: CrashDisk
  private readonly node: Node
  private readonly how: OpenHow
  private closed = false
  private poisoned: IoError | null = null

  // oxlint-disable-next-line max-params -- a constructor that one place calls.
  constructor(disk: CrashDisk, path: string, node: Node, how: OpenHow) {
    this.disk = disk
    this.path = path
    this.node = node
    this.how = how
  }

  get size(): number {
    return this.node.size
  }

  appendNow(parts: readonly Uint8Array[]): void {
    this.checkWritable('append')
    let at = this.node.size
    this.node.resize(at + parts.reduce((sum, part) => sum + part.length, 0))
    for (const part of parts) {
      this.node.volatile.set(part, at)
      at += part.length
    }
    this.node.modifiedMs = this.disk.nowMs()
  }

  writeAt(at: number, parts: readonly Uint8Array[], done: Done<void>): void {
    if (this.closed) return this.disk.later(done, () => this.refuse())
    if (this.how !== 'overwrite') throw new Error('the file is not open to overwrite')
    const write = { node: this.node, at, bytes: Buffer.concat(parts) }
    this.disk.underWay.add(write)
    this.disk.later(done, () => {
      this.disk.underWay.delete(write)
      if (this.poisoned !== null) throw this.poisoned
      // The parts are looked at now: whoever changes them before the answer writes something else.
      write.bytes.set(Buffer.concat(parts))
      try {
        this.disk.check('write', this.path)
      } catch (error) {
        if ((error as IoError).code !== 'ENOSPC') this.poisoned = error as IoError
        throw error
      }
      this.disk.writes++
      this.node.overwrite(at, write.bytes)
    })
  }

  read(at: number, into: Uint8Array, done: Done<number>): void {
    if (this.closed) return this.disk.later(done, () => this.refuse())
    this.disk.reads++
    this.disk.later(done, () => {
      this.disk.check('read', this.path)
      return this.copy(at, into)
    })
  }

  readNow(at: number, into: Uint8Array): number {
    if (this.closed) this.refuse()
    this.disk.check('read', this.path)
    this.disk.reads++
    return this.copy(at, into)
  }

  private copy(at: number, into: Uint8Array): number {
    const end = Math.min(at + into.length, this.node.size)
    if (end <= at) return 0
    into.set(this.node.volatile.subarray(at, end))
    return end - at
  }

  truncateNow(size: number): void {
    this.checkWritable('truncate')
    this.node.resize(size)
    this.node.modifiedMs = this.disk.nowMs()
  }

  sync(done: Done<void>): void {
    if (this.closed) return this.disk.later(done, () => this.refuse())
    const content = Buffer.from(this.node.content)
    this.disk.syncs++
    this.disk.later(done, () => {
      if (this.poisoned !== null) throw this.poisoned
      try {
        this.disk.check('sync', this.path)
      } catch (error) {
        this.poisoned = error as IoError
        throw error
      }
      this.node.durable = content
    })
  }

  close(done: Done<void>): void {
    if (this.closed) return this.disk.later(done, () => this.refuse())
    this.closed = true
    this.disk.opened--
    this.disk.later(done, () => undefined)
  }

  private refuse(): never {
    throw new IoError('ECLOSED', this.path, 'it is closed')
  }

  private checkWritable(operation: string): void {
    if (this.closed) this.refuse()
    if (this.how === 'read' || this.how === 'overwrite')
      throw new IoError('EACCES', this.path, `it is open to ${this.how}`)
    this.disk.check(operation, this.path)
  }
}
