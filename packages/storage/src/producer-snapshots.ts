import { type Done, IoError, readSmallFile } from '@millrace/base'
import { nextOffset } from '@millrace/records'
import { walkBatches, walkHeadersNow } from './batch-walk.ts'
import { DELETED_FILE, snapshotFileName } from './file-names.ts'
import { eachLimited } from './flow.ts'
import type { SegmentedLog } from './partition-log.ts'
import { Rot, type Segment } from './segment.ts'
import type { BatchObserver } from './types.ts'

/**
 * Keeps an observer in step with its log, and the log's `.snapshot` files, each the observer's state when the log ended at the offset in its
 * name. They are a cache and never synced: what is damaged or missing is made again from the one before and the batches that follow. But one of
 * a tail that was cut must not count for what came in its place. So a cut removes those above its end at once, which is on disk before a
 * recovery point passes them; none is written while a cut is held back; and a start believes only those at or below the recovery point.
 */
export class ProducerSnapshots {
  readonly observer: BatchObserver
  private readonly log: SegmentedLog
  /** Offsets in the names of the files, rising. */
  private offsets: number[] = []

  constructor(log: SegmentedLog, observer: BatchObserver) {
    this.log = log
    this.observer = observer
    observer.load(null, log.segments[0]?.baseOffset ?? log.endOffset)
  }

  /** Writes the state, of a log that ends at `endOffset`, unless that is known from the files. Without room, or rights, there is just none. */
  take(endOffset: number): void {
    const { log, offsets } = this
    const empty = endOffset === log.segments[0]?.baseOffset
    if (empty || log.cuts.heldBack || offsets.at(-1) === endOffset) return
    const { world } = log.services
    const path = this.pathOf(endOffset)
    try {
      const file = world.disk.openNow(path, 'create')
      try {
        file.appendNow([this.observer.snapshot()])
      } finally {
        file.close(() => undefined)
      }
      // Between the beginnings of segments only the last one is of use.
      this.remove(offsets.filter((offset) => !log.segments.some(({ baseOffset }) => baseOffset === offset)))
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      world.log.warn({ path, error }, 'producer snapshot not written')
    }
    this.offsets.push(endOffset)
  }

  /** A batch is in the log. */
  appended(batch: Uint8Array, nowMs: number): void {
    this.observer.appended(batch, 0, nowMs)
  }

  /** The log was cut. Throws `IoError`. */
  truncated(): void {
    const { endOffset } = this.log
    this.removeAll((offset) => offset > endOffset)
    if (!this.observer.truncated(endOffset)) this.log.guardRot(() => this.rebuildNow())
  }

  /** The log begins anew, and is empty. Throws `IoError`. */
  restarted(): void {
    this.removeAll(() => true)
    this.observer.load(null, this.log.endOffset)
  }

  /** Segments were removed at the log's start. */
  dropped(): void {
    const first = (this.log.segments[0] as Segment).baseOffset
    this.removeAll((offset) => offset < first)
  }

  /** Makes the state of a log that was just opened; `found` are the offsets of its files, of which those up to `trusted` count. */
  open(found: readonly number[], trusted: number, done: Done<void>): void {
    const first = (this.log.segments[0] as Segment).baseOffset
    this.offsets = found.toSorted((a, b) => a - b)
    this.attempt(done, () => this.removeAll((offset) => offset > trusted || offset < first))
  }

  /** Goes on with the newest file where `change` does not throw. */
  private attempt(done: Done<void>, change: () => void): void {
    try {
      change()
    } catch (error) {
      return done(error as IoError)
    }
    this.loadNewest(done)
  }

  private loadNewest(done: Done<void>): void {
    const offset = this.offsets.at(-1)
    if (offset === undefined) return this.walk(this.begin(), done)
    readSmallFile(this.log.services.world.disk, this.pathOf(offset), (error, bytes) => {
      if (error !== null && error.code !== 'EIO') return done(error)
      if (bytes !== null && this.observer.load(bytes, offset)) return this.walk(offset, done)
      this.attempt(done, () => this.discard(offset))
    })
  }

  /** The observer hears of every batch from `from` on. What can not be read, or is no batch, was whole when the log was recovered. */
  private walk(from: number, done: Done<void>): void {
    const { log, observer } = this
    const { disk } = log.services.world
    const one = (segment: Segment, ended: Done<void>): void => {
      const visit = (bytes: Uint8Array, at: number): boolean => {
        if (nextOffset(bytes, at) > from) observer.replay(bytes, at)
        return true
      }
      const walk = { path: segment.logPath, from: 0, to: segment.size, checkCrc: false, visit }
      walkBatches(disk, walk, (error, { why, detail }) => {
        const rot = error === null ? detail : error.message
        if (why === 'damage' || error?.code === 'EIO') log.quarantine(`${segment.logPath}: ${rot}`)
        ended(error?.code === 'EIO' ? null : error)
      })
    }
    eachLimited(this.segmentsFrom(from), 1, one, done)
  }

  private rebuildNow(): void {
    const { log, observer } = this
    const { services } = log
    const from = this.loadNewestNow()
    for (const segment of this.segmentsFrom(from)) {
      const end = walkHeadersNow(services.files.now(segment), 0, segment.size, (bytes, at) => {
        if (nextOffset(bytes, at) > from) observer.replay(bytes, at)
        return true
      })
      if (end.why === 'damage') throw new Rot(segment.logPath, `${end.detail}, at byte ${end.position}`)
    }
  }

  private loadNewestNow(): number {
    for (let offset = this.offsets.at(-1); offset !== undefined; offset = this.offsets.at(-1)) {
      const bytes = this.readNow(offset)
      if (bytes !== null && this.observer.load(bytes, offset)) return offset
      this.discard(offset)
    }
    return this.begin()
  }

  private readNow(offset: number): Uint8Array | null {
    try {
      const file = this.log.services.world.disk.openNow(this.pathOf(offset), 'read')
      const bytes = new Uint8Array(file.size)
      const count = file.readNow(0, bytes)
      file.close(() => undefined)
      return bytes.subarray(0, count)
    } catch (error) {
      if (error instanceof IoError) return null
      throw error
    }
  }

  /** Nothing is known, and all of the log is to be heard. */
  private begin(): number {
    const { baseOffset } = this.log.segments[0] as Segment
    this.observer.load(null, baseOffset)
    return baseOffset
  }

  private segmentsFrom(offset: number): Segment[] {
    const { segments } = this.log
    return segments.filter(({ size }, at) => size > 0 && (segments[at + 1]?.baseOffset ?? Infinity) > offset)
  }

  private discard(offset: number): void {
    const path = this.pathOf(offset)
    this.log.services.world.log.warn({ path }, 'producer snapshot is missing or damaged, the log is read instead')
    this.removeAll((one) => one === offset)
  }

  private removeAll(which: (offset: number) => boolean): void {
    const gone = this.offsets.filter(which)
    if (gone.length === 0) return
    try {
      this.remove(gone)
    } catch (error) {
      // What counts for nothing would count again after a restart.
      this.log.services.fail(error as IoError)
      throw error
    }
    this.log.sync.folderChanged()
  }

  private remove(gone: readonly number[]): void {
    const { reaper } = this.log.services
    const renamed = gone.map((offset) => reaper.renameAway(this.pathOf(offset), DELETED_FILE))
    this.offsets = this.offsets.filter((offset) => !gone.includes(offset))
    reaper.removeLater(
      renamed.filter((path) => path !== null),
      0,
    )
  }

  private pathOf(offset: number): string {
    return `${this.log.folder}/${snapshotFileName(offset)}`
  }
}
