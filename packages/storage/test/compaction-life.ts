import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import type { LogConfig, PartitionLog } from '../src/index.ts'
import { COMPACTED, keyedBatch, latestOf, recordsOf, type Seen, UNLIMITED } from './compaction-fixture.ts'
import { createLog, directoryOf, type Opened, openDirectory, readAll, Reports } from './log-fixture.ts'
import { SimWorld, TestRandom } from './sim-world.ts'

export type Operation =
  | { readonly kind: 'append'; readonly batches: number; readonly keys: number; readonly shape: number }
  | { readonly kind: 'run'; readonly us: number }
  | { readonly kind: 'commit' | 'checkpoint' | 'compact' | 'wait' | 'idle' | 'stop' }
  | { readonly kind: 'truncate' | 'advance'; readonly share: number }
  | { readonly kind: 'crash'; readonly how: 'power' | 'worst' | 'process'; readonly starts: number }

const CODECS = ['none', 'none', 'gzip', 'snappy', 'zstd'] as const

/**
 * A log of keyed records that is compacted, cut and crashed, beside all the records that were ever appended and are not cut. What is read must be
 * some of those, at their offsets, and lead a reader to the same last value of each key.
 */
export class CompactionLife {
  readonly random: TestRandom
  private readonly config: LogConfig
  private readonly tailCacheBytes: number
  private readonly writeBehindBytes: number
  private opened: Opened
  log: PartitionLog
  private reports: Reports
  private records: Seen[] = []
  /** What the log held before it was cut: until that is durable a crash may bring it back. */
  private former: Seen[][] = []
  private promised = 0
  private epoch = 0
  private incarnation = 0
  /** How many records of the log were seen to be gone. */
  gone = 0

  constructor(seed: number, config: Partial<LogConfig> = {}) {
    this.random = new TestRandom(seed)
    this.config = { ...COMPACTED, segmentBytes: 1024, deleteRetentionMs: 50, ...config }
    this.tailCacheBytes = [0, 8000][seed & 1] as number
    this.writeBehindBytes = [0, 2000, 1 << 18][seed % 3] as number
    this.opened = openDirectory(new SimWorld(seed), this.options)
    const made = createLog(this.opened, this.config)
    this.log = made.log
    this.reports = made.reports
  }

  private get options(): { tailCacheBytes: number; journalFileBytes: number; writeBehindBytes: number } {
    return { tailCacheBytes: this.tailCacheBytes, journalFileBytes: 16 * 1024, writeBehindBytes: this.writeBehindBytes }
  }

  do(operation: Operation): void {
    const { world, directory } = this.opened
    switch (operation.kind) {
      case 'append':
        this.append(operation)
        break
      case 'run':
        world.run(operation.us)
        break
      case 'wait':
        world.run(2_000_000)
        break
      case 'idle':
        // Long enough for the journal to let go of what it has.
        world.run(61_000_000)
        break
      case 'commit':
        this.log.checkpointHighWatermark(Math.max(this.log.highWatermark, this.log.durableEnd))
        break
      case 'checkpoint':
        directory.checkpoint(() => undefined)
        break
      case 'compact':
        directory.compact(UNLIMITED)
        break
      case 'truncate':
        this.truncate(operation.share)
        break
      case 'advance':
        this.log.advanceLogStart(Math.floor(this.log.highWatermark * operation.share))
        break
      case 'stop':
        this.stop()
        break
      case 'crash':
        this.crash(operation)
    }
    if (this.reports.generation === this.log.generation)
      this.promised = Math.max(this.promised, this.reports.durableEnd)
    this.promised = Math.min(this.promised, this.log.endOffset)
  }

  private append({ batches, keys, shape }: Operation & { kind: 'append' }): void {
    const { log, random } = this
    for (let i = 0; i < batches; i++) {
      const at = log.endOffset
      const records = Array.from({ length: 1 + ((shape + i) % 4) }, (_, j) => ({
        key: `k${random.below(keys)}`,
        value: random.chance(25) ? null : `${at + j}${'-'.repeat(random.below(80))}`,
        timestamp: this.opened.world.clock.wallMs() - 500 + random.below(1000),
      }))
      const codec = CODECS[random.below(CODECS.length)] ?? 'none'
      const batch = keyedBatch({ at, records, epoch: this.epoch, codec })
      log.append([batch], this.opened.world.clock.wallMs())
      this.records.push(...recordsOf([batch]))
    }
  }

