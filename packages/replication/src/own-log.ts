import { assert, exact } from '@millrace/base'
import type { EpochHistory, FlushMode, LogState } from './types.ts'

/** What this replica knows of its own log, and the highest watermark it may vouch for. */
export class OwnLog {
  logStart: number
  endOffset: number
  durableEnd: number
  generation: number
  highWatermark: number
  readonly history: EpochHistory
  private readonly flushMode: FlushMode

  constructor(state: LogState, history: EpochHistory, flushMode: FlushMode) {
    this.logStart = exact(state.logStart)
    this.endOffset = exact(state.endOffset)
    this.durableEnd = exact(state.durableEnd)
    this.generation = state.generation
    assert(this.logStart <= this.endOffset, `log start ${this.logStart} is above the end ${this.endOffset}`)
    // A checkpoint older than a DeleteRecords, or newer than what a crash left, says nothing outside the log.
    this.highWatermark = Math.max(this.logStart, Math.min(exact(state.highWatermark), this.endOffset))
    this.history = history
    this.flushMode = flushMode
  }

  /** Below this offset the replica holds its records in the sense of its flush mode. */
  get promisedEnd(): number {
    return this.flushMode === 'fsync' ? this.durableEnd : this.endOffset
  }

  /** The epoch of the last record, -1 for an empty log. Epochs begun without a record do not count: only records can diverge. */
  lastEpoch(): number {
    if (this.endOffset === this.logStart) return -1
    let last = this.history.epochEnd(Number.MAX_SAFE_INTEGER)
    while (last !== null) {
      const before = this.history.epochEnd(last.epoch - 1)
      if (before === null || before.endOffset < this.endOffset) return last.epoch
      last = before
    }
    return -1
  }

  /** The largest epoch that was begun here, with or without records; -1 when there was none. */
  lastBegunEpoch(): number {
    return this.history.epochEnd(Number.MAX_SAFE_INTEGER)?.epoch ?? -1
  }

  appended(endOffset: number, generation: number): void {
    assert(generation === this.generation, `an append of generation ${generation}, the log is at ${this.generation}`)
    this.extend(endOffset)
  }

  extend(endOffset: number): void {
    assert(endOffset >= this.endOffset, `the log shrank from ${this.endOffset} to ${endOffset} without truncation`)
    this.endOffset = exact(endOffset)
  }

  /** Whether the report raised the durable end. One that was begun before a truncation says nothing about this log. */
  durable(endOffset: number, generation: number): boolean {
    if (generation !== this.generation || endOffset <= this.durableEnd) return false
    assert(endOffset <= this.endOffset, `durable up to ${endOffset}, but the log ends at ${this.endOffset}`)
    this.durableEnd = endOffset
    return true
  }

  /**
   * After a restart above the old end the durable end stays until a report covers the restart: before that a power cut may bring
   * the old log back.
   */
  truncated(endOffset: number, generation: number, restarted: boolean): void {
    this.endOffset = exact(endOffset)
    this.generation = generation
    this.durableEnd = Math.min(this.durableEnd, endOffset)
    if (restarted) this.logStart = endOffset
    assert(this.logStart <= endOffset, `truncated to ${endOffset}, below the log start ${this.logStart}`)
    this.highWatermark = Math.max(this.logStart, Math.min(this.highWatermark, endOffset))
  }

  /** Only an unclean election takes back what was committed. */
  lowerHighWatermark(offset: number): void {
    this.highWatermark = Math.max(this.logStart, Math.min(this.highWatermark, offset))
  }

  raiseHighWatermark(offset: number): boolean {
    if (offset <= this.highWatermark) return false
    this.highWatermark = offset
    return true
  }

  raiseLogStart(offset: number): void {
    const start = Math.min(offset, this.endOffset)
    if (start > this.logStart) this.logStart = start
    if (this.highWatermark < this.logStart) this.highWatermark = this.logStart
  }
}
