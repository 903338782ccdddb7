import { assert, type Entry, type VoterId } from '@millrace/base'
import type { VotersCodec } from './types.ts'
import { includesVoter } from './voters.ts'

interface VoterSet {
  /** The entry that made this set; the snapshot's index for the oldest. */
  readonly index: number
  readonly voters: readonly VoterId[]
}

/**
 * The voter sets of the log, oldest first. The newest one counts from the moment its entry is appended, committed or not; a
 * truncation brings the one before it back. Since sets differ by one voter, any two neighbours have overlapping majorities.
 */
export class Membership {
  readonly #codec: VotersCodec
  #sets: VoterSet[]

  constructor(codec: VotersCodec, base: VoterSet, entries: readonly Entry[]) {
    this.#codec = codec
    this.#sets = [base]
    for (const entry of entries) this.append(entry)
  }

  get voters(): readonly VoterId[] {
    return this.#newest.voters
  }

  get index(): number {
    return this.#newest.index
  }

  has(voter: VoterId): boolean {
    return includesVoter(this.voters, voter)
  }

  /** The payload of an entry that adds or removes one voter. */
  encode(voters: readonly VoterId[]): Uint8Array {
    return this.#codec.encode(voters)
  }

  append(entry: Entry): void {
    assert(entry.kind === 'voters' && entry.index > this.index, `entry ${entry.index} is no newer voter set`)
    this.#sets.push({ index: entry.index, voters: this.#codec.decode(entry.payload) })
  }

  truncate(from: number): void {
    while (this.#sets.length > 1 && this.#newest.index >= from) this.#sets.pop()
  }

  /** Sets that can no longer be truncated are forgotten, but for the newest of them. */
  committed(index: number): void {
    while (this.#sets.length > 1 && (this.#sets[1] as VoterSet).index <= index) this.#sets.shift()
  }

  restart(index: number, voters: readonly VoterId[]): void {
    this.#sets = [{ index, voters }]
  }

  get #newest(): VoterSet {
    return this.#sets.at(-1) as VoterSet
  }
}
