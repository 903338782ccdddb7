import {
  IoError,
  type Done,
  type Entry,
  type HardState,
  type RaftStore,
  type RaftStoreFactory,
  type RaftStoreState,
  type RaftWrite,
} from '@millrace/base'
import type { Later } from './sim-disk.ts'

interface Log {
  hardState: HardState | null
  firstIndex: number
  entries: Entry[]
  damage: string | null
}

/** Raft stores whose writes take their time, and of which a crash keeps as many as were done, or were about to be. */
export class SimStores {
  readonly #random: (n: number) => number
  readonly #logs = new Map<string, Log>()
  /** Called but not done, over all stores, in order. */
  #waiting: { readonly apply: () => void; readonly done: Done<void> }[] = []
  #running = false

  constructor(random: (n: number) => number) {
    this.#random = random
  }

  crash(): void {
    for (const { apply } of this.#waiting.slice(0, this.#random(this.#waiting.length + 1))) apply()
    this.#waiting = []
    this.#running = false
  }

  damage(): void {
    for (const [path, log] of this.#logs)
      this.#logs.set(path, { hardState: log.hardState, firstIndex: 1, entries: [], damage: 'a block is flipped' })
  }

  /** The folder of the stores is gone. */
  forget(): void {
    this.#logs.clear()
  }

  /** What is durable of the newest store: the highest term of a hard state, and the last index. */
  get durable(): { readonly term: number; readonly lastIndex: number } {
    const log = [...this.#logs.values()].at(-1)
    if (log === undefined) return { term: 0, lastIndex: 0 }
    return { term: log.hardState?.term ?? 0, lastIndex: log.firstIndex + log.entries.length - 1 }
  }

  /** The term of an entry of the newest store; -1 for one that it does not hold. */
  termAt(index: number): number {
    const log = [...this.#logs.values()].at(-1)
    return log?.entries[index - log.firstIndex]?.term ?? -1
  }

  factory(later: Later): RaftStoreFactory {
    return {
      open: (path, done) => {
        if (!this.#logs.has(path)) this.#logs.set(path, { hardState: null, firstIndex: 1, entries: [], damage: null })
        later(100, () => done(null, this.#store(path, later)))
      },
    }
  }

  #store(path: string, later: Later): RaftStore {
    const log = this.#logs.get(path) as Log
    return {
      load: (done) => later(100, () => done(null, stateOf(log))),
      write: (change, done) => {
        this.#waiting.push({ apply: () => applyTo(log, change), done })
        this.#drain(later)
      },
      read: (from, to, maxBytes, done) =>
        later(50 + this.#random(500), () => {
          const found = read(log, from, to, maxBytes)
          if (found.length > 0) done(null, found)
          else done(new IoError('ENOENT', path, `the log does not hold entry ${from}`), [])
        }),
      close: (done) => later(50, () => done(null)),
    }
  }

  #drain(later: Later): void {
    if (this.#running || this.#waiting.length === 0) return
    this.#running = true
    later(100 + this.#random(this.#random(20) === 0 ? 60_000 : 3000), () => {
      this.#running = false
      const next = this.#waiting.shift()
      next?.apply()
      this.#drain(later)
      next?.done(null)
    })
  }
}

function stateOf(log: Log): RaftStoreState {
  const { hardState, firstIndex, entries, damage } = log
  return {
    hardState,
    firstIndex,
    lastIndex: firstIndex + entries.length - 1,
    lastTerm: entries.at(-1)?.term ?? 0,
    damage: damage === null ? null : { reason: damage },
  }
}

function applyTo(log: Log, change: RaftWrite): void {
  if (change.hardState !== undefined) {
    if (change.hardState.term < (log.hardState?.term ?? 0)) throw new Error('the term of a store falls')
    log.hardState = change.hardState
  }
  if (change.healed === true) log.damage = null
  if (change.truncateFrom !== undefined) log.entries.length = Math.max(0, change.truncateFrom - log.firstIndex)
  if (change.trimTo !== undefined && change.trimTo >= log.firstIndex) {
    log.entries = log.entries.slice(change.trimTo + 1 - log.firstIndex)
    log.firstIndex = change.trimTo + 1
  }
  if (change.restartAt !== undefined) {
    if (change.restartAt < log.firstIndex) throw new Error('a store cannot restart below its first index')
    log.entries = []
    log.firstIndex = change.restartAt
  }
  for (const entry of change.append ?? []) {
    if (entry.index !== log.firstIndex + log.entries.length) throw new Error(`entry ${entry.index} does not follow`)
    log.entries.push({ ...entry, payload: entry.payload.slice() })
  }
}

function read(log: Log, from: number, to: number, maxBytes: number): readonly Entry[] {
  const found: Entry[] = []
  let bytes = 0
  for (let index = from; index <= to; index++) {
    const entry = log.entries[index - log.firstIndex]
    if (entry === undefined) break
    bytes += entry.payload.length
    if (found.length > 0 && bytes > maxBytes) break
    found.push(entry)
  }
  return found
}
