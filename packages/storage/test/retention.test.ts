import { encodeGap } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import type { LogConfig, PartitionLog } from '../src/index.ts'
import { batchAt, createLog, offsetsOf, type Opened, openDirectory, readAll, SMALL } from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

const T0 = 1_700_000_000_000
const FOREVER: LogConfig = { ...SMALL, retentionMs: -1, segmentMs: 2 ** 40, fileDeleteDelayMs: 1000 }

/** Ten segments of ten batches of two records each, a second apart. */
function tenSegments(config: Partial<LogConfig> = {}): Opened & { log: PartitionLog; segment: number } {
  const opened = openDirectory(new SimWorld(1), { tailCacheBytes: 0 })
  const { log } = createLog(opened, { ...FOREVER, ...config })
  for (let i = 0; i < 100; i++)
    log.append([batchAt({ at: i * 2, records: 2, bytes: 320, timestamp: T0 + i * 1000 })], T0 + i * 1000)
  const segment = opened.world.disk.file('/data/topic-0/00000000000000000000.log').size
  return { ...opened, log, segment }
}

const logFiles = (world: SimWorld, suffix = '.log'): string[] =>
  world.disk
    .paths()
    .filter((path) => path.endsWith(suffix))
    .map((path) => path.slice('/data/topic-0/'.length))

describe('delete retention', () => {
  it('by size drops the oldest segments while the rest is not below the limit', () => {
    const { world, log, segment } = tenSegments()
    expect(logFiles(world).length).toBe(10)
    log.configure({ ...FOREVER, retentionBytes: segment * 4 })
    expect(log.applyRetention(200, T0)).toBe(120)
    expect([log.logStart, log.sizeBytes]).toEqual([120, segment * 4])
    expect(log.applyRetention(200, T0)).toBe(120)
    expect(offsetsOf(readAll(world, log))[0]).toBe(120)
    expect(log.epochEnd(0)).toEqual({ epoch: 0, endOffset: 200 })
  })

  it('renames at once, and removes after the delay', () => {
    const { world, log, segment } = tenSegments()
    log.configure({ ...FOREVER, retentionBytes: segment * 9 })
    log.applyRetention(200, T0)
    world.run(100_000)
    expect(logFiles(world).length).toBe(9)
    expect(logFiles(world, '.log.deleted')).toEqual(['00000000000000000000.log.deleted'])
    world.run(1_100_000)
    expect(logFiles(world, '.deleted')).toEqual([])
  })

  it('by time drops segments whose last record is too old, and stops at the first that is not', () => {
    const { log } = tenSegments({ retentionMs: 55_000 })
    expect(log.applyRetention(200, T0 + 99_000)).toBe(80)
    expect(log.applyRetention(200, T0 + 109_500)).toBe(100)
  })

  it.each([['.timeindex'], ['.timeindex', '.index']])(
    'by time believes no %s that lies about its segment',
    (...lying) => {
      const was = tenSegments({ retentionMs: 200_000 })
      was.world.ask<void>((done) => was.directory.close(done))
      for (const kind of lying) was.world.disk.file(`/data/topic-0/00000000000000000000${kind}`).content.fill(0)
      const later = openDirectory(new SimWorld(2, was.world.disk), { tailCacheBytes: 0 })
      const log = later.found.logs[0] as PartitionLog
      log.configure({ ...FOREVER, retentionMs: 200_000 })
      expect(log.applyRetention(200, T0 + 100_000)).toBe(0)
      expect(log.applyRetention(200, T0 + 209_500)).toBe(20)
    },
  )

  it('never drops what is not below the watermark', () => {
    const { log } = tenSegments({ retentionMs: 1 })
    expect(log.applyRetention(119, T0 + 10 ** 9)).toBe(100)
    expect(log.applyRetention(120, T0 + 10 ** 9)).toBe(120)
  })

  it('drops the active segment too, and goes on in an empty one', () => {
    const { world, log } = tenSegments({ retentionMs: 1 })
    expect(log.applyRetention(200, T0 + 10 ** 9)).toBe(200)
    expect([log.logStart, log.endOffset, log.sizeBytes, log.lastEpoch]).toEqual([200, 200, 0, 0])
    expect(log.applyRetention(200, T0 + 10 ** 9)).toBe(200)
    log.append([batchAt({ at: 200 })], T0)
    world.run(100_000)
    expect(logFiles(world)).toEqual(['00000000000000000200.log'])
    expect(offsetsOf(readAll(world, log))).toEqual([200])
  })

  it('by time goes by the file where records have no timestamps', () => {
    const { world, directory } = openDirectory(new SimWorld(1))
    const { log } = createLog(
      { world, directory, found: { logs: [], clean: false, damaged: [], torn: [] } },
      { ...FOREVER, retentionMs: 5000 },
    )
    for (let i = 0; i < 30; i++) log.append([batchAt({ at: i, bytes: 600, timestamp: -1 })], world.clock.wallMs())
    expect(log.applyRetention(30, world.clock.wallMs() + 4000)).toBe(0)
    expect(log.applyRetention(30, world.clock.wallMs() + 6000)).toBe(30)
  })

  it('leaves a compacted log alone, but for what is below its log start', () => {
    const { world, log } = tenSegments({ retentionMs: 1, retentionBytes: 0, cleanupPolicy: ['compact'] })
    expect(log.applyRetention(200, T0 + 10 ** 9)).toBe(0)
    log.advanceLogStart(41)
    expect(log.logStart).toBe(41)
    world.run(100_000)
    expect(logFiles(world)[0]).toBe('00000000000000000040.log')
  })

  it('keeps the log start over a restart, clean or not', () => {
    for (const clean of [true, false]) {
      const { world, directory, log } = tenSegments()
      log.checkpointHighWatermark(200)
      log.advanceLogStart(47)
      if (clean) world.ask<void>((done) => directory.close(done))
      else {
        world.ask<void>((done) => directory.checkpoint(done))
        world.kill()
      }
      const { found } = openDirectory(new SimWorld(2, world.disk))
      expect([found.clean, found.logs[0]?.logStart, found.logs[0]?.endOffset]).toEqual([clean, 47, 200])
    }
  })

  it('does not disturb reads that are under way', () => {
    const { world, log } = tenSegments()
    let answer: string | null = null
    log.read(0, 100, 200, (error, slice) => (answer = error?.code ?? `read up to ${slice.nextOffset}`))
    log.advanceLogStart(100)
    world.until(() => answer !== null)
    expect(answer).toBe('ENOENT')
  })
})

