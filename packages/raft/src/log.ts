import { assert, type Entry, type HardState, type RaftWrite } from '@millrace/base'
import { EntryTail } from './entry-tail.ts'
import type { RaftStart, TermStart } from './types.ts'

/**
 * The log as the machine knows it: where every term begins (so the term at any index needs no read), the newest entries,
 * and how far writing has come. An index passes through three points:
 *
 *   in the log (`lastIndex`)  →  handed to the store (`#writtenTo`)  →  on disk (`durableIndex`)
 *
 * A truncation pulls all three back, also for writes that are still under way: a token that is persisted later says
 * nothing about entries that were cut meanwhile.
 */
export class RaftLog {
  firstIndex: number
  lastIndex: number
  durableIndex: number
  snapshotIndex: number
  snapshotTerm: number

  readonly #maxTailBytes: number
  readonly #tail = new EntryTail()
  #terms: TermStart[]
  /** Term at `firstIndex - 1`; null when nobody wrote it down, which only happens below a snapshot. */
  #baseTerm: number | null
  #writtenTo: number
  #truncateFrom: number | null = null
  #trimTo: number | null = null
  #restartAt: number | null = null
  /** Writes under way: the last index each makes durable. */
  #underWay: { readonly token: number; index: number }[] = []

  constructor(start: RaftStart, maxTailBytes: number) {
    assert(start.lastIndex >= start.snapshotIndex, 'the log ends below its snapshot')
    assert(start.firstIndex - 1 <= start.snapshotIndex, 'there is a gap between the snapshot and the log')
    this.firstIndex = start.firstIndex
    this.lastIndex = start.lastIndex
    this.durableIndex = start.lastIndex
    this.snapshotIndex = start.snapshotIndex
    this.snapshotTerm = start.snapshotTerm
    this.#terms = [...start.terms]
    this.#baseTerm = start.firstIndex === 1 ? 0 : null
    if (start.firstIndex - 1 === start.snapshotIndex) this.#baseTerm = start.snapshotTerm
    this.#writtenTo = start.lastIndex
    this.#maxTailBytes = maxTailBytes
  }

  get lastTerm(): number {
    return this.term(this.lastIndex) as number
  }

  /** The term at an index, or null for one that the log does not hold or remember. */
  term(index: number): number | null {
    if (index === this.snapshotIndex) return this.snapshotTerm
    if (index === this.firstIndex - 1) return this.#baseTerm
    if (index < this.firstIndex || index > this.lastIndex) return null
    return (this.#terms[this.#run(index)] as TermStart).term
  }

  /** The largest index at most `index` whose term is at most `term`, with its term: where two logs may agree. */
  agreement(index: number, term: number): { readonly index: number; readonly term: number } {
    let at = Math.min(index, this.lastIndex)
    while (at >= this.firstIndex) {
      const run = this.#terms[this.#run(at)] as TermStart
      if (run.term <= term) return { index: at, term: run.term }
      at = run.index - 1
    }
    const base = Math.min(at, this.firstIndex - 1)
    return { index: Math.max(base, 0), term: this.term(base) ?? 0 }
  }

  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, `entry ${entry.index} does not follow ${this.lastIndex}`)
    assert(entry.term >= this.lastTerm, `term ${entry.term} follows term ${this.lastTerm} in the log`)
    if (this.#terms.at(-1)?.term !== entry.term) this.#terms.push({ index: entry.index, term: entry.term })
    this.#tail.push(entry)
    this.lastIndex = entry.index
  }

