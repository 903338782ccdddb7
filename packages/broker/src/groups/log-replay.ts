import { type Compute, ErrorCode } from '@millrace/base'
import {
  InvalidBatch,
  RecordReader,
  baseOffset,
  codec,
  isControl,
  recordsSection,
  splitBatches,
} from '@millrace/records'
import type { LogSlice } from '@millrace/storage'
import { type LoadTurns, TURN_BYTES } from './load-turns.ts'
import type { CoordinatedReplica } from './replica-view.ts'

/** No coordinator writes batches that inflate to more; others may only be harm. */
const MOST_INFLATED_BYTES = 512 * 1024 * 1024
/** A read that finds nothing before the end is made again so often: only the gap that compaction leaves at the end is empty for good. */
const EMPTY_READS = 3

export interface ReplayParts {
  readonly replica: CoordinatedReplica
  readonly compute: Compute
  readonly turns: LoadTurns
  /** Takes one record; throws for one that it can not read. */
  readonly replay: (key: Uint8Array, value: Uint8Array | null) => void
  /** Once, and not after `cancel`: the log end that was reached, or why the log could not be read. */
  readonly done: (error: Error | null, end: number) => void
}

/**
 * Reads the log of a coordinator's partition from its start to its end, beyond the watermark too: a leader's own log is what will be committed.
 * Compaction leaves gaps; control batches and records without a key say nothing here; what can not be decoded is counted and skipped, because
 * one strange record must not keep all groups of a partition from their coordinator.
 */
export class LogReplay {
  records = 0
  skipped = 0
  /** What is wrong with the first one that was skipped, and where. */
  firstSkipped: { readonly offset: number; readonly reason: string } | null = null
  private readonly parts: ReplayParts
  private next: number
  private emptyReads = 0
  private over = false

  constructor(parts: ReplayParts) {
    this.parts = parts
    this.next = parts.replica.log.logStart
  }

  begin(): void {
    this.soon(() => this.read())
  }

  cancel(): void {
    this.over = true
  }

  private soon(work: () => number): void {
    this.parts.turns.add(() => (this.over ? 0 : work()))
  }

  private read(): number {
    const { log } = this.parts.replica
    // Records below the log's start are gone for good.
    this.next = Math.max(this.next, log.logStart)
    if (this.next >= log.endOffset) return this.finish(null)
    const slice = log.read(this.next, TURN_BYTES, log.endOffset, (error, late) =>
      this.soon(() => (error === null ? this.take(late) : this.finish(error))),
    )
    return slice === null ? 0 : this.take(slice)
  }

  private take(slice: LogSlice): number {
    if (slice.bytes === 0 && ++this.emptyReads >= EMPTY_READS) this.next = this.parts.replica.log.endOffset
    if (slice.bytes > 0) this.emptyReads = 0
    const batches = slice.parts.flatMap(splitBatches)
    this.takeBatches(batches, 0, () => {
      this.next = Math.max(this.next, slice.nextOffset)
      this.soon(() => this.read())
    })
    return slice.bytes
  }

  private takeBatches(batches: readonly Uint8Array[], from: number, then: () => void): void {
    for (let at = from; at < batches.length; at++) {
      const batch = batches[at] as Uint8Array
      if (isControl(batch, 0)) continue
      const kind = codec(batch, 0)
      if (kind === null)
        this.skip(baseOffset(batch, 0), new InvalidBatch(ErrorCode.CORRUPT_MESSAGE, 'its codec is not known'))
      else if (kind === 'none') this.takeRecords(batch)
      else {
        this.parts.compute.inflate(kind, recordsSection(batch, 0), MOST_INFLATED_BYTES, (error, section) =>
          this.soon(() => {
            if (error !== null) this.skip(baseOffset(batch, 0), error)
            else this.takeRecords(batch, section)
            this.takeBatches(batches, at + 1, then)
            return section.length
          }),
        )
        return
      }
    }
    then()
  }

  private takeRecords(batch: Uint8Array, section?: Uint8Array): void {
    try {
      const reader = new RecordReader(batch, 0, section)
      while (reader.next()) if (reader.key !== null) this.takeRecord(reader.offset, reader.key, reader.value)
    } catch (error) {
      this.skip(baseOffset(batch, 0), error)
    }
  }

  private takeRecord(offset: number, key: Uint8Array, value: Uint8Array | null): void {
    try {
      // What is kept of a value must not hold all that was read with it.
      this.parts.replay(key, value === null ? null : Uint8Array.from(value))
      this.records++
    } catch (error) {
      // Whatever is wrong with it: nobody who comes to lead this partition must end of a record.
      this.skip(offset, error)
    }
  }

  private skip(offset: number, error: unknown): void {
    this.skipped++
    this.firstSkipped ??= { offset, reason: error instanceof Error ? error.message : String(error) }
  }

  private finish(error: Error | null): number {
    this.over = true
    this.parts.done(error, this.next)
    return 0
  }
}