  private truncate(share: number): void {
    const { log } = this
    // Mostly above the watermark; an unclean leader cuts anywhere.
    const low = this.random.chance(70) ? log.highWatermark : log.logStart
    const offset = low + Math.floor((log.endOffset - low) * share)
    const before = this.records
    log.truncate(offset)
    this.forgetFrom(log.endOffset)
    this.former.push(before)
    this.epoch++
  }

  private forgetFrom(end: number): void {
    this.records = this.records.filter(({ offset }) => offset < end)
  }

  private stop(): void {
    this.opened.world.ask<void>((done) => this.opened.directory.close(done))
    const end = this.log.endOffset
    this.former = []
    this.reopen()
    this.promised = end
    assert.ok(this.opened.found.clean)
    assert.equal(this.log.endOffset, end)
    this.check()
  }

  private crash({ how, starts }: Operation & { kind: 'crash' }): void {
    const { disk } = this.opened.world
    const lose = (): void => {
      if (how === 'worst') disk.loseUnsynced()
      else if (how === 'power') disk.crash(this.random)
      else disk.killProcess(this.random)
    }
    this.opened.world.kill()
    lose()
    for (let i = 0; i < starts; i++) {
      const world = new SimWorld(++this.incarnation * 7919, disk)
      directoryOf(world, this.options).open(() => undefined)
      world.run(this.random.below(20_000))
      world.kill()
      lose()
    }
    this.reopen()
    assert.ok(this.log.endOffset >= this.promised, `${this.log.endOffset} >= ${this.promised}`)
    const kept = this.promised
    this.takeHistory(kept)
    this.promised = this.log.durableEnd
    this.check()
  }

  /** Below what was promised there is one history; above a crash chooses. */
  private takeHistory(promised: number): void {
    const { endOffset } = this.log
    const below = this.records.filter(({ offset }) => offset < promised)
    const histories = [this.records, ...this.former.reverse()].map((list) => [
      ...below,
      ...list.filter(({ offset }) => offset >= promised && offset < endOffset),
    ])
    this.former = []
    const all = recordsOf(readAll(this.opened.world, this.log))
    this.records = histories.find((history) => this.fits(history, all)) ?? (histories[0] as Seen[])
  }

  private fits(history: readonly Seen[], all: readonly Seen[]): boolean {
    const known = new Map(history.map((record) => [record.offset, record.at + record.value]))
    return (
      all.every(({ offset, at, value }) => known.get(offset) === at + value) &&
      isDeepStrictEqual(this.latest(history), this.latest(all))
    )
  }

  private latest(records: readonly Seen[]): Map<string, string> {
    return latestOf(records.filter(({ offset }) => offset >= this.log.logStart))
  }

  private reopen(): void {
    const { disk } = this.opened.world
    this.opened = openDirectory(new SimWorld(++this.incarnation, disk), this.options)
    this.log = this.opened.found.logs[0] as PartitionLog
    assert.deepEqual([this.opened.found.logs.length, this.log.quarantined, this.opened.found.damaged], [1, null, []])
    this.reports = new Reports()
    this.log.configure(this.config)
    this.log.attach(this.reports)
    this.epoch++
    const swaps = disk.paths().filter((path) => /cleaned$|swapping$/.test(path))
    assert.deepEqual(swaps, [])
  }

  check(): void {
    const { log, opened } = this
    assert.equal(log.quarantined, null)
    const batches = readAll(opened.world, log)
    const all = recordsOf(batches)
    const seen = all.filter(({ offset }) => offset >= log.logStart)
    const known = new Map(this.records.map((record) => [record.offset, record]))
    for (const record of all) assert.deepEqual(record, known.get(record.offset))
    const live = this.records.filter(({ offset }) => offset >= log.logStart)
    assert.deepEqual(this.latest(all), this.latest(this.records))
    this.gone += live.length - seen.length
    this.checkSegments()
  }

  /** Nothing of the active segment, and nothing above the watermark, was touched; segments follow each other. */
  private checkSegments(): void {
    const { log, opened } = this
    const { segments, unwritten } = log.inspection
    const lag = unwritten.reduce((sum, { length }) => sum + length, 0)
    segments.forEach(({ logPath, size }, at) =>
      assert.equal(opened.world.disk.file(logPath).size, at === segments.length - 1 ? size - lag : size),
    )
    assert.equal(
      log.sizeBytes,
      segments.reduce((sum, { size }) => sum + size, 0),
    )
    const names = opened.world.disk.paths().filter((path) => path.endsWith('.log'))
    assert.ok(names.length >= segments.length)
  }
}
