import { assert } from '@millrace/base'
import type { RaftWrite } from '@millrace/base'

/** Entries that a change removes by deleting them: [from, to]; none when `to` is below `from`. */
export interface Removed {
  readonly from: number
  readonly to: number
}

/** Which entries a log holds, and their terms: what a store must know to check and to carry out a change. */
export class LogExtent {
  firstIndex: number
  lastIndex: number
  /** Runs of one term: the first index of each, ascending. The first run may begin below `firstIndex`. */
  private runs: { readonly from: number; readonly term: number }[] = []

  /** An empty log whose next entry has `firstIndex`. */
  constructor(firstIndex = 1) {
    this.firstIndex = firstIndex
    this.lastIndex = firstIndex - 1
  }

  /** An extent that changes by itself. */
  copy(): LogExtent {
    const copy = new LogExtent(this.firstIndex)
    copy.lastIndex = this.lastIndex
    copy.runs = [...this.runs]
    return copy
  }

  /** The term of the last entry held; 0 when none is. */
  get lastTerm(): number {
    return this.lastIndex < this.firstIndex ? 0 : (this.runs.at(-1)?.term ?? 0)
  }

  /** Notes the next entry. It must follow the last one, in index and in term. */
  add(index: number, term: number): void {
    assert(index === this.lastIndex + 1, `entry ${index} does not follow ${this.lastIndex}`)
    assert(term >= this.lastTerm, `entry ${index} of term ${term} follows term ${this.lastTerm}`)
    if (term !== this.runs.at(-1)?.term) this.runs.push({ from: index, term })
    this.lastIndex = index
  }

  /** Carries out truncation, trimming and restart, in this order; returns what is to be deleted of the log's end. */
  cut(change: RaftWrite): Removed {
    const removed = change.truncateFrom === undefined ? NOTHING : this.truncate(change.truncateFrom)
    if (change.trimTo !== undefined) this.trim(change.trimTo)
    if (change.restartAt === undefined) return removed
    const restarted = this.restart(change.restartAt)
    return { from: restarted.from, to: Math.max(removed.to, restarted.to) }
  }

  private truncate(from: number): Removed {
    assert(from >= this.firstIndex, `cannot truncate from ${from}: the log begins at ${this.firstIndex}`)
    const removed = { from, to: this.lastIndex }
    this.lastIndex = Math.min(this.lastIndex, from - 1)
    while ((this.runs.at(-1)?.from ?? 0) > this.lastIndex) this.runs.pop()
    return removed
  }

  private trim(to: number): void {
    assert(to <= this.lastIndex, `cannot trim to ${to}: the log ends at ${this.lastIndex}`)
    this.firstIndex = Math.max(this.firstIndex, to + 1)
    while (this.runs.length > 1 && (this.runs[1]?.from ?? 0) <= this.firstIndex) this.runs.shift()
    if (this.firstIndex > this.lastIndex) this.runs = []
  }

  private restart(at: number): Removed {
    assert(at >= this.firstIndex, `cannot restart at ${at}: the log begins at ${this.firstIndex}`)
    const removed = { from: at, to: this.lastIndex }
    this.firstIndex = at
    this.lastIndex = at - 1
    this.runs = []
    return removed
  }
}

const NOTHING: Removed = { from: 1, to: 0 }
