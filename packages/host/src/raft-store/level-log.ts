import { IoError } from '@millrace/base'
import type { Entry } from '@millrace/base'
import { Level } from 'level'
import { LogExtent } from './log-extent.ts'
import { decodeEntry, entryIndex, entryKey } from './stored-entry.ts'
import { decodeState } from './stored-state.ts'
import type { StoredState } from './stored-state.ts'

/** One step of a batch. */
export type LevelStep = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer }

/** Where the state is; it sorts behind all entries. */
export const STATE_KEY = Buffer.from('s')

const ENCODINGS = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const
/** Entries are small and the log is short: compression would cost more than it saves. */
const OPTIONS = { ...ENCODINGS, compression: false, writeBufferSize: 8 * 1024 * 1024 } as const
const ENTRIES_AT_ONCE = 256
const READ_AHEAD_BYTES = 1024 * 1024
/** How many trimmed entries one step of the clearing deletes, so that it never holds up a write for long. */
const CLEARED_AT_ONCE = 2000

/** What a log that was not what it must be has in place of its state. */
export class LogDamaged extends Error {
  override readonly name = 'LogDamaged'
}

/** The LevelDB database of a raft store: entries by index, and the state. */
export class LevelLog {
  private readonly path: string
  private readonly level: Level<Buffer, Buffer>

  constructor(path: string, level: Level<Buffer, Buffer>) {
    this.path = path
    this.level = level
  }

  /** Opens the database, or makes it when `create` is set. Rejects with `LogDamaged` when LevelDB finds it broken, else with `IoError`. */
  static async open(path: string, create: boolean): Promise<LevelLog> {
    const level = new Level<Buffer, Buffer>(path, { ...OPTIONS, createIfMissing: create })
    try {
      await level.open()
    } catch (error) {
      throw levelFailure(path, error)
    }
    return new LevelLog(path, level)
  }

  /** Applies all steps or none; durable when the promise is fulfilled. */
  batch(steps: LevelStep[]): Promise<void> {
    return this.level.batch(steps, { sync: true })
  }

  close(): Promise<void> {
    return this.level.close()
  }

  /** The stored state. Rejects with `LogDamaged` when it is missing or wrong. */
  async state(): Promise<StoredState> {
    let value: Buffer | undefined
    try {
      value = (await this.level.get(STATE_KEY)) as Buffer | undefined
    } catch (error) {
      throw levelFailure(this.path, error)
    }
    const state = value === undefined ? null : decodeState(value)
    if (state === null)
      throw new LogDamaged(value === undefined ? 'the log has no state' : "the log's state is corrupt")
    return state
  }

  /** Reads every entry and holds the log against its state: LevelDB drops what it cannot read without a word. */
  async extent(state: StoredState): Promise<LogExtent> {
    let extent: LogExtent
    try {
      extent = await this.scan(state.firstIndex)
    } catch (error) {
      throw error instanceof LogDamaged ? error : levelFailure(this.path, error)
    }
    if (extent.lastIndex !== state.lastIndex || extent.lastTerm !== state.lastTerm) {
      throw new LogDamaged(`the log ends at entry ${extent.lastIndex}, its state says ${state.lastIndex}`)
    }
    return extent
  }

  private async scan(firstIndex: number): Promise<LogExtent> {
    const extent = new LogExtent(firstIndex)
    const range = { gte: entryKey(firstIndex), lt: STATE_KEY }
    const iterator = this.level.iterator({ ...range, highWaterMarkBytes: READ_AHEAD_BYTES })
    try {
      for (;;) {
        const found = await iterator.nextv(ENTRIES_AT_ONCE)
        if (found.length === 0) return extent
        for (const [key, value] of found) addChecked(extent, entryIndex(key), value)
      }
    } finally {
      await iterator.close()
    }
  }

  /** Whether entries below `firstIndex` are still there. */
  async hasTrimmed(firstIndex: number): Promise<boolean> {
    const iterator = this.level.keys({ gte: entryKey(0), lt: entryKey(firstIndex), limit: 1 })
    try {
      return (await iterator.next()) !== undefined
    } finally {
      await iterator.close()
    }
  }

  /** Deletes some of the entries below `firstIndex`, the oldest first. They count as gone already, so this is not synced. */
  clearTrimmed(firstIndex: number): Promise<void> {
    return this.level.clear({ gte: entryKey(0), lt: entryKey(firstIndex), limit: CLEARED_AT_ONCE })
  }

  /** The entries [from, to], as many as fit in `maxBytes`, at least one. Rejects with EIO when one is missing or corrupt. */
  async read(from: number, to: number, maxBytes: number): Promise<Entry[]> {
    const entries: Entry[] = []
    const highWaterMarkBytes = Math.min(maxBytes, READ_AHEAD_BYTES)
    const iterator = this.level.values({ gte: entryKey(from), lte: entryKey(to), highWaterMarkBytes })
    try {
      for (let bytes = 0; ;) {
        const found = await iterator.nextv(Math.min(ENTRIES_AT_ONCE, to - from + 1))
        if (found.length === 0) break
        for (const value of found) {
          const entry = decodeEntry(value, from + entries.length)
          if (entry === null) throw new IoError('EIO', this.path, `entry ${from + entries.length} is corrupt`)
          bytes += entry.payload.length
          if (bytes > maxBytes && entries.length > 0) return entries
          entries.push(entry)
        }
      }
    } finally {
      await iterator.close()
    }
    if (entries.length <= to - from) throw new IoError('EIO', this.path, `entry ${from + entries.length} is missing`)
    return entries
  }
}

function addChecked(extent: LogExtent, index: number, value: Buffer): void {
  if (index !== extent.lastIndex + 1) throw new LogDamaged(`entry ${extent.lastIndex + 1} is missing`)
  const entry = decodeEntry(value, index)
  if (entry === null) throw new LogDamaged(`entry ${index} is corrupt`)
  if (entry.term < extent.lastTerm) throw new LogDamaged(`entry ${index} has a smaller term than the one before it`)
  extent.add(index, entry.term)
}

/**
 * LevelDB tells its failures by text. A lock, a missing permission, a full disk, too many open files or too little memory say nothing about the data
 * and are the caller's to solve; whatever else keeps it from reading is damage.
 */
function levelFailure(path: string, error: unknown): Error {
  const { cause } = error as Error
  const { message, code } = (cause instanceof Error ? cause : error) as NodeJS.ErrnoException
  if (code === 'LEVEL_LOCKED') return new IoError('EACCES', path, 'another process has the raft store open', error)
  for (const [words, known] of SYSTEM_FAILURES)
    if (message.includes(words)) return new IoError(known, path, message, error)
  return new LogDamaged(`LevelDB cannot read the log: ${message}`, { cause: error })
}

const SYSTEM_FAILURES = [
  ['Permission denied', 'EACCES'],
  ['No space left', 'ENOSPC'],
  ['Too many open files', 'EMFILE'],
  ['Cannot allocate memory', 'ENOMEM'],
  ['Read-only file system', 'EROFS'],
] as const
