import type { Done, Entry, RaftStore, RaftStoreFactory, RaftStoreState, RaftWrite } from '@millrace/base'
import { EntryTail, type TermStart } from '@millrace/raft'

/** What a whole pass over the log found. */
export interface LogContents {
  readonly state: RaftStoreState
  readonly terms: readonly TermStart[]
  readonly voterEntries: readonly Entry[]
}

const SCAN_BYTES = 1024 * 1024

/** The node's Raft store, with the newest entries in memory so that applying them rarely reads. */
export class MemberLog {
  readonly #store: RaftStore
  readonly #maxTailBytes: number
  readonly #tail = new EntryTail()
  #writes = 0

  private constructor(store: RaftStore, maxTailBytes: number) {
    this.#store = store
    this.#maxTailBytes = maxTailBytes
  }

  static open(stores: RaftStoreFactory, path: string, maxTailBytes: number, done: Done<MemberLog>): void {
    stores.open(path, (error, store) => done(error, new MemberLog(store, maxTailBytes)))
  }

  /** Reads everything once: the machine must know where terms begin and which voter sets the log holds. */
  load(done: Done<LogContents>): void {
    this.#store.load((error, state) => {
      const contents = { state, terms: [], voterEntries: [] }
      this.#tail.clear()
      if (error !== null) return done(error, contents)
      this.#scan(contents, state.firstIndex, done)
    })
  }

  /** Writes complete in order, each atomic and synced before `done`. */
  write(change: Omit<RaftWrite, 'token'>, done: Done<void>): void {
    if (change.restartAt !== undefined) this.#tail.clear()
    if (change.truncateFrom !== undefined) this.#tail.truncateFrom(change.truncateFrom)
    for (const entry of change.append ?? []) this.#tail.push(entry)
    this.#writes++
    this.#store.write({ ...change, token: this.#writes }, done)
  }

  /** Entries that were applied and are durable may leave memory. */
  forget(appliedIndex: number): void {
    this.#tail.shrinkTo(this.#maxTailBytes, appliedIndex)
  }

  /** Entries from memory, or null: then `read` has them. */
  recent(from: number, to: number, maxBytes: number): readonly Entry[] | null {
    return this.#tail.slice(from, to, maxBytes)
  }

  /** Durable entries; an empty answer when they are trimmed. */
  read(from: number, to: number, maxBytes: number, done: Done<readonly Entry[]>): void {
    this.#store.read(from, to, maxBytes, (error, entries) => {
      if (error?.code === 'ENOENT') return done(null, [])
      done(error, entries)
    })
  }

  close(done: Done<void>): void {
    this.#store.close(done)
  }

  #scan(
    contents: { state: RaftStoreState; terms: TermStart[]; voterEntries: Entry[] },
    from: number,
    done: Done<LogContents>,
  ): void {
    const { lastIndex } = contents.state
    if (from > lastIndex) return done(null, contents)
    this.#store.read(from, lastIndex, SCAN_BYTES, (error, entries) => {
      if (error !== null) return done(error, contents)
      for (const entry of entries) {
        if (contents.terms.at(-1)?.term !== entry.term) contents.terms.push({ index: entry.index, term: entry.term })
        if (entry.kind === 'voters') contents.voterEntries.push(entry)
        this.#tail.push(entry)
      }
      this.#tail.shrinkTo(this.#maxTailBytes, lastIndex)
      this.#scan(contents, from + entries.length, done)
    })
  }
}
