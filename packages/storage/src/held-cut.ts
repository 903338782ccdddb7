import type { Done, IoError } from '@millrace/base'
import { PROVISIONAL_FILE } from './file-names.ts'
import type { SegmentedLog } from './partition-log.ts'
import type { Segment } from './segment.ts'

/**
 * A cut of a log that is done to its files only once the journal has it, because it takes what a recovery point on disk may speak for: were
 * the files cut first, a crash would leave what looks like rot. The log itself is cut at once and goes on in provisional segments, whose
 * files a start removes. So a crash finds every file as it was promised, or the journal tells the cut, and has what was appended since.
 */
export class HeldCut {
  private readonly log: SegmentedLog
  /** What is no part of the log any more and still has its names, the last first. */
  private gone: Segment[] = []
  /** Where the log ended after the lowest of the cuts that wait; null while none waits. */
  private lowest: number | null = null
  /** Counts what the journal was told; the last of them carries the cut out. */
  private told = 0

  constructor(log: SegmentedLog) {
    this.log = log
  }

  get waits(): boolean {
    return this.lowest !== null
  }

  /** Segment number `keep` is the last that stays, and counts up to `position`; the log goes on at `end`. Throws `IoError`. */
  shorten(keep: number, position: number, end: number): void {
    const { log } = this
    const last = log.segments[keep] as Segment
    this.replaceFrom(position === 0 ? keep : keep + 1, end)
    if (position === 0) return
    log.sizeBytes -= last.size - position
    last.size = position
    last.held = true
    last.writable = false
    last.index.finish()
  }

  /** An empty segment takes the place of those from number `from` on. Throws `IoError`. */
  replaceFrom(from: number, base: number): void {
    const { log } = this
    this.lowest = Math.min(this.lowest ?? base, base)
    for (let at = log.segments.length - 1; at >= from; at--) {
      const segment = log.cuts.takeOut(at)
      if (segment.provisional) log.cuts.discard(segment)
      else this.gone.push(segment)
    }
    log.segments.push(log.writer.makeSegment(base, log.services.world.clock.wallMs()))
  }

  /** Who hears of the journal's next entry, of this cut or of a later one. */
  untilTold(): Done<void> {
    const mark = ++this.told
    return (error) => {
      const { closed, quarantined, services } = this.log
      if (error !== null || mark !== this.told || closed || quarantined !== null || services.failed !== null) return
      try {
        this.carryOut()
      } catch (cause) {
        services.fail(cause as IoError)
      }
    }
  }

  private carryOut(): void {
    const { log } = this
    for (const segment of this.gone) log.cuts.discard(segment)
    for (const segment of log.segments) if (segment.held) this.cutFiles(segment)
    for (const segment of log.segments) if (segment.provisional) this.publish(segment)
    const end = this.lowest as number
    this.gone = []
    this.lowest = null
    // What a checkpoint under way tells is lowered by the journal, which keeps the cut until a later one has ended.
    log.promisedEnd = Math.min(log.promisedEnd, end)
    log.syncedEnd = Math.min(log.syncedEnd, end)
    log.sync.carriedOut()
    for (const segment of log.segments)
      if (segment !== log.active && segment.index.hasUnwritten) log.writer.spill(segment)
  }

  private cutFiles(segment: Segment): void {
    const { files, world } = this.log.services
    segment.held = false
    segment.writable = true
    files.now(segment).truncateNow(segment.size)
    segment.writable = false
    segment.index.trim(world.disk)
    this.log.sync.wrote(segment)
  }

  private publish(segment: Segment): void {
    const from = segment.logPath
    segment.provisional = false
    this.log.services.world.disk.renameNow(from, from.slice(0, -PROVISIONAL_FILE.length))
    // Its content may be on disk, its name is not.
    this.log.sync.wrote(segment)
  }
}
