import { assert, IoError } from '@millrace/base'
import { baseOffset, leaderEpoch, maxTimestamp, nextOffset } from '@millrace/records'
import { type AppendRun, type Incoming, planRuns, shouldRoll } from './append-plan.ts'
import type { SegmentedLog } from './partition-log.ts'
import { Rot, Segment } from './segment.ts'
import type { Chunk } from './tail-cache.ts'
import { attempted, KeptAppends, type Lagging } from './write-behind.ts'

/**
 * The append path of one log: no work per record, no copies but the tail cache's, a constant amount of bookkeeping per batch. Where there is a
 * journal the last segment's file lags behind the log (`WriteBehind`): whoever looks at that file, or changes it, calls `writeOut` first.
 */
export class LogWriter implements Lagging {
  private readonly log: SegmentedLog
  private readonly kept: KeptAppends

  constructor(log: SegmentedLog) {
    this.log = log
    this.kept = new KeptAppends(log.services.tails)
  }

  /** The files hold everything below. */
  get writtenEnd(): number {
    return this.kept.bytes > 0 ? this.kept.from : this.log.endOffset
  }

  /** What the file has not got yet, where it lies. */
  get unwritten(): readonly Uint8Array[] {
    return this.kept.parts
  }

  append(batches: readonly Uint8Array[], nowMs: number, atOnce = false): void {
    const { log } = this
    const first = batches[0]
    if (first === undefined) return
    if (baseOffset(first, 0) < log.endOffset && this.beginsWith(first))
      this.write(() => log.cuts.beginAtBatch(baseOffset(first, 0)))
    const incoming = this.measure(batches)
    this.wakeActive()
    const rolls = shouldRoll(log.active, log.config, incoming, nowMs)
    const keeps = !rolls && !atOnce && this.mayKeep(incoming.bytes)
    if (rolls) this.write(() => this.appendRolling(batches, nowMs))
    else if (keeps) this.count(log.active, batches, nowMs)
    else this.write(() => this.appendHere(batches, nowMs))
    const from = log.endOffset
    log.endOffset = incoming.lastOffset + 1
    log.sizeBytes += incoming.bytes
    const copy = log.tail.add(batches, baseOffset(first, 0), log.endOffset)
    log.services.space.wrote(incoming.bytes)
    if (keeps) this.keep(copy as Chunk)
    else log.sync.wrote(log.active)
    log.services.journal?.appended(log, from, batches, copy)
    if (log.active.index.wantsSpill) this.spill(log.active)
  }

  /** The file gets all that was appended. Throws `IoError`; nothing has changed then. */
  writeOut(): void {
    const { kept, log } = this
    if (kept.bytes === 0) return
    log.services.files.now(log.active).appendNow(kept.parts)
    this.forget()
    log.sync.wrote(log.active)
  }

  /**
   * The file is to be cut at `offset`, and gets what is missing before that. What finds no room on the disk and is cut anyway is no part of the
   * segment any more. Throws `IoError`.
   */
  writeOutBefore(offset: number): void {
    const { kept, log } = this
    const { active } = log
    const refused = attempted(() => this.writeOut())
    if (refused === null) return
    if (refused.code !== 'ENOSPC' || kept.from < offset) throw refused
    active.size -= kept.bytes
    log.sizeBytes -= kept.bytes
    this.forget()
  }

  /** What the file has not got is not wanted there any more. */
  forget(): void {
    const { kept, log } = this
    if (kept.bytes === 0) return
    log.active.lag = 0
    log.services.behind?.gone(this, kept.bytes)
    kept.clear()
  }

  private mayKeep(bytes: number): boolean {
    const { behind, tails } = this.log.services
    return behind !== null && this.kept.bytes + bytes <= behind.bytesPerLog && tails.holds(bytes)
  }

  private keep(copy: Chunk): void {
    const { kept, log } = this
    kept.add(copy)
    log.active.lag = kept.bytes
    log.services.behind?.kept(this, copy.end - copy.at)
  }

  /** Whether the log is empty and starts in the middle of this batch. */
  private beginsWith(batch: Uint8Array): boolean {
    const { logStart, endOffset } = this.log
    return logStart === endOffset && nextOffset(batch, 0) > endOffset
  }

  /** What is to be appended, which must continue the log. */
  private measure(batches: readonly Uint8Array[]): Incoming {
    let bytes = 0
    let next = this.log.endOffset
    let epoch = this.log.lastEpoch
    let timestamp = -1
    for (const batch of batches) {
      const base = baseOffset(batch, 0)
      const batchEpoch = leaderEpoch(batch, 0)
      // The messages are made only when they are needed: this is the hot path.
      if (base < next) assert(false, `a batch at ${base} is appended to a log that ends at ${next}`)
      if (batchEpoch < epoch) assert(false, `a batch of epoch ${batchEpoch} follows one of ${epoch}`)
      bytes += batch.length
      epoch = batchEpoch
      timestamp = Math.max(timestamp, maxTimestamp(batch, 0))
      next = nextOffset(batch, 0)
    }
    return { bytes, lastOffset: next - 1, maxTimestamp: timestamp }
  }

