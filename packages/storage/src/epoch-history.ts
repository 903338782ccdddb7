import { assert } from '@millrace/base'
import type { EpochStart } from './checkpoint-text.ts'
import type { EpochEnd } from './types.ts'

/**
 * Which leader epoch wrote from which offset on. A cache of the batch headers, except for an epoch whose leader has written nothing yet: that
 * one is only in memory, and nothing depends on it after a crash.
 * Epochs and start offsets both rise strictly.
 */
export class EpochHistory {
  private readonly starts: EpochStart[]
  /** Raised with every change: what a checkpoint wrote is told from what has changed since. */
  version = 0

  constructor(starts: readonly EpochStart[] = []) {
    this.starts = [...starts]
  }

  get entries(): readonly EpochStart[] {
    return this.starts
  }

  /** -1 when nothing is known. */
  get lastEpoch(): number {
    return this.starts.at(-1)?.epoch ?? -1
  }

  /** A batch or a leader of `epoch` begins at `startOffset`. An epoch that wrote nothing makes way for the next one. */
  assign(epoch: number, startOffset: number): void {
    if (epoch <= this.lastEpoch) {
      assert(epoch === this.lastEpoch, `leader epoch ${epoch} after ${this.lastEpoch}`)
      return
    }
    while ((this.starts.at(-1)?.startOffset ?? -1) >= startOffset) this.starts.pop()
    this.starts.push({ epoch, startOffset })
    this.version++
  }

  /** The largest epoch at or below `epoch` that wrote here, and the offset at which the next one begins. */
  epochEnd(epoch: number, endOffset: number): EpochEnd | null {
    let at = this.starts.length - 1
    while (at >= 0 && (this.starts[at] as EpochStart).epoch > epoch) at--
    const found = this.starts[at]
    if (found === undefined) return null
    return { epoch: found.epoch, endOffset: this.starts[at + 1]?.startOffset ?? endOffset }
  }

  /** The epoch that wrote the record at `offset`; -1 where that is not known. */
  epochAt(offset: number): number {
    return this.starts.findLast(({ startOffset }) => startOffset <= offset)?.epoch ?? -1
  }

  /** Forgets the epochs that begin at or above `offset`. */
  truncateEnd(offset: number): void {
    const before = this.starts.length
    while ((this.starts.at(-1)?.startOffset ?? -1) >= offset) this.starts.pop()
    if (this.starts.length !== before) this.version++
  }

  /** Forgets the epochs that end at or below `offset`; the one that covers it begins there. */
  truncateStart(offset: number): void {
    let covering = -1
    while ((this.starts[covering + 1]?.startOffset ?? Number.POSITIVE_INFINITY) <= offset) covering++
    const entry = this.starts[covering]
    if (entry === undefined || (covering === 0 && entry.startOffset === offset)) return
    this.starts.splice(0, covering + 1, { epoch: entry.epoch, startOffset: offset })
    this.version++
  }

  clear(): void {
    if (this.starts.length === 0) return
    this.starts.length = 0
    this.version++
  }
}
