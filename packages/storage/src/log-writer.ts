import { assert, IoError } from '@millrace/base'
import { baseOffset, leaderEpoch, maxTimestamp, nextOffset } from '@millrace/records'
import { type AppendRun, type Incoming, planRuns, shouldRoll } from './append-plan.ts'
import type { SegmentedLog } from './partition-log.ts'
import { Rot, Segment } from './segment.ts'

/** The append path of one log: no work per record, no copies, a constant amount of bookkeeping per batch. */
export class LogWriter {
  private readonly log: SegmentedLog

  constructor(log: SegmentedLog) {
    this.log = log
  }

  append(batches: readonly Uint8Array[], nowMs: number): void {
    const { log } = this
    const first = batches[0]
    if (first === undefined) return
    if (baseOffset(first, 0) < log.endOffset && this.beginsWith(first))
      this.write(() => log.cuts.beginAtBatch(baseOffset(first, 0)))
    const incoming = this.measure(batches)
    this.wakeActive()
    if (shouldRoll(log.active, log.config, incoming, nowMs)) this.write(() => this.appendRolling(batches, nowMs))
    else this.write(() => this.appendHere(batches, nowMs))
    const from = log.endOffset
    log.endOffset = incoming.lastOffset + 1
    log.sizeBytes += incoming.bytes
    const copy = log.tail.add(batches, baseOffset(first, 0), log.endOffset)
    log.services.space.wrote(incoming.bytes)
    log.sync.wrote(log.active)
    log.services.journal?.appended(log, from, batches, copy)
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
    services.files.now(active).appendNow(batches)
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
    if (segment.index.wantsSpill) this.spill(segment)
  }

  /** Writes all runs before anything is counted, so that a failure of any leaves the log as it was. */
  private appendRolling(batches: readonly Uint8Array[], nowMs: number): void {
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
    this.roll(this.makeSegment(this.log.endOffset, nowMs))
  }

  /** An index is a cache: when its file can not be written its entries stay in memory. */
  spill(segment: Segment): void {
    if (segment.provisional || segment.held) return
    const { world } = this.log.services
    try {
      if (segment.index.spill(world.disk)) this.log.sync.folderChanged()
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      world.log.warn({ path: segment.logPath, error }, 'index not written')
    }
  }
}
