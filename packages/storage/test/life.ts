import assert from 'node:assert/strict'
import { baseOffset, leaderEpoch, nextOffset, readRecords } from '@millrace/records'
import type { LogDirectoryOptions, PartitionLog, TimestampHit } from '../src/index.ts'
import { BatchList, listOf } from './batch-list.ts'
import type { CrashDisk } from './crash-disk.ts'
import {
  batchAt,
  createLog,
  directoryOf,
  type Opened,
  openDirectory,
  readAll,
  readLog,
  Reports,
  SMALL,
} from './log-fixture.ts'
import { SimWorld, TestRandom } from './sim-world.ts'

/** What a log must hold, by what was told about it. */
class Model {
  /** The log as it is. */
  batches: Uint8Array[] = []
  /** Every batch that was ever at an offset: what a crash may bring back above what was promised. */
  readonly ever = new Map<number, Uint8Array[]>()
  logStart = 0
  highWatermark = 0

  get endOffset(): number {
    const last = this.batches.at(-1)
    return last === undefined ? this.logStart : nextOffset(last, 0)
  }

  append(batch: Uint8Array): void {
    const copy = Uint8Array.from(batch)
    this.batches.push(copy)
    const at = baseOffset(copy, 0)
    this.ever.set(at, [...(this.ever.get(at) ?? []), copy])
  }

  truncate(offset: number): void {
    this.batches = this.batches.filter((batch) => nextOffset(batch, 0) <= offset)
  }
}

/** Seeded life of one log: appends, truncations, restarts, retention, checkpoints, clean stops, power cuts, and power cuts while it starts. */
export class Life {
  readonly random: TestRandom
  model = new Model()
  opened: Opened
  log: PartitionLog
  reports: Reports
  epoch = 0
  promised = 0
  crashes = 0
  /** Starts that were cut short, and those of them that had ended. */
  starts = 0
  recovered = 0
  private readonly seed: number
  private incarnation = 0

  constructor(seed: number) {
    this.seed = seed
    this.random = new TestRandom(seed)
    this.opened = openDirectory(new SimWorld(seed), this.options())
    const made = createLog(this.opened)
    this.log = made.log
    this.reports = made.reports
  }

  /** Small files, so that a life uses each of them many times. */
  private options(): Partial<LogDirectoryOptions> {
    return {
      tailCacheBytes: [0, 16_000, 1 << 20][this.random.below(3)]!,
      writeBehindBytes: [0, 2000, 1 << 18][this.random.below(3)]!,
      observe: () => new BatchList(() => this.random.chance(60)),
      journalFileBytes: [8, 16, 64, 4096][this.random.below(4)]! * 1024,
    }
  }

  step(): void {
    const dice = this.random.below(100)
    if (dice < 55) this.append()
    else if (dice < 70) this.opened.world.run(this.random.below(3000))
    else if (dice < 76) this.advanceWatermark()
    else if (dice < 80) this.truncate()
    else if (dice < 83) this.newEpoch()
    else if (dice < 86) this.opened.directory.checkpoint(() => undefined)
    else if (dice < 89) this.retain()
    else if (dice < 92) this.advanceLogStart()
    else if (dice < 93) this.stop()
    else if (dice < 94) this.idle()
    else if (dice < 95) this.begin()
    else if (dice < 96) this.readSome()
    else if (dice < 97) this.failToAppend()
    else this.crash()
    this.notePromises()
    this.checkObserver()
  }

  /** What is derived from the log is what the log holds, whatever became of the snapshots. */
  private checkObserver(): void {
    const { entries } = this.log.observer as BatchList
    const kept = entries.filter(({ end }) => end > this.log.logStart)
    assert.deepEqual(kept, listOf(this.model.batches))
  }

  private append(): void {
    const batches: Uint8Array[] = []
    let at = this.log.endOffset
    for (let i = this.random.below(4); i >= 0; i--) {
      const records = 1 + this.random.below(5)
      const timestamp = this.opened.world.clock.wallMs() + this.random.below(1000) - 500
      batches.push(batchAt({ at, records, bytes: 20 + this.random.below(900), epoch: this.epoch, timestamp }))
      at += records
    }
    this.log.append(batches, this.opened.world.clock.wallMs())
    for (const batch of batches) this.model.append(batch)
    assert.equal(this.log.endOffset, this.model.endOffset)
  }

