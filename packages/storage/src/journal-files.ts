import { replaceSmallFile, type Disk, type Done, type File, type World } from '@millrace/base'
import { crc32c } from '@millrace/records'
import { journalFileName, JOURNAL_LIFE, slotOfName } from './file-names.ts'
import { eachLimited, inOrder } from './flow.ts'
import { LIFE_BYTES } from './journal-format.ts'

/** A file is full at this size. */
export const JOURNAL_FILE_BYTES = 32 * 1024 * 1024
/** Files that wait to be used again, at most: what a burst needed is kept for the next one, within reason. */
const MAX_FREE = 6
/** A file grows by this: a write that makes a file longer costs several times one that does not, so most of them should not. */
const GROWTH_BYTES = 1024 * 1024

/** One file of the journal and what of it counts. */
interface JournalFile {
  readonly path: string
  readonly file: File
  /** Where the next group goes. */
  position: number
  /** The number of its last group. */
  last: number
}

/** Where a group goes. */
export interface GroupPlace {
  readonly file: File
  readonly at: number
  /** Bytes to write after the group, so that the file grows in large steps. */
  readonly growth: number
}

export interface JournalFilesOptions {
  readonly disk: Disk
  readonly path: string
  readonly fileBytes: number
}

/**
 * The files of a journal: one that is written, full ones whose groups may be needed by a replay, and free ones. Full files become
 * free once they are not needed, and are written over as they are: a block that is allocated costs nothing to allocate.
 */
export class JournalFiles {
  private readonly options: JournalFilesOptions
  private active: JournalFile | null = null
  private full: JournalFile[] = []
  private free: JournalFile[] = []
  private slots = 0

  constructor(options: JournalFilesOptions) {
    this.options = options
  }

  /** How many files wait for a checkpoint. */
  get fullCount(): number {
    return this.full.length
  }

  /** Files that an earlier journal left are used again. `done` once all of them are open. */
  adopt(slots: readonly number[], done: Done<void>): void {
    const { disk, path, fileBytes } = this.options
    this.slots = slots.reduce((most, slot) => Math.max(most, slot + 1), 0)
    const openOne = (slot: number, ended: Done<void>): void => {
      const name = `${path}/${journalFileName(slot)}`
      disk.open(name, 'overwrite', (error, file) => {
        if (error !== null) return ended(error)
        const adopted = { path: name, file, position: 0, last: 0 }
        if (this.free.length < MAX_FREE && file.size <= fileBytes) this.free.push(adopted)
        else return this.drop(adopted, ended)
        ended(null)
      })
    }
    eachLimited(slots, 1, openOne, done)
  }

  /** Where a group of so many bytes goes, in the file that is written; null when another one must begin. */
  place(bytes: number): GroupPlace | null {
    const { active } = this
    if (active === null || (active.position > 0 && active.position + bytes > this.options.fileBytes)) return null
    const { position, file } = active
    const end = position + bytes
    const grown = Math.min(Math.ceil(end / GROWTH_BYTES) * GROWTH_BYTES, Math.max(this.options.fileBytes, end))
    return { file, at: position, growth: end > file.size ? grown - end : 0 }
  }

  /** The group that `place` placed is on disk. */
  wrote(bytes: number, number: number): void {
    const active = this.active as JournalFile
    active.position += bytes
    active.last = number
  }

  /** Another file begins; `done` once its name is on disk. */
  begin(done: Done<void>): void {
    if (this.active !== null) this.full.push(this.active)
    this.active = this.free.shift() ?? null
    if (this.active !== null) {
      this.active.position = 0
      return done(null)
    }
    const { disk, path } = this.options
    const name = `${path}/${journalFileName(this.slots++)}`
    disk.open(name, 'overwrite', (error, file) => {
      if (error !== null) return done(error)
      disk.syncDir(path, (unsynced) => {
        if (unsynced === null) this.active = { path: name, file, position: 0, last: 0 }
        else file.close(() => undefined)
        done(unsynced)
      })
    })
  }

  /** No replay needs groups with smaller numbers any more. */
  release(firstNeeded: number): void {
    while ((this.full[0]?.last ?? firstNeeded) < firstNeeded) {
      const freed = this.full.shift() as JournalFile
      if (this.free.length < MAX_FREE && freed.file.size <= this.options.fileBytes) this.free.push(freed)
      else this.drop(freed, () => undefined)
    }
  }

  private drop(dropped: JournalFile, done: Done<void>): void {
    dropped.file.close(() => this.options.disk.remove(dropped.path, done))
  }

  /** Closes all files, once the writes under way have ended. */
  close(done: Done<void>): void {
    const files = [...this.full, ...this.free]
    if (this.active !== null) files.push(this.active)
    this.active = null
    this.full = []
    this.free = []
    eachLimited(files, files.length, ({ file }, ended) => file.close(ended), done)
  }
}

/** What of a journal lies in a directory. */
export interface FoundJournal {
  /** Null where no file tells it. */
  readonly life: Uint8Array | null
  readonly slots: readonly number[]
}

/** Makes another journal the one that counts: `done` once no group of an earlier one is ever replayed again. */
export function replaceLife(disk: Disk, path: string, life: Uint8Array): (done: Done<void>) => void {
  return replaceSmallFile(disk, path, JOURNAL_LIFE, new TextEncoder().encode(lifeText(life)))
}

/** Null for bytes that tell no life. */
export function parseLife(bytes: Uint8Array): Uint8Array | null {
  const text = new TextDecoder().decode(bytes)
  const digits = /^0\n([0-9a-f]{32})\n/.exec(text)?.[1]
  if (digits === undefined) return null
  const life = Uint8Array.from({ length: LIFE_BYTES }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16))
  return text === lifeText(life) ? life : null
}

/** With a CRC: a life that is another one by a flipped bit would make all of a journal count for nothing, unseen. */
function lifeText(life: Uint8Array): string {
  return `0\n${hex(life)}\n${crc32c(life).toString(16).padStart(8, '0')}\n`
}

/** Ends the journal of a directory that is to have none; until it is gone another life says that nothing of it counts. */
export function retireJournal(world: World, path: string, done: Done<void>): void {
  const { disk, random } = world
  listJournal(disk, path, (error, names) => {
    if (error !== null || names.length === 0) return done(error)
    const life = new Uint8Array(LIFE_BYTES)
    random.fill(life)
    inOrder([replaceLife(disk, path, life), (ended) => removeJournal(disk, path, ended)], done)
  })
}

/** Removes a journal that counts no more. Its life goes last: files without one are of a journal whose life was lost. */
export function removeJournal(disk: Disk, path: string, done: Done<void>): void {
  const remove = (name: string, ended: Done<void>): void =>
    disk.remove(`${path}/${name}`, (error) => ended(error?.code === 'ENOENT' ? null : error))
  listJournal(disk, path, (error, names) => {
    if (error !== null || names.length === 0) return done(error)
    const files = names.filter((name) => name !== JOURNAL_LIFE)
    inOrder(
      [
        (ended) => eachLimited(files, 1, remove, ended),
        (ended) => disk.syncDir(path, ended),
        (ended) => remove(JOURNAL_LIFE, ended),
        (ended) => disk.syncDir(path, ended),
      ],
      done,
    )
  })
}

function listJournal(disk: Disk, path: string, done: Done<readonly string[]>): void {
  disk.list(path, (error, entries) => {
    if (error !== null) return done(error, [])
    const names = entries.filter(({ kind }) => kind === 'file').map(({ name }) => name)
    done(
      null,
      names.filter((name) => name === JOURNAL_LIFE || slotOfName(name) !== null),
    )
  })
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
