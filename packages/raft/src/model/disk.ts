import type { Entry, HardState, RaftWrite } from '@millrace/base'
import type { RaftStart, TermStart, VoterId } from '../index.ts'
import { text } from './voters-codec.ts'

export interface Snapshot {
  readonly index: number
  readonly term: number
  readonly voters: readonly VoterId[]
  /** What the state machine held: the texts applied up to `index`. */
  readonly applied: readonly string[]
}

/** A log on a disk, or the image of one in memory. */
export class LogImage {
  hardState: HardState | null = null
  firstIndex = 1
  entries: Entry[] = []
  snapshot: Snapshot | null = null

  get lastIndex(): number {
    return this.firstIndex + this.entries.length - 1
  }

  get lastTerm(): number {
    return this.entries.at(-1)?.term ?? this.snapshot?.term ?? 0
  }

  entry(index: number): Entry | null {
    return this.entries[index - this.firstIndex] ?? null
  }

  term(index: number): number | null {
    if (index === this.snapshot?.index) return this.snapshot.term
    if (index === 0) return 0
    return this.entry(index)?.term ?? null
  }

  apply(write: RaftWrite): void {
    if (write.hardState !== undefined) this.hardState = write.hardState
    if (write.restartAt !== undefined) {
      this.entries = []
      this.firstIndex = write.restartAt
    }
    if (write.truncateFrom !== undefined) this.entries.length = Math.max(0, write.truncateFrom - this.firstIndex)
    if (write.trimTo !== undefined && write.trimTo >= this.firstIndex) {
      this.entries = this.entries.slice(write.trimTo + 1 - this.firstIndex)
      this.firstIndex = write.trimTo + 1
    }
    for (const entry of write.append ?? []) {
      if (entry.index !== this.lastIndex + 1) throw new Error(`the store got ${entry.index} after ${this.lastIndex}`)
      this.entries.push(entry)
    }
  }

  copy(): LogImage {
    const copy = new LogImage()
    copy.hardState = this.hardState
    copy.firstIndex = this.firstIndex
    copy.entries = [...this.entries]
    copy.snapshot = this.snapshot
    return copy
  }

  /** What a node tells its machine after it read this disk. A snapshot that the log does not reach replaces it. */
  start(mayVote: boolean): RaftStart {
    const { snapshot } = this
    if (snapshot !== null && this.term(snapshot.index) !== snapshot.term) this.restartAfter(snapshot)
    if (snapshot !== null && this.lastIndex < snapshot.index) this.restartAfter(snapshot)
    return {
      hardState: this.hardState,
      firstIndex: this.firstIndex,
      lastIndex: this.lastIndex,
      terms: termStarts(this.entries),
      snapshotIndex: snapshot?.index ?? 0,
      snapshotTerm: snapshot?.term ?? 0,
      voters: snapshot?.voters ?? [],
      voterEntries: this.entries.filter(({ kind, index }) => kind === 'voters' && index > (snapshot?.index ?? 0)),
      mayVote,
    }
  }

  restartAfter(snapshot: Snapshot): void {
    this.entries = []
    this.firstIndex = snapshot.index + 1
  }
}

function termStarts(entries: readonly Entry[]): readonly TermStart[] {
  const starts: TermStart[] = []
  for (const { index, term } of entries) if (starts.at(-1)?.term !== term) starts.push({ index, term })
  return starts
}

export function entryText(entry: Entry): string {
  if (entry.kind === 'noop') return '-'
  return entry.kind === 'voters' ? `voters(${text(entry.payload)})` : text(entry.payload)
}
