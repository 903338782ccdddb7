import type { Entry, HardState, RaftWrite, VoterId } from '@millrace/base'

/** One entry as some log holds it. `seal` stands for kind and payload. */
export interface HeldEntry {
  readonly term: number
  readonly kind: Entry['kind']
  readonly seal: number
}

/** One open Raft store: what was written to it, and how much of that it has answered for. */
export class RaftStoreMirror {
  /** The log as it will be once everything written is on disk. */
  firstIndex = 1
  lastIndex = 0
  /** What has been answered. */
  durableLast = 0
  hardState: HardState | null = null
  private readonly entries = new Map<number, HeldEntry>()

  loaded(hardState: HardState | null, firstIndex: number, lastIndex: number): void {
    this.hardState = hardState
    this.firstIndex = firstIndex
    this.lastIndex = lastIndex
    this.durableLast = lastIndex
    this.entries.clear()
  }

  /** The term at an index; null for one that is not there or was not read yet. */
  term(index: number): number | null {
    return this.entries.get(index)?.term ?? null
  }

  entry(index: number): HeldEntry | null {
    return index < this.firstIndex || index > this.lastIndex ? null : (this.entries.get(index) ?? null)
  }

  hold(index: number, entry: HeldEntry): void {
    this.entries.set(index, entry)
  }

  /** Everything of the write but its entries, which are held one by one. */
  cut({ truncateFrom, trimTo, restartAt }: Omit<RaftWrite, 'token'>): void {
    if (truncateFrom !== undefined) this.dropFrom(truncateFrom)
    if (trimTo !== undefined && trimTo >= this.firstIndex) {
      for (let index = this.firstIndex; index <= trimTo; index++) this.entries.delete(index)
      this.firstIndex = trimTo + 1
    }
    if (restartAt === undefined) return
    this.entries.clear()
    this.firstIndex = restartAt
    this.lastIndex = restartAt - 1
  }

  /** The store has answered: writes are answered in their order. */
  answered({ hardState, truncateFrom, restartAt, append }: Omit<RaftWrite, 'token'>): void {
    if (hardState !== undefined) this.hardState = hardState
    if (truncateFrom !== undefined) this.durableLast = Math.min(this.durableLast, truncateFrom - 1)
    if (restartAt !== undefined) this.durableLast = restartAt - 1
    this.durableLast = append?.at(-1)?.index ?? this.durableLast
  }

  private dropFrom(index: number): void {
    for (let at = this.lastIndex; at >= index; at--) this.entries.delete(at)
    this.lastIndex = Math.min(this.lastIndex, index - 1)
  }
}

/** A text that two identities share only when they are the same voter. */
export function keyOfVoter({ id, directoryId }: VoterId): string {
  return `${id}/${directoryId}`
}
