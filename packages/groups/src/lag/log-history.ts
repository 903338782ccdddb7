import { OffsetHistory } from './offset-history.ts'

/** Where a partition's log was seen to begin and to end. */
export interface LogLook {
  readonly logStart: number
  readonly logEnd: number
  readonly nowMs: number
}

/** How a partition's log moved, for all groups that read it: what lag is in seconds, and when retention gets to an offset. */
export class LogHistory {
  private readonly starts = new OffsetHistory()
  private readonly ends = new OffsetHistory()
  private logStart = 0
  private lookedMs = Number.NEGATIVE_INFINITY

  /** Looks that come out of order are not counted. */
  look({ logStart, logEnd, nowMs }: LogLook): void {
    if (nowMs <= this.lookedMs) return
    this.starts.add(logStart, nowMs)
    this.ends.add(logEnd, nowMs)
    this.ends.forgetBelow(logStart)
    this.logStart = logStart
    this.lookedMs = nowMs
  }

  /** How long ago, as of the last look, the record after `offset` was the log's newest: 0 for a reader that has read all, null while nothing is known. */
  lagSeconds(offset: number): number | null {
    const sinceMs = this.ends.timeOf(Math.max(offset, this.logStart))
    return sinceMs === null ? null : Math.max(0, this.lookedMs - sinceMs) / 1000
  }

  /** The record at `offset` is of this time: a look that nobody took, for an offset that is not the end. */
  learn(offset: number, atMs: number): void {
    if (offset >= this.logStart) this.ends.learn(offset, atMs)
  }

  /**
   * Whether the time of the record at `offset` would make `lagSeconds` of it much better: it is not known to a tenth, nor to `closeMs`.
   */
  wantsTimeOf(offset: number, closeMs: number): boolean {
    if (this.ends.isEmpty || offset < this.logStart) return false
    const doubtMs = this.ends.doubtMs(offset)
    if (doubtMs <= closeMs) return false
    const sinceMs = this.ends.timeOf(offset)
    return sinceMs === null || doubtMs * 10 > this.lookedMs - sinceMs
  }

  /** The last look; null before the first. */
  get last(): LogLook | null {
    const logEnd = this.ends.last
    return logEnd === null ? null : { logStart: this.logStart, logEnd, nowMs: this.lookedMs }
  }

  /**
   * Seconds until the log begins after `offset` if it loses records as it did; 0 when it does already, Infinity when it loses none, null while nothing is
   * known.
   */
  secondsToRetention(offset: number): number | null {
    const rate = this.starts.rate()
    if (this.starts.isEmpty) return null
    if (offset < this.logStart) return 0
    if (rate === null) return null
    return rate === 0 ? Number.POSITIVE_INFINITY : (offset - this.logStart) / rate / 1000
  }
}