  private write(run: () => void): void {
    try {
      run()
    } catch (error) {
      if (error instanceof IoError && error.code === 'ENOSPC') this.log.services.space.ranOut()
      throw error
    }
  }

  private wakeActive(): void {
    const { log } = this
    if (log.active.awake) return
    log.guardRot(() => {
      const epoch = log.active.wake(log.sources, log.endOffset)
      const known = log.epochs.epochAt(log.endOffset - 1)
      // Below the log start there may be a batch still, and nobody keeps its epoch.
      if (epoch >= 0 && epoch !== known && log.endOffset > log.logStart)
        throw new Rot(log.folder, `the last batch is of epoch ${epoch}, the epoch checkpoint says ${known}`)
    })
  }

  private appendHere(batches: readonly Uint8Array[], nowMs: number): void {
    const { active, services } = this.log
    services.files.now(active).appendNow(this.kept.bytes === 0 ? batches : [...this.kept.parts, ...batches])
    this.forget()
    this.count(active, batches, nowMs)
  }

  private count(segment: Segment, batches: readonly Uint8Array[], nowMs: number): void {
    const { epochs, config, snapshots } = this.log
    for (const batch of batches) {
      const epoch = leaderEpoch(batch, 0)
      if (epoch > epochs.lastEpoch) epochs.assign(epoch, baseOffset(batch, 0))
      segment.added(batch, 0, batch.length, config.indexIntervalBytes)
      snapshots?.appended(batch, nowMs)
    }
  }

  /** Writes all runs before anything is counted, so that a failure of any leaves the log as it was. */
  private appendRolling(batches: readonly Uint8Array[], nowMs: number): void {
    this.writeOut()
    const { active, config, endOffset, services } = this.log
    const plan = planRuns({ active, config, endOffset, nowMs }, batches)
    const [here, ...runs] = plan as [AppendRun, ...AppendRun[]]
    const fresh: Segment[] = []
    try {
      for (const run of runs) fresh.push(this.makeSegment(run.baseOffset, nowMs))
      if (here.batches.length > 0) services.files.now(active).appendNow(here.batches)
      runs.forEach((run, at) => services.files.now(fresh[at] as Segment).appendNow(run.batches))
    } catch (error) {
      this.undo(active, fresh)
      throw error
    }
    this.count(active, here.batches, nowMs)
    runs.forEach((run, at) => {
      this.roll(fresh[at] as Segment)
      this.count(fresh[at] as Segment, run.batches, nowMs)
    })
  }

  /** An empty segment with its file made; it is not part of the log yet. Throws `IoError`. */
  makeSegment(base: number, nowMs: number): Segment {
    const { log } = this
    const { folder, config, services } = log
    const { world, files } = services
    const segment = Segment.empty(folder, base, nowMs)
    segment.writable = true
    segment.provisional = log.cuts.heldBack
    segment.jitterMs = config.segmentJitterMs > 0 ? world.random.below(Math.min(config.segmentJitterMs, 2 ** 31)) : 0
    files.keep(segment, world.disk.openNow(segment.logPath, 'create'))
    return segment
  }

  private undo(active: Segment, fresh: readonly Segment[]): void {
    const { services } = this.log
    try {
      const file = services.files.now(active)
      if (file.size > active.size) file.truncateNow(active.size)
      for (const segment of fresh) this.log.cuts.discard(segment)
    } catch (error) {
      // Bytes that nobody knows of may be in the log now: nothing may follow them.
      services.fail(error as IoError)
    }
  }

  /** The new segment gets the appends from now on. */
  private roll(fresh: Segment): void {
    const old = this.log.active
    old.index.finish()
    this.spill(old)
    old.writable = false
    this.log.sync.wrote(old)
    this.log.sync.folderChanged()
    this.log.segments.push(fresh)
    this.log.sync.rolled()
    this.log.snapshots?.take(fresh.baseOffset)
  }

  /** All of the log is past its retention: an empty segment takes the place of the active one. Throws `IoError`. */
  rollEmpty(nowMs: number): void {
    this.wakeActive()
    this.writeOut()
    this.roll(this.makeSegment(this.log.endOffset, nowMs))
  }

  /**
   * An index is a cache: when its file can not be written its entries stay in memory. They follow what they are of: entries of what the file has
   * not got would be taken for lies.
   */
  spill(segment: Segment): void {
    if (segment.provisional || segment.held) return
    const { world } = this.log.services
    try {
      if (segment === this.log.active) this.writeOut()
      if (segment.index.spill(world.disk)) this.log.sync.folderChanged()
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      world.log.warn({ path: segment.logPath, error }, 'index not written')
    }
  }
}
