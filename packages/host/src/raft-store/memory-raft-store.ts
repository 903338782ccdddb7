import { assert, IoError } from '@millrace/base'
import type { Damage, Done, Entry, RaftStore, RaftStoreFactory, RaftStoreState, RaftWrite } from '@millrace/base'
import { closedError } from '../io-error.ts'
import { LaterTurns } from '../turns.ts'
import { LogExtent } from './log-extent.ts'

/** What survives the store object: the disk of a {@link MemoryRaftStores}. */
interface Durable {
  hardState: RaftStoreState['hardState']
  extent: LogExtent
  readonly entries: Map<number, Entry>
  damage: Damage | null
}

/** Raft stores in memory, by path. A store that is opened again has what was done before; what was not done yet is lost. */
export class MemoryRaftStores implements RaftStoreFactory {
  private readonly turns = new LaterTurns()
  private readonly stores = new Map<string, Durable>()

  open(path: string, done: Done<RaftStore>): void {
    let durable = this.stores.get(path)
    if (durable === undefined) this.stores.set(path, (durable = blank(null)))
    const store = new MemoryRaftStore(path, durable, this.turns)
    this.turns.later(() => done(null, store))
  }

  /** Empties a store as a damaged one is emptied at its next opening. */
  damage(path: string, reason: string): void {
    const hardState = this.stores.get(path)?.hardState ?? null
    this.stores.set(path, { ...blank({ reason }), hardState })
  }
}

class MemoryRaftStore implements RaftStore {
  private readonly path: string
  private readonly durable: Durable
  private readonly turns: LaterTurns
  /** The extent that the log will have once all that was called is done. */
  private readonly extent: LogExtent
  private term: number
  private closed = false

  constructor(path: string, durable: Durable, turns: LaterTurns) {
    this.path = path
    this.durable = durable
    this.turns = turns
    this.extent = durable.extent.copy()
    this.term = durable.hardState?.term ?? 0
  }

  load(done: Done<RaftStoreState>): void {
    this.later(done, () => {
      const { firstIndex, lastIndex, lastTerm } = this.durable.extent
      return { hardState: this.durable.hardState, firstIndex, lastIndex, lastTerm, damage: this.durable.damage }
    })
  }

  write(change: RaftWrite, done: Done<void>): void {
    if (!this.closed) this.check(change)
    const append = change.append?.map((entry) => ({ ...entry, payload: new Uint8Array(entry.payload) })) ?? []
    this.later(done, () => this.apply({ ...change, append }))
  }

  read(from: number, to: number, maxBytes: number, done: Done<readonly Entry[]>): void {
    const last = Math.min(to, this.extent.lastIndex)
    this.later(done, () => {
      const { firstIndex } = this.durable.extent
      if (from < firstIndex || from > last)
        throw new IoError('ENOENT', this.path, `the log does not hold entry ${from}`)
      return this.entries(from, last, maxBytes)
    })
  }

  close(done: Done<void>): void {
    this.later(done, () => {})
    this.closed = true
  }

  private later<T>(done: Done<T>, work: () => T): void {
    if (this.closed) return this.turns.later(() => done(closedError(this.path), undefined as T))
    this.turns.later(() => {
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

  private check(change: RaftWrite): void {
    const term = change.hardState?.term ?? this.term
    assert(term >= this.term, `term ${term} follows term ${this.term}`)
    this.term = term
    this.extent.cut(change)
    for (const entry of change.append ?? []) this.extent.add(entry.index, entry.term)
  }

  private apply(change: RaftWrite): void {
    const { durable } = this
    if (change.hardState !== undefined) durable.hardState = change.hardState
    if (change.healed === true) durable.damage = null
    const first = durable.extent.firstIndex
    const removed = durable.extent.cut(change)
    for (let index = removed.from; index <= removed.to; index++) durable.entries.delete(index)
    if (durable.extent.firstIndex > first) this.forgetBelow(durable.extent.firstIndex)
    for (const entry of change.append ?? []) {
      durable.extent.add(entry.index, entry.term)
      durable.entries.set(entry.index, entry)
    }
  }

  private forgetBelow(first: number): void {
    for (const index of this.durable.entries.keys()) if (index < first) this.durable.entries.delete(index)
  }

  private entries(from: number, to: number, maxBytes: number): Entry[] {
    const found: Entry[] = []
    let bytes = 0
    for (let index = from; index <= to; index++) {
      const entry = this.durable.entries.get(index)
      if (entry === undefined) break
      bytes += entry.payload.length
      if (bytes > maxBytes && found.length > 0) break
      found.push({ ...entry, payload: new Uint8Array(entry.payload) })
    }
    return found
  }
}

function blank(damage: Damage | null): Durable {
  return { hardState: null, extent: new LogExtent(), entries: new Map(), damage }
}