  /** The disk refuses one of the steps of an append; nothing has changed then. */
  private failToAppend(): void {
    const { disk } = this.opened.world
    let calls = this.random.below(4)
    const before = [this.log.endOffset, this.log.sizeBytes, this.log.lastEpoch]
    disk.fault = (operation, path) =>
      /open|append/.test(operation) && path.endsWith('.log') && calls-- === 0 ? 'EIO' : undefined
    const batches = Array.from({ length: 12 }, (_, i) =>
      batchAt({
        at: this.log.endOffset + i,
        bytes: 900,
        epoch: this.epoch,
        timestamp: this.opened.world.clock.wallMs(),
      }),
    )
    let failed = false
    try {
      this.log.append(batches, this.opened.world.clock.wallMs())
    } catch {
      failed = true
    }
    disk.fault = () => undefined
    if (failed) assert.deepEqual([this.log.endOffset, this.log.sizeBytes, this.log.lastEpoch], before)
    else for (const batch of batches) this.model.append(batch)
  }

  private notePromises(): void {
    if (this.reports.generation === this.log.generation)
      this.promised = Math.max(this.promised, this.reports.durableEnd)
    assert.ok(this.promised <= this.log.endOffset, `${this.promised} <= ${this.log.endOffset}`)
  }

  private advanceWatermark(): void {
    // As a follower's or a leader's watermark: never above what is durable, and never back.
    const room = this.log.durableEnd - this.model.highWatermark
    if (room <= 0) return
    this.model.highWatermark += this.random.below(room + 1)
    this.log.checkpointHighWatermark(this.model.highWatermark)
  }

  private truncate(): void {
    const room = this.log.endOffset - this.model.highWatermark
    const target = this.model.highWatermark + this.random.below(room + 1)
    // Leaders cut at batch boundaries above the watermark; what contains the target goes whole.
    const containing = this.model.batches.find(
      (batch) => baseOffset(batch, 0) < target && nextOffset(batch, 0) > target,
    )
    const offset = containing === undefined ? target : nextOffset(containing, 0)
    const generation = this.log.generation
    this.log.truncate(offset)
    assert.equal(this.log.generation, generation + 1)
    this.model.truncate(offset)
    this.promised = Math.min(this.promised, this.log.endOffset)
    this.epoch++
    assert.equal(this.log.endOffset, Math.max(this.model.endOffset, this.log.logStart))
  }

  private newEpoch(): void {
    this.epoch++
    this.log.beginEpoch(this.epoch)
  }

  private retain(): void {
    this.log.configure({ ...SMALL, retentionBytes: 6000 + this.random.below(6000) })
    this.startsAt(this.log.applyRetention(this.model.highWatermark, this.opened.world.clock.wallMs()))
  }

  private advanceLogStart(): void {
    const room = this.model.highWatermark - this.log.logStart
    if (room <= 0 || this.random.chance(50)) return
    this.log.advanceLogStart(this.log.logStart + this.random.below(room + 1))
    this.startsAt(this.log.logStart)
  }

  private startsAt(logStart: number): void {
    this.model.logStart = logStart
    this.model.batches = this.model.batches.filter((batch) => nextOffset(batch, 0) > logStart)
  }

  private readSome(): void {
    const { log, model } = this
    const from = log.logStart + this.random.below(Math.max(1, log.endOffset - log.logStart))
    if (from >= log.endOffset) return
    const part = readLog(this.opened.world, log, from, 1).parts[0] as Uint8Array
    const wanted = model.batches.find((batch) => nextOffset(batch, 0) > from) as Uint8Array
    assert.equal(Buffer.compare(part, wanted), 0)
  }

  /** The log begins anew: emptied where it is, or as another one of the same name. */
  private begin(): void {
    if (this.random.chance(50)) return
    const { world, directory } = this.opened
    this.epoch++
    if (this.random.chance(50)) {
      const offset = this.log.endOffset + this.random.below(100)
      this.log.restart(offset)
      world.until(() => this.reports.generation === this.log.generation)
      this.model = new Model()
      this.startsAt(offset)
    } else {
      directory.delete(this.log)
      const made = createLog(this.opened, SMALL, this.random.below(3) * 50)
      this.log = made.log
      this.reports = made.reports
      this.model = new Model()
      this.startsAt(this.log.logStart)
    }
    this.model.highWatermark = this.log.highWatermark
    this.promised = this.log.endOffset
  }

  /** Long enough for a checkpoint. */
  private idle(): void {
    this.opened.world.run(61_000_000)
  }

  /** A start of which the power goes, or the process, before it has ended; maybe several. */
  private crashRecovering(): void {
    const { disk } = this.opened.world
    for (; this.random.chance(40); this.starts++) {
      const world = new SimWorld(this.seed * 1000 + ++this.incarnation, disk)
      const directory = directoryOf(world, this.options())
      let opened = false
      directory.open((error) => (opened = error === null))
      world.run(this.random.below(25_000))
      world.kill()
      // A start that has ended may have lowered what it found; whatever it kept is durable.
      if (opened) this.recovered++
      this.loseSome(disk)
    }
  }

