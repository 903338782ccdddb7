import { IoError, type DirEntry, type Disk, type Done, type File, type OpenHow } from '@millrace/base'

/** Answers later, in the time of whoever asked; never after that incarnation ended. */
export type Later = (delayUs: number, run: () => void) => void

interface Inode {
  bytes: Uint8Array
  /** What an honest sync has put on the platter. */
  synced: Uint8Array
}

/**
 * A disk that loses in a power cut what was not synced: the content of files, and names that were made, changed or removed
 * without a sync of their folder. How much of it is lost is up to chance. One folder deep is all the quorum needs.
 */
export class SimDisk {
  readonly #random: (n: number) => number
  names = new Map<string, Inode>()
  #durableNames = new Map<string, Inode>()

  constructor(random: (n: number) => number) {
    this.#random = random
  }

  powerCut(): void {
    if (this.#random(2) === 0) this.names = new Map(this.#durableNames)
    else this.#durableNames = new Map(this.names)
    for (const inode of this.names.values()) {
      const extra = inode.bytes.length - inode.synced.length
      if (extra <= 0) {
        inode.bytes = inode.synced.slice()
        continue
      }
      const kept = inode.bytes.slice(0, inode.synced.length + this.#random(extra + 1))
      // A torn tail may be there in length and wrong in content.
      if (kept.length > inode.synced.length && this.#random(2) === 0) kept[kept.length - 1] = this.#random(256)
      inode.bytes = kept
      inode.synced = kept.slice()
    }
  }

  flip(name: string): void {
    const inode = this.names.get(name)
    if (inode === undefined || inode.bytes.length === 0) return
    const at = this.#random(inode.bytes.length)
    inode.bytes[at] = (inode.bytes[at] as number) ^ (1 << this.#random(8))
    inode.synced = inode.bytes.slice()
  }

  /** The disk as one incarnation sees it. */
  open(later: Later): Disk {
    const answer = <T>(done: Done<T>, work: () => T): void => {
      let value: T
      let failure: IoError | null = null
      try {
        value = work()
      } catch (error) {
        if (!(error instanceof IoError)) throw error
        failure = error
      }
      later(20 + this.#random(400), () => done(failure, value))
    }
    return {
      open: (path, how, done) => answer(done, () => this.#open(path, how, later)),
      openNow: (path, how) => this.#open(path, how, later),
      list: (path, done) => answer(done, () => this.#list(path)),
      mkdir: (_path, done) => answer(done, () => undefined),
      rename: (from, to, done) => answer(done, () => this.#rename(from, to)),
      renameNow: (from, to) => this.#rename(from, to),
      remove: (path, done) => answer(done, () => this.#remove(path)),
      syncDir: (path, done) => {
        const isIn = (name: string): boolean => (name.slice(0, name.lastIndexOf('/')) || '/') === path
        const names = new Map([...this.names].filter(([name]) => isIn(name)))
        later(200 + this.#random(3000), () => {
          for (const [name] of this.#durableNames) if (isIn(name) && !names.has(name)) this.#durableNames.delete(name)
          for (const [name, inode] of names) this.#durableNames.set(name, inode)
          done(null)
        })
      },
      freeBytes: (_path, done) => answer(done, () => 2 ** 40),
    }
  }

  #open(path: string, how: OpenHow, later: Later): File {
    let inode = this.names.get(path)
    if (inode === undefined && how === 'read') throw new IoError('ENOENT', path, 'no such file')
    if (inode === undefined) this.names.set(path, (inode = { bytes: new Uint8Array(0), synced: new Uint8Array(0) }))
    if (how === 'create') inode.bytes = new Uint8Array(0)
    return new SimFile(path, inode, later, this.#random)
  }

  #list(path: string): readonly DirEntry[] {
    const inside = [...this.names].filter(([name]) => name.startsWith(`${path}/`))
    return inside.map(([name, { bytes }]) => ({
      name: name.slice(path.length + 1),
      kind: 'file',
      size: bytes.length,
      modifiedMs: 0,
    }))
  }

  #rename(from: string, to: string): void {
    const inode = this.names.get(from)
    if (inode === undefined) throw new IoError('ENOENT', from, 'no such file')
    this.names.delete(from)
    this.names.set(to, inode)
  }

  #remove(path: string): void {
    if (!this.names.delete(path)) throw new IoError('ENOENT', path, 'no such file')
  }
}

class SimFile implements File {
  readonly path: string
  readonly #inode: Inode
  readonly #later: Later
  readonly #random: (n: number) => number

  constructor(path: string, inode: Inode, later: Later, random: (n: number) => number) {
    this.path = path
    this.#inode = inode
    this.#later = later
    this.#random = random
  }

  get size(): number {
    return this.#inode.bytes.length
  }

  appendNow(parts: readonly Uint8Array[]): void {
    const inode = this.#inode
    for (const part of parts) {
      const longer = new Uint8Array(inode.bytes.length + part.length)
      longer.set(inode.bytes)
      longer.set(part, inode.bytes.length)
      inode.bytes = longer
    }
  }

  writeAt(): never {
    throw new Error('no file of the quorum is overwritten')
  }

  read(at: number, into: Uint8Array, done: Done<number>): void {
    // Short reads are allowed; a reader that does not expect them is found out here.
    const most = into.length > 1 && this.#random(4) === 0 ? 1 + this.#random(into.length) : into.length
    this.#later(20 + this.#random(400), () => done(null, this.readNow(at, into.subarray(0, most))))
  }

  readNow(at: number, into: Uint8Array): number {
    const part = this.#inode.bytes.subarray(at, at + into.length)
    into.set(part)
    return part.length
  }

  truncateNow(size: number): void {
    this.#inode.bytes = this.#inode.bytes.slice(0, size)
  }

  sync(done: Done<void>): void {
    const content = this.#inode.bytes.slice()
    this.#later(200 + this.#random(5000), () => {
      this.#inode.synced = content
      done(null)
    })
  }

  close(done: Done<void>): void {
    this.#later(10, () => done(null))
  }
}