  /** Removes the entries with this index and above. The caller knows that they are not committed. */
  truncate(from: number): void {
    assert(from > this.snapshotIndex && from >= this.firstIndex, `a truncation to ${from} would cut the snapshot`)
    if (from > this.lastIndex) return
    this.#tail.truncateFrom(from)
    while (this.#terms.length > 0 && (this.#terms.at(-1) as TermStart).index >= from) this.#terms.pop()
    this.lastIndex = from - 1
    if (from <= this.#writtenTo) {
      this.#truncateFrom = Math.min(this.#truncateFrom ?? from, from)
      this.#writtenTo = from - 1
    }
    this.durableIndex = Math.min(this.durableIndex, from - 1)
    for (const write of this.#underWay) write.index = Math.min(write.index, from - 1)
  }

  /** A durable snapshot at a committed point that is in the log; the entries up to `trimTo` go. */
  snapshotTaken(index: number, term: number, trimTo: number): void {
    if (index <= this.snapshotIndex) return
    assert(this.term(index) === term, `a snapshot at ${index} has term ${term}, the log ${this.term(index)}`)
    assert(trimTo <= index, 'only what a snapshot covers may be trimmed')
    const base = this.term(trimTo)
    this.snapshotIndex = index
    this.snapshotTerm = term
    this.durableIndex = Math.max(this.durableIndex, index)
    const trim = Math.min(trimTo, this.#writtenTo)
    if (trim < this.firstIndex || base === null) return
    const kept = this.#terms.filter((_, at) => (this.#terms[at + 1]?.index ?? this.lastIndex + 1) > trim + 1)
    this.#baseTerm = trim === trimTo ? base : this.term(trim)
    this.firstIndex = trim + 1
    this.#terms = kept.map((run) => (run.index > trim ? run : { index: trim + 1, term: run.term }))
    if (this.firstIndex > this.lastIndex) this.#terms = []
    this.#tail.shrinkTo(0, trim)
    this.#trimTo = trim
  }

  /** A snapshot that the log does not agree with replaces all of it. */
  restart(index: number, term: number): void {
    this.#tail.clear()
    this.#terms = []
    this.#baseTerm = term
    this.firstIndex = index + 1
    this.lastIndex = index
    this.durableIndex = index
    this.snapshotIndex = index
    this.snapshotTerm = term
    this.#writtenTo = index
    this.#restartAt = index + 1
    this.#truncateFrom = null
    this.#trimTo = null
    for (const write of this.#underWay) write.index = 0
  }

  /** Entries from memory: [from, lastIndex], bounded by bytes; null when they must be read from the store. */
  recent(from: number, maxBytes: number): readonly Entry[] | null {
    return this.#tail.slice(from, this.lastIndex, maxBytes)
  }

  entry(index: number): Entry | null {
    return this.#tail.get(index)
  }

  /** What the store does not have yet, as one write, or null when there is nothing. */
  takeWrite(token: number, hardState: HardState | null): RaftWrite | null {
    const append = this.#unwritten()
    const nothing = hardState === null && append.length === 0 && !this.#restructured()
    if (nothing) return null
    const write: RaftWrite = {
      token,
      ...(hardState === null ? {} : { hardState }),
      ...(this.#truncateFrom === null ? {} : { truncateFrom: this.#truncateFrom }),
      ...(this.#trimTo === null ? {} : { trimTo: this.#trimTo }),
      ...(this.#restartAt === null ? {} : { restartAt: this.#restartAt }),
      ...(append.length === 0 ? {} : { append }),
    }
    this.#truncateFrom = null
    this.#trimTo = null
    this.#restartAt = null
    this.#writtenTo = this.lastIndex
    this.#underWay.push({ token, index: this.lastIndex })
    return write
  }

  persisted(token: number): void {
    while (this.#underWay.length > 0 && (this.#underWay[0] as { token: number }).token <= token) {
      const { index } = this.#underWay.shift() as { index: number }
      this.durableIndex = Math.max(this.durableIndex, index)
    }
    this.#tail.shrinkTo(this.#maxTailBytes, this.durableIndex)
  }

  /** The write that makes `index` durable: 0 when it is, null when no write under way does. */
  tokenOf(index: number): number | null {
    if (index <= this.durableIndex) return 0
    return this.#underWay.find((write) => write.index >= index)?.token ?? null
  }

  #restructured(): boolean {
    return this.#truncateFrom !== null || this.#trimTo !== null || this.#restartAt !== null
  }

  #unwritten(): readonly Entry[] {
    if (this.#writtenTo === this.lastIndex) return []
    return this.#tail.slice(this.#writtenTo + 1, this.lastIndex, Number.POSITIVE_INFINITY) ?? []
  }

  /** Position in `#terms` of the run that holds `index`, which is in the log. */
  #run(index: number): number {
    let low = 0
    let high = this.#terms.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#terms[middle] as TermStart).index <= index) low = middle
      else high = middle - 1
    }
    return low
  }
}
