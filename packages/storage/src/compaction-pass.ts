import { type Done, IoError } from '@millrace/base'
import { type BatchVisitor, Cleaning, KeyIndexing } from './compaction-batch.ts'
import { type CompactionPlan, groupsOf } from './compaction-choice.ts'
import { OffsetMap } from './compaction-map.ts'
import { CompactedFile } from './compaction-output.ts'
import { abandoned, visitBatches } from './compaction-reader.ts'
import { giveUp, swapIn } from './compaction-swap.ts'
import type { CompactionTurns } from './compaction-turns.ts'
import { CLEANED_FILE } from './file-names.ts'
import { eachLimited, inOrder } from './flow.ts'
import { Segment } from './segment.ts'

/** What a pass did. */
export interface Compacted {
  /** Segments that were taken away, and the bytes that they had. */
  readonly segments: number
  readonly bytesBefore: number
  readonly bytesAfter: number
}

/**
 * One pass over one log: the keys of the dirty part go into the map, then the segments are rewritten from the log's start to where the map
 * ends, a group at a time, each of which takes its place before the next is begun. So what an older record of a tombstone's key lay in is
 * gone from the disk before the tombstone is. A log that is cut, closed or quarantined meanwhile is let be at once.
 */
export class CompactionPass {
  private readonly plan: CompactionPlan
  private readonly turns: CompactionTurns
  private readonly map: OffsetMap
  private readonly generation: number
  private readonly nowMs: number
  private readonly did = { segments: 0, bytesBefore: 0, bytesAfter: 0 }

  constructor(plan: CompactionPlan, turns: CompactionTurns, keyMapBytes: number) {
    this.plan = plan
    this.turns = turns
    this.map = new OffsetMap(keyMapBytes, plan.end - plan.dirtyFrom)
    this.generation = plan.log.generation
    this.nowMs = plan.log.services.world.clock.wallMs()
  }

  /** Fails with ECLOSED where it was given up, with `Rot` where the log is not what it was. */
  run(done: Done<Compacted>): void {
    const steps = [
      (ended: Done<void>) => this.index(ended),
      (ended: Done<void>) => eachLimited(groupsOf(this.plan, this.map.latest + 1), 1, this.rewrite, ended),
    ]
    inOrder(steps, (error) => {
      if (error === null && this.alive()) this.plan.log.cleanedEnd = this.map.latest + 1
      done(error ?? (this.alive() ? null : abandoned(this.plan.log.folder)), this.did)
    })
  }

  private readonly alive = (): boolean => {
    const { log } = this.plan
    const usable = !log.closed && log.quarantined === null && log.services.failed === null
    return usable && !this.turns.ended && log.generation === this.generation
  }

  private index(done: Done<void>): void {
    const { segments, dirtyFrom, end } = this.plan
    const visitor = new KeyIndexing(this.map, dirtyFrom, end)
    const dirty = segments.filter((_, at) => (segments[at + 1]?.baseOffset ?? end) > dirtyFrom)
    eachLimited(dirty, 1, (segment, ended) => this.visit(segment, visitor, () => this.alive(), ended), done)
  }

  // oxlint-disable-next-line max-params -- what is read, by whom and for how long.
  private visit(segment: Segment, visitor: BatchVisitor, alive: () => boolean, done: Done<void>): void {
    const { world } = this.plan.log.services
    if (segment.removed) return done(abandoned(segment.logPath))
    visitBatches({ world, turns: this.turns, path: segment.logPath, size: segment.size, visitor, alive }, (error) =>
      // Its name may be of another file by now.
      done(error !== null && segment.removed ? abandoned(segment.logPath) : error),
    )
  }

  private readonly rewrite = (sources: readonly Segment[], done: Done<void>): void => {
    const { log } = this.plan
    const alive = (): boolean => this.alive() && sources.every(({ removed }) => !removed)
    // Retention takes the oldest segments at any time.
    if (!alive()) return done(this.alive() ? null : abandoned(log.folder))
    const first = sources[0] as Segment
    const fresh = Segment.empty(log.folder, first.baseOffset, Math.max(...sources.map(({ modifiedMs }) => modifiedMs)))
    log.services.world.disk.open(fresh.logPath + CLEANED_FILE, 'create', (error, file) => {
      if (error !== null) return done(error)
      const { indexIntervalBytes } = log.config
      const output = new CompactedFile(fresh, file, indexIntervalBytes, (bytes) => this.turns.spent(bytes))
      const visitor = this.cleaning(output)
      const visits = (ended: Done<void>): void =>
        eachLimited(sources, 1, (source, visited) => this.visit(source, visitor, alive, visited), ended)
      const finish = (ended: Done<void>): void => (tried(() => output.finish(), ended) ? file.sync(ended) : undefined)
      inOrder([visits, finish], (failed) =>
        file.close((unclosed) => {
          const problem = failed ?? unclosed
          const useless = sources.length === 1 && !output.changed
          if (problem === null && alive() && !useless) return this.swap(sources, fresh, done)
          giveUp({ log, fresh }, (left) => done(alive() || !this.alive() ? (problem ?? left) : null))
        }),
      )
    })
  }

  private cleaning(output: CompactedFile): Cleaning {
    const { log } = this.plan
    const { events } = log
    return new Cleaning({
      map: this.map,
      nowMs: this.nowMs,
      deleteRetentionMs: log.config.deleteRetentionMs,
      keepsProducer: (producer, last) =>
        events.lastBatchOf === undefined || (events.lastBatchOf(producer) ?? -1) === last,
      kept: (batch, changed) => output.kept(batch, changed),
      removed: (batch) => output.removed(batch),
    })
  }

  private swap(sources: readonly Segment[], fresh: Segment, done: Done<void>): void {
    const { log } = this.plan
    const { did } = this
    const alive = (): boolean => this.alive() && sources.every(({ removed }) => !removed)
    const before = sources.reduce((bytes, { size }) => bytes + size, 0)
    swapIn({ log, sources, fresh, alive }, (error, swapped) => {
      if (swapped) {
        did.segments += sources.length
        did.bytesBefore += before
        did.bytesAfter += fresh.size
      }
      done(error)
    })
  }
}

/** True where it ran; else `failed` is told why not. */
function tried(run: () => void, failed: Done<void>): boolean {
  try {
    run()
    return true
  } catch (error) {
    if (!(error instanceof IoError)) throw error
    failed(error)
    return false
  }
}
