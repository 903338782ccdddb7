import type { Entry, HardState, RaftStoreState, RaftWrite } from '@millrace/base'
import { LogExtent } from '@millrace/host'
import type { RaftMirror } from '../seams.ts'

/** What damage leaves of a store, found when it is opened next. */
interface Spoilt {
  readonly reason: string
  readonly hardState: HardState | null
}

/** A Raft store's durable content, over all processes that open it. */
export class DurableRaft implements RaftMirror {
  readonly path: string
  version = 0
  hardState: HardState | null = null
  damage: string | null = null
  extent = new LogExtent()
  /** The process that has the store open, and how many were opened on the machine before. */
  openIn: { readonly over: boolean } | null = null
  opening = 0
  private entries: Entry[] = []
  private former: HardState | null = null
  private spoilt: Spoilt | null = null
  private rotten: number | null = null

  constructor(path: string) {
    this.path = path
  }

  get firstIndex(): number {
    return this.extent.firstIndex
  }

  get lastIndex(): number {
    return this.extent.lastIndex
  }

  get written(): boolean {
    return this.version > 0
  }

  /** Whether there is damage that no process has seen and healed. */
  get broken(): boolean {
    return this.damage !== null || this.spoilt !== null || this.rotten !== null
  }

  entry(index: number): Entry | undefined {
    return index < this.firstIndex || index > this.lastIndex ? undefined : this.entries[index - this.firstIndex]
  }

  state(): RaftStoreState {
    const { firstIndex, lastIndex, lastTerm } = this.extent
    const damage = this.damage === null ? null : { reason: this.damage }
    return { hardState: this.hardState, firstIndex, lastIndex, lastTerm, damage }
  }

  apply(change: RaftWrite): void {
    this.version++
    if (change.hardState !== undefined) {
      this.former = this.hardState
      this.hardState = change.hardState
    }
    if (change.healed === true) this.damage = null
    this.extent.cut(change)
    this.cutEntries()
    for (const entry of change.append ?? []) {
      this.extent.add(entry.index, entry.term)
      this.entries.push(entry)
    }
  }

  /** An entry rots. Who has the store open may meet it, and the next start does, unless the entry goes first. */
  rot(index: number): void {
    this.rotten = index
  }

  isRotten(from: number, to: number): boolean {
    return this.rotten !== null && this.rotten >= from && this.rotten <= to
  }

  /** What the next start finds. `vote`: what becomes of the hard state. */
  spoil(reason: string, vote: 'kept' | 'old' | 'lost'): void {
    let { hardState } = this
    if (vote !== 'kept') hardState = vote === 'old' ? this.former : null
    this.spoilt = { reason, hardState }
  }

  /** A start reads all there is: what is damaged begins empty. */
  meet(): void {
    if (this.rotten !== null) this.spoilt ??= { reason: `entry ${this.rotten} is corrupt`, hardState: this.hardState }
    const { spoilt } = this
    this.spoilt = null
    this.rotten = null
    if (spoilt === null) return
    this.version++
    this.hardState = spoilt.hardState
    this.damage = spoilt.reason
    this.extent = new LogExtent()
    this.entries = []
  }

  private cutEntries(): void {
    const { entries, extent } = this
    while (entries.length > 0 && (entries.at(-1) as Entry).index > extent.lastIndex) entries.pop()
    const first = entries[0]?.index ?? extent.firstIndex
    if (first < extent.firstIndex) entries.splice(0, extent.firstIndex - first)
    if (this.rotten !== null && (this.rotten < extent.firstIndex || this.rotten > extent.lastIndex)) this.rotten = null
  }
}