describe('rolling', () => {
  it('happens by the age of the first record, by record time', () => {
    const opened = openDirectory(new SimWorld(1))
    const { log } = createLog(opened, { ...FOREVER, segmentMs: 10_000 })
    for (const seconds of [0, 5, 10, 11, 12, 22, 23])
      log.append([batchAt({ at: log.endOffset, timestamp: T0 + seconds * 1000 })], T0)
    expect(logFiles(opened.world)).toEqual([
      '00000000000000000000.log',
      '00000000000000000003.log',
      '00000000000000000005.log',
    ])
  })

  it('happens by wall time where records have no timestamps', () => {
    const opened = openDirectory(new SimWorld(1))
    const { log } = createLog(opened, { ...FOREVER, segmentMs: 10_000 })
    const start = opened.world.clock.wallMs()
    for (const seconds of [0, 5, 11, 12])
      log.append([batchAt({ at: log.endOffset, timestamp: -1 })], start + seconds * 1000)
    expect(logFiles(opened.world).length).toBe(2)
  })

  it('happens when an index is full, and never splits a batch', () => {
    const opened = openDirectory(new SimWorld(1), { tailCacheBytes: 0 })
    const { log } = createLog(opened, { ...FOREVER, segmentBytes: 1 << 20, segmentIndexBytes: 80 })
    for (let i = 0; i < 40; i++) log.append([batchAt({ at: i, bytes: 300, timestamp: T0 + i })], T0)
    expect(logFiles(opened.world).length).toBeGreaterThan(3)
    log.append([batchAt({ at: 40, bytes: 20_000 })], T0)
    expect(readAll(opened.world, log).length).toBe(41)
  })

  it('happens before an offset that the index could not hold', () => {
    const opened = openDirectory(new SimWorld(1), { tailCacheBytes: 0 })
    const { log } = createLog(opened, FOREVER)
    log.append([batchAt({ at: 0 })], T0)
    log.append([encodeGap({ baseOffset: 1, lastOffset: 2 ** 31 - 2, leaderEpoch: 0 })], T0)
    log.append([batchAt({ at: 2 ** 31 - 1 })], T0)
    log.append([batchAt({ at: 2 ** 31 })], T0)
    expect(logFiles(opened.world)).toEqual(['00000000000000000000.log', '00000000002147483648.log'])
    expect(offsetsOf(readAll(opened.world, log))).toEqual([0, 1, 2 ** 31 - 1, 2 ** 31])
  })

  it('is spread by the jitter', () => {
    const counts = new Set<number>()
    for (let seed = 1; seed < 12; seed++) {
      const opened = openDirectory(new SimWorld(seed))
      const { log } = createLog(opened, { ...FOREVER, segmentMs: 10_000, segmentJitterMs: 9000 })
      for (let i = 0; i < 30; i++) log.append([batchAt({ at: i, timestamp: T0 + i * 1000 })], T0)
      counts.add(logFiles(opened.world).length)
    }
    expect(counts.size).toBeGreaterThan(1)
  })
})