  private loseSome(disk: CrashDisk): void {
    if (this.random.chance(80)) disk.crash(this.random)
    else disk.killProcess(this.random)
  }

  private stop(): void {
    this.opened.world.ask<void>((done) => this.opened.directory.close(done))
    this.promised = this.log.endOffset
    this.reopen(true)
    assert.equal(this.log.endOffset, Math.max(this.model.endOffset, this.model.logStart))
  }

  /** So many steps, and a crash. Throws where a promise is broken. */
  live(steps: number): void {
    for (let i = 0; i < steps; i++) this.step()
    this.crash()
  }

  crash(): void {
    this.crashes++
    this.notePromises()
    const { disk } = this.opened.world
    this.opened.world.kill()
    this.loseSome(disk)
    this.crashRecovering()
    this.reopen(false)
    this.checkSurvival()
  }

  private reopen(clean: boolean): void {
    const world = new SimWorld(this.seed * 1000 + ++this.incarnation, this.opened.world.disk)
    this.opened = openDirectory(world, this.options())
    assert.equal(this.opened.found.clean, clean)
    assert.deepEqual(this.opened.found.damaged, [])
    assert.equal(this.opened.found.logs.length, 1)
    this.log = this.opened.found.logs[0] as PartitionLog
    this.reports = new Reports()
    this.log.configure(SMALL)
    this.log.attach(this.reports)
    this.epoch++
  }

  /** Nothing that was promised is gone, and nothing is there that never was. */
  private checkSurvival(): void {
    const { log, model } = this
    assert.equal(log.quarantined, null)
    assert.ok(log.endOffset >= this.promised, `${log.endOffset} >= ${this.promised}`)
    assert.ok(log.highWatermark <= log.endOffset, `${log.highWatermark} <= ${log.endOffset}`)
    const batches = readAll(this.opened.world, log)
    let next = batches[0] === undefined ? log.endOffset : baseOffset(batches[0], 0)
    assert.ok(next <= log.logStart, `${next} <= ${log.logStart}`)
    for (const batch of batches) {
      assert.equal(baseOffset(batch, 0), next)
      next = nextOffset(batch, 0)
      const known = model.ever.get(baseOffset(batch, 0)) ?? []
      assert.equal(
        known.some((one) => Buffer.compare(one, batch) === 0),
        true,
      )
      if (next > this.promised) continue
      const kept = model.batches.find((one) => baseOffset(one, 0) === baseOffset(batch, 0))
      if (kept !== undefined) assert.equal(Buffer.compare(kept, batch), 0)
    }
    assert.equal(next, log.endOffset)
    this.checkEpochs(batches)
    this.checkIndexes(batches)
    // What is there now is what counts: a log start or a name that was not durable may have come back.
    model.batches = batches
    model.logStart = log.logStart
    model.highWatermark = Math.min(Math.max(model.highWatermark, log.highWatermark), log.endOffset)
    log.checkpointHighWatermark(model.highWatermark)
    this.promised = log.durableEnd
    assert.equal(log.durableEnd, log.endOffset)
  }

  /** Reads and searches go by the indexes; they must find what the whole log holds. */
  private checkIndexes(batches: readonly Uint8Array[]): void {
    const { log, opened } = this
    for (let i = 0; i < 4 && batches.length > 0; i++) {
      const from = log.logStart + this.random.below(Math.max(1, log.endOffset - log.logStart))
      const wanted = batches.find((batch) => nextOffset(batch, 0) > from)
      const found = from >= log.endOffset ? undefined : readLog(opened.world, log, from, 1).parts[0]
      assert.equal(found && baseOffset(found, 0), from >= log.endOffset ? undefined : wanted && baseOffset(wanted, 0))
    }
    const records = batches.flatMap((batch) => readRecords(batch, 0)).filter(({ offset }) => offset >= log.logStart)
    const some = records[this.random.below(Math.max(1, records.length))]
    if (some === undefined) return
    for (const time of [some.timestamp, some.timestamp + 1]) {
      const hit = opened.world.ask<TimestampHit | null>((done) => log.offsetForTimestamp(time, done))
      assert.equal(hit?.offset, records.find(({ timestamp }) => timestamp >= time)?.offset)
    }
  }

  private checkEpochs(batches: readonly Uint8Array[]): void {
    let last = -1
    for (const batch of batches) {
      const epoch = leaderEpoch(batch, 0)
      if (last >= 0 && epoch !== last)
        assert.deepEqual(this.log.epochEnd(last), { epoch: last, endOffset: baseOffset(batch, 0) })
      last = epoch
    }
    if (last >= 0) assert.equal(this.log.epochEnd(last)?.epoch, last)
    if (last >= 0) assert.ok(this.log.lastEpoch >= last, `${this.log.lastEpoch} >= ${last}`)
  }
}
