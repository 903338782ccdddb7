import type { FoundEntry } from './journal-format.ts'

/** Batches of one log in a journal's file: those that end at or below `end`. */
export interface JournalPiece {
  /** Where the log ended before them. */
  readonly from: number
  end: number
  readonly path: string
  readonly at: number
  readonly bytes: number
}

/**
 * What a journal says of one log, as one change of what the last checkpoint had: the log begins anew, or is cut, and then the pieces
 * follow. A truncation in the journal takes from the pieces first, so that what was appended and cut again is never looked for.
 */
export class LogChanges {
  /** The log began at this offset: what checkpoints say of it may be of the one before. */
  beginning: number | null = null
  /** It began with the files of the one before, which count for nothing. */
  emptied = false
  /** Of what the checkpoint had, only what ends at or below counts. */
  cut = Number.POSITIVE_INFINITY
  /** A truncation went below the watermark, to this offset: checkpoints may promise more than there was. */
  lowered = Number.POSITIVE_INFINITY
  /** Where the log begins, as far as the journal knows. */
  start = 0
  /** The lowest offset that it was cut to, in the journal's own pieces too. */
  lowest = Number.POSITIVE_INFINITY
  /** The log was cut: its files may hold what was cut, behind the end that the journal knows. */
  truncated = false
  /** Each begins where the one before ends. */
  readonly pieces: JournalPiece[] = []
  /** What contradicts itself; null for a sound journal. */
  problem: string | null = null

  /** Where the log ends; null when the journal does not say. */
  get end(): number | null {
    return this.pieces.at(-1)?.end ?? (Number.isFinite(this.cut) ? this.cut : this.beginning)
  }

  /** The next entry, of the file at `path`. */
  add(entry: FoundEntry, path: string): void {
    if (entry.op === 'append') return this.append(entry, path)
    if (entry.op === 'trim') this.start = Math.max(this.start, entry.from)
    else if (entry.op === 'restart' || entry.op === 'make') this.beginAt(entry.from, entry.op === 'restart')
    else this.truncate(entry.from, entry.op === 'lower')
  }

  private beginAt(offset: number, emptied: boolean): void {
    this.beginning = offset
    this.emptied = emptied
    this.truncated = false
    this.start = offset
    this.cut = Number.POSITIVE_INFINITY
    this.lowered = Number.POSITIVE_INFINITY
    this.lowest = Number.POSITIVE_INFINITY
    this.pieces.length = 0
  }

  private append({ from, end, at, bytes }: FoundEntry, path: string): void {
    const known = this.end
    if (known !== null && from !== known)
      this.problem ??= `the journal has an append at offset ${from} to a log that ends at ${known}`
    this.pieces.push({ from, end, path, at, bytes })
  }

  private truncate(offset: number, lowers: boolean): void {
    const { pieces } = this
    this.truncated = true
    this.lowest = Math.min(this.lowest, offset)
    if (lowers) this.lowered = Math.min(this.lowered, offset)
    while (pieces.length > 0 && (pieces.at(-1)?.from as number) >= offset) pieces.pop()
    const last = pieces.at(-1)
    if (last === undefined) this.cut = Math.min(this.cut, offset)
    else last.end = Math.min(last.end, offset)
  }
}
