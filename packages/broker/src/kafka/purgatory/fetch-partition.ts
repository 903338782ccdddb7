import { ErrorCode } from '@millrace/base'
import type { FetchRequest } from '@millrace/protocol'
import type { LogSlice } from '@millrace/storage'
import type { FetchState, ReadLimits, Replica } from '../../seams.ts'
import type { FetchedPartition } from '../fetch-response.ts'
import { PartitionWaiter } from './partition-watches.ts'

type AskedPartition = FetchRequest['topics'][number]['partitions'][number]

const NOTHING: readonly Uint8Array[] = Object.freeze([])

/** The fetch that a partition belongs to. */
export interface PartitionFetch {
  moved(partition: FetchPartition): void
}

/** One partition of a fetch: what was asked, how it stands, what was read. */
export class FetchPartition extends PartitionWaiter implements FetchedPartition {
  readonly index: number
  readonly offset: number
  readonly limits: ReadLimits
  readonly replica: Replica | null
  fetch: PartitionFetch | null = null
  error: ErrorCode = ErrorCode.NONE
  highWatermark = -1
  lastStableOffset = -1
  logStart = -1
  parts: readonly Uint8Array[] = NOTHING
  bytes = 0
  /** What could be read, at most what was asked for. */
  available = 0
  /** What this fetch has room for, and whether its first batch may be larger. */
  maxBytes = 0
  mayExceed = false
  /** Where the next piece begins. */
  nextOffset: number

  constructor(found: Replica | ErrorCode, asked: AskedPartition, isolation: 0 | 1) {
    super()
    this.index = asked.partition
    this.offset = asked.fetchOffset
    this.nextOffset = asked.fetchOffset
    this.limits = {
      maxBytes: Math.max(0, asked.partitionMaxBytes),
      currentLeaderEpoch: asked.currentLeaderEpoch,
      isolation,
    }
    this.replica = typeof found === 'number' ? null : found
    if (typeof found === 'number') this.error = found
  }

  /** Looks again how the partition stands. */
  refresh(): void {
    if (this.replica === null) return
    const state: FetchState = this.replica.fetchState(this.offset, this.limits)
    if (state.error === ErrorCode.NONE) {
      this.highWatermark = state.highWatermark
      this.lastStableOffset = state.lastStableOffset
      this.logStart = state.logStart
      this.available = Math.min(state.availableBytes, this.limits.maxBytes)
      // A limit below the smallest batch still counts as something to read.
      if (this.available === 0 && state.availableBytes > 0) this.available = 1
    } else this.fail(state.error)
  }

  fail(error: ErrorCode): void {
    this.error = error
    this.highWatermark = -1
    this.lastStableOffset = -1
    this.logStart = -1
    this.available = 0
    this.drop()
  }

  drop(): void {
    this.parts = NOTHING
    this.bytes = 0
  }

  take(slice: LogSlice): void {
    this.parts = this.bytes === 0 ? slice.parts : [...this.parts, ...slice.parts]
    this.bytes += slice.bytes
    this.nextOffset = slice.nextOffset
    // The watermark may have risen between the look and the read: an answer never holds more than the watermark that it tells.
    this.highWatermark = Math.max(this.highWatermark, slice.nextOffset)
    this.lastStableOffset = Math.max(this.lastStableOffset, slice.nextOffset)
  }

  get roomLeft(): number {
    return Math.max(0, this.maxBytes - this.bytes)
  }

  /** Whether the log has more behind what was read, under the same leadership. */
  get hasMore(): boolean {
    if (this.replica === null) return false
    const { error, availableBytes } = this.replica.fetchState(this.nextOffset, this.limits)
    return error === ErrorCode.NONE && availableBytes > 0
  }

  moved(): void {
    this.fetch?.moved(this)
  }
}
