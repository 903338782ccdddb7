import type { PartitionView } from './cluster-view.ts'

/** Where to begin: at an end of the log, or at the first record that is at least so young (ms). */
export type Start = 'earliest' | 'latest' | number

/** One partition that a consumer reads, and how far it is. */
export class Reading {
  /** The client's view of the partition, kept up to date by it. */
  readonly view: PartitionView
  /** The next offset to read; null while it has to be looked up. */
  offset: number | null = null
  start: Start = 'earliest'
  /** The position does not follow from the poll before. */
  moved = true
  /** The leader epoch of the last batch that was read; -1 before. */
  batchEpoch = -1
  /** The leader epoch under which `batchEpoch` was last compared with the leader's log. */
  comparedEpoch = -1
  busy = false
  notBeforeUs = 0
  /** What the last answer said: an empty one at the watermark. */
  atEnd = false

  constructor(view: PartitionView) {
    this.view = view
  }

  /** Goes on from elsewhere. */
  moveTo(start: Start): void {
    this.start = start
    this.offset = null
    this.moved = true
    this.batchEpoch = -1
    this.atEnd = false
  }

  seek(offset: number): void {
    this.moveTo('earliest')
    this.offset = offset
  }
}
