import { createImage } from '@millrace/metadata'
import type { ClusterImage, FollowedImage } from '@millrace/metadata'
import { History } from './history.ts'

const HISTORY_BYTES = 16 * 1024 * 1024

/** What the quorum has committed: the image, and how it came to be for those who were away. */
export class Committed {
  readonly history = new History(HISTORY_BYTES)
  term = 0
  private readonly state: FollowedImage = createImage()
  private kept: Uint8Array | null = null

  get image(): ClusterImage {
    return this.state
  }

  get index(): number {
    return this.state.index
  }

  apply(index: number, term: number, payload: Uint8Array): void {
    this.state.apply(index, payload)
    this.kept = null
    this.term = term
    this.history.push({ index, term, payload })
  }

  restore(snapshot: Uint8Array, index: number, term: number): void {
    this.state.load(index, snapshot)
    this.kept = null
    this.term = term
    this.history.reset(index)
  }

  /** The state at `index`; brokers that join together share it. Not to be changed. */
  snapshot(): Uint8Array {
    this.kept ??= this.state.snapshot()
    return this.kept
  }
}
