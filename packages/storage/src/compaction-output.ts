import type { File } from '@millrace/base'
import { baseOffset, encodeGap, isGap, lastOffset, leaderEpoch, type Gap } from '@millrace/records'
import type { Segment } from './segment.ts'

const STAGING_BYTES = 512 * 1024

/** The file of a segment that is being compacted: what stays, in order, with one gap for whatever lies between. */
export class CompactedFile {
  /** Anything differs from what was there before. */
  changed = false
  private readonly segment: Segment
  private readonly file: File
  private readonly indexIntervalBytes: number
  private readonly written: (bytes: number) => void
  private readonly staging = new Uint8Array(STAGING_BYTES)
  private staged = 0
  private gap: Gap | null = null

  // oxlint-disable-next-line max-params -- a constructor that one place calls.
  constructor(segment: Segment, file: File, indexIntervalBytes: number, written: (bytes: number) => void) {
    this.segment = segment
    this.file = file
    this.indexIntervalBytes = indexIntervalBytes
    this.written = written
  }

  /** The bytes are copied. Throws `IoError`. */
  kept(batch: Uint8Array, changed: boolean): void {
    this.changed ||= changed
    this.endGap()
    this.add(batch)
  }

  /** A gap takes the batch's place; neighbours become one, but those of two leader epochs: where an epoch begins stays known. */
  removed(batch: Uint8Array): void {
    const { gap } = this
    const epoch = leaderEpoch(batch, 0)
    this.changed ||= !isGap(batch, 0)
    const last = lastOffset(batch, 0)
    if (gap !== null && gap.leaderEpoch === epoch) {
      this.changed = true
      this.gap = { ...gap, lastOffset: last }
      return
    }
    this.endGap()
    this.gap = { baseOffset: baseOffset(batch, 0), lastOffset: last, leaderEpoch: epoch }
  }

  /** All of it is in the page cache. Throws `IoError`. */
  finish(): void {
    this.endGap()
    this.flush()
    this.segment.index.finish()
  }

  private endGap(): void {
    if (this.gap === null) return
    const gap = encodeGap(this.gap)
    this.gap = null
    this.add(gap)
  }

  private add(batch: Uint8Array): void {
    this.segment.added(batch, 0, batch.length, this.indexIntervalBytes)
    if (this.staged + batch.length > STAGING_BYTES) this.flush()
    if (batch.length > STAGING_BYTES) return this.append(batch)
    this.staging.set(batch, this.staged)
    this.staged += batch.length
  }

  private flush(): void {
    if (this.staged > 0) this.append(this.staging.subarray(0, this.staged))
    this.staged = 0
  }

  private append(bytes: Uint8Array): void {
    this.file.appendNow([bytes])
    this.written(bytes.length)
  }
}
