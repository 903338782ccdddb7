import { baseSequence, isGap, producerId } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import type { LogConfig, PartitionLog } from '../src/index.ts'
import {
  COMPACTED,
  compact,
  horizons,
  type Keyed,
  type KeyedBatch,
  keyedBatch,
  latestOf,
  recordsOf,
  reopen,
  settle,
  UNLIMITED,
} from './compaction-fixture.ts'
import { createLog, type Opened, openDirectory, readAll, readLog } from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

interface Setup extends Opened {
  readonly log: PartitionLog
}

function setup(config: Partial<LogConfig> = {}, tailCacheBytes = 0): Setup {
  const opened = openDirectory(new SimWorld(1), { tailCacheBytes })
  const { log } = createLog(opened, { ...COMPACTED, ...config })
  return { ...opened, log }
}

function append({ log, world }: Setup, records: readonly Keyed[], more: Partial<KeyedBatch> = {}): void {
  log.append([keyedBatch({ at: log.endOffset, records, ...more })], world.clock.wallMs())
}

/** `count` batches of one record each, the keys in turn. */
function fill(of: Setup, count: number, keys: number, more: Partial<KeyedBatch> = {}): void {
  for (let i = 0; i < count; i++)
    append(of, [{ key: `k${i % keys}`, value: `v${of.log.endOffset}-${'x'.repeat(60)}` }], more)
}

function all(of: Setup): Uint8Array[] {
  return readAll(of.world, of.log)
}

describe('compaction', () => {
  it('keeps the last record of each key, and all offsets', () => {
    const of = setup()
    fill(of, 200, 5)
    settle(of, of.log)
    const before = recordsOf(all(of))
    const size = of.log.sizeBytes
    compact(of)
    const active = of.log.inspection.segments.at(-1)!.baseOffset
    const after = recordsOf(all(of))
    expect(of.log.endOffset).toBe(200)
    expect(of.log.sizeBytes).toBeLessThan(size / 4)
    expect(latestOf(after)).toEqual(latestOf(before))
    expect(after).toEqual(before.filter(({ offset }) => offset >= active - 5))
    const files = of.world.disk.paths().filter((path) => /cleaned|swapping|\.log$/.test(path))
    expect(files.length).toBe(of.log.inspection.segments.length)
  })

  it('does not touch the active segment, what is above the watermark, and what is not on disk', () => {
    const of = setup()
    fill(of, 100, 2)
    of.world.until(() => of.log.durableEnd === 100)
    of.log.checkpointHighWatermark(20)
    of.world.ask<void>((done) => of.directory.checkpoint(done))
    compact(of)
    const offsets = recordsOf(all(of)).map(({ offset }) => offset)
    const bound = of.log.inspection.segments[1]!.baseOffset
    expect(bound).toBeGreaterThan(0)
    expect(bound).toBeLessThanOrEqual(20)
    expect(offsets.filter((offset) => offset >= bound).length).toBe(100 - bound)
  })

  it('leaves logs alone that are not compacted, not dirty enough or too young', () => {
    for (const config of [
      { cleanupPolicy: ['delete'] as const },
      { minCleanableDirtyRatio: 1 },
      { minCompactionLagMs: 2 ** 40 },
    ]) {
      const of = setup(config)
      fill(of, 100, 2)
      settle(of, of.log)
      compact(of)
      expect(recordsOf(all(of)).length).toBe(100)
    }
  })

  it('takes up a log that is not dirty enough once its records waited for too long', () => {
    const of = setup({ minCleanableDirtyRatio: 1, maxCompactionLagMs: 60_000 })
    for (let i = 0; i < 100; i++) append(of, [{ key: 'k', value: 'v'.repeat(60), timestamp: of.world.clock.wallMs() }])
    settle(of, of.log)
    compact(of)
    expect(recordsOf(all(of)).length).toBe(100)
    of.world.run(61_000_000)
    compact(of)
    expect(recordsOf(all(of)).length).toBeLessThan(40)
  })

  it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)('rewrites batches of codec %s', (codec) => {
    const of = setup()
    for (let i = 0; i < 60; i++) {
      const records = Array.from({ length: 8 }, (_, j) => ({
        key: `k${(i * 3 + j * j) % 19}`,
        value: j === 3 ? null : `v${i}-${j}-${Math.imul(i * 31 + j, 2654435761)}`,
      }))
      append(of, records, { codec })
    }
    settle(of, of.log)
    const before = recordsOf(all(of))
    compact(of)
    const after = recordsOf(all(of))
    expect(after.length).toBeLessThan(before.length / 2)
    expect(latestOf(after)).toEqual(latestOf(before))
    const known = new Map(before.map((record) => [record.offset, record]))
    for (const record of after) expect(record).toEqual(known.get(record.offset))
  })

  it('keeps a tombstone for delete.retention.ms after it was first seen, and takes it then', () => {
    const of = setup({ deleteRetentionMs: 3_600_000 })
    append(of, [
      { key: 'gone', value: 'v' },
      { key: 'there', value: 'v' },
    ])
    append(of, [{ key: 'gone', value: null }])
    const again = (): void => {
      fill(of, 60, 2)
      settle(of, of.log)
      compact(of)
    }
    again()
    const tombstone = (): unknown => recordsOf(all(of)).find(({ key }) => key === 'gone')
    expect(tombstone()).toMatchObject({ offset: 2, value: null, timestamp: 1_700_000_000_002 })
    expect(horizons(all(of))).toBe(1)
    of.world.run(3_000_000_000)
    again()
    expect(tombstone()).toMatchObject({ offset: 2 })
    of.world.run(700_000_000)
    again()
    expect(tombstone()).toBeUndefined()
    expect(latestOf(recordsOf(all(of))).get('there')).toBe('v')
  })

  it('drops records without a key', () => {
    const of = setup()
    append(of, [
      { key: null, value: 'v' },
      { key: 'k', value: 'v' },
    ])
    fill(of, 60, 2)
    settle(of, of.log)
    compact(of)
    expect(recordsOf(all(of))[0]).toMatchObject({ offset: 1, key: 'k' })
  })

  it('needs several passes where its memory is small, and gets there', () => {
    const of = setup()
    fill(of, 300, 60)
    settle(of, of.log)
    const before = latestOf(recordsOf(all(of)))
    compact(of, { ...UNLIMITED, keyMapBytes: 24 * 30 })
    const after = recordsOf(all(of))
    expect(latestOf(after)).toEqual(before)
    const active = of.log.inspection.segments.at(-1)!.baseOffset
    expect(after.filter(({ offset }) => offset < active).length).toBeLessThanOrEqual(60)
  })

  it('reads and writes no faster than it may', () => {
    const of = setup()
    fill(of, 400, 100)
    settle(of, of.log)
    const size = of.log.sizeBytes
    of.directory.compact({ ...UNLIMITED, bytesPerSecond: size / 10 })
    of.world.run(9_000_000)
    expect(recordsOf(all(of)).length).toBe(400)
    of.world.run(30_000_000)
    expect(recordsOf(all(of)).length).toBeLessThan(200)
  })

  it('gives a gap from where it is read, and divides it where the log is cut', () => {
    const of = setup()
    fill(of, 100, 1)
    settle(of, of.log)
    compact(of)
    const [gap] = all(of)
    expect(isGap(gap!, 0)).toBe(true)
    const part = recordsOf([readLog(of.world, of.log, 7, 1).parts[0]!])
    expect(part).toEqual([])
    of.log.truncate(9)
    expect(of.log.endOffset).toBe(9)
    fill(of, 3, 1, { epoch: 3 })
    expect(recordsOf(all(of)).map(({ offset }) => offset)).toEqual([9, 10, 11])
    expect(of.log.epochEnd(0)).toEqual({ epoch: 0, endOffset: 9 })
  })

  it('keeps where leader epochs begin', () => {
    const of = setup()
    for (let epoch = 0; epoch < 20; epoch++) fill(of, 7, 1, { epoch })
    settle(of, of.log)
    compact(of)
    for (let epoch = 0; epoch < 19; epoch++) expect(of.log.epochEnd(epoch)?.endOffset).toBe((epoch + 1) * 7)
    of.world.kill()
    of.world.disk.drop('/data/topic-0/leader-epoch-checkpoint')
    of.world.disk.drop('/data/recovery-point-offset-checkpoint')
    const { log } = reopen(of, 2)
    expect([log.quarantined, log.endOffset]).toEqual([null, 140])
    for (let epoch = 0; epoch < 19; epoch++) expect(log.epochEnd(epoch)?.endOffset).toBe((epoch + 1) * 7)
  })

  it('keeps the header of the last batch of a producer that is remembered', () => {
    const of = setup()
    const events = { durable: () => {}, failed: () => {}, lastBatchOf: (id: number) => (id === 7 ? 1 : null) }
    of.log.attach(events)
    for (let i = 0; i < 4; i++)
      append(of, [{ key: 'k', value: 'v' }], { producer: { id: i < 2 ? 7 : 8, epoch: 1, sequence: i } })
    fill(of, 60, 1)
    settle(of, of.log)
    compact(of)
    const batches = all(of)
    const headers = batches.filter((batch) => !isGap(batch, 0)).slice(0, 1)
    expect(recordsOf(headers)).toEqual([])
    expect(producerId(headers[0]!, 0)).toBe(7)
    expect(baseSequence(headers[0]!, 0)).toBe(1)
  })

  it('keeps what belongs to transactions, and the tombstones that may hide it', () => {
    const of = setup({ deleteRetentionMs: 0 })
    append(of, [{ key: 'a', value: 'v' }], { transactional: true, producer: { id: 7, epoch: 0, sequence: 0 } })
    append(of, [{ key: 'a', value: null }])
    for (let round = 0; round < 3; round++) {
      fill(of, 60, 2)
      settle(of, of.log)
      compact(of)
      of.world.run(1_000_000)
    }
    expect(recordsOf(all(of)).slice(0, 2)).toMatchObject([
      { key: 'a', value: 'v' },
      { key: 'a', value: null },
    ])
  })

  it('finds records by time in what it left', () => {
    const of = setup()
    fill(of, 300, 30)
    settle(of, of.log)
    compact(of)
    const records = recordsOf(all(of))
    for (const time of [0, 100, 250, 270, 299, 300].map((more) => 1_700_000_000_000 + more)) {
      const hit = of.world.ask<{ offset: number } | null>((done) => of.log.offsetForTimestamp(time, done))
      expect(hit?.offset).toBe(records.find(({ timestamp }) => timestamp >= time)?.offset)
    }
  })

  it('begins where it had come to after a restart', () => {
    const of = setup({ minCleanableDirtyRatio: 0.3 })
    fill(of, 200, 5)
    settle(of, of.log)
    compact(of)
    of.world.ask<void>((done) => of.directory.close(done))
    const text = of.world.disk.file('/data/cleaner-offset-checkpoint').content.toString()
    expect(text).toMatch(/^0\n1\ntopic 0 \d+\n$/)
    const again = reopen(of, 2)
    const { reads } = again.world.disk
    compact(again)
    expect(again.world.disk.reads).toBe(reads)
  })

  it.each([
    ['append', 'ENOSPC'],
    ['open', 'EMFILE'],
    ['sync', 'EIO'],
  ] as const)('is tried again after a failed %s (%s), and the log is as it was', (operation, code) => {
    const of = setup()
    fill(of, 100, 5)
    settle(of, of.log)
    of.world.disk.fault = (what, path) => (what === operation && path.endsWith('.cleaned') ? code : undefined)
    compact(of)
    expect(of.world.lines.filter(({ level }) => level === 'warn').length).toBe(1)
    expect(recordsOf(all(of)).length).toBe(100)
    of.world.disk.fault = () => undefined
    compact(of)
    expect(recordsOf(all(of)).length).toBeLessThan(50)
  })

  it('quarantines a log whose bytes rotted', () => {
    const of = setup()
    fill(of, 100, 5)
    settle(of, of.log)
    const first = of.log.inspection.segments[0]!
    of.world.disk.file(first.logPath).content[100]! ^= 1
    compact(of)
    expect(of.log.quarantined).toMatch('CRC')
  })

  it.each([
    ['truncate', 70, ({ log }: Setup): void => log.truncate(40)],
    ['restart', 530, ({ log }: Setup): void => log.restart(500)],
    ['deleted records', 130, ({ log }: Setup): void => log.advanceLogStart(60)],
    ['a clean stop', 100, null],
  ] as const)('is given up at any moment for %s', (_, end, change) => {
    for (let steps = 0; steps < 300; steps += 13) {
      const of = setup()
      fill(of, 100, 5)
      settle(of, of.log)
      of.directory.compact(UNLIMITED)
      for (let i = 0; i < steps; i++) of.world.step()
      change?.(of)
      if (change !== null) fill(of, 30, 3, { epoch: 2 })
      if (change !== null) of.world.run(5_000_000)
      of.world.ask<void>((done) => of.directory.close(done))
      of.world.kill()
      const again = reopen(of, 2)
      expect([again.found.clean, again.log.quarantined, again.found.damaged]).toEqual([true, null, []])
      expect(again.world.disk.paths().filter((path) => /cleaned$|swapping/.test(path))).toEqual([])
      expect(again.log.endOffset).toBe(end)
      expect(recordsOf(readAll(again.world, again.log)).at(-1)?.offset).toBe(end - 1)
    }
  })

  it('is given up at any moment when the log is deleted, and nothing is wrong then', () => {
    for (let steps = 0; steps < 300; steps += 13) {
      const of = setup()
      fill(of, 100, 5)
      settle(of, of.log)
      of.directory.compact(UNLIMITED)
      for (let i = 0; i < steps; i++) of.world.step()
      of.directory.delete(of.log)
      of.world.run(5_000_000)
      expect(of.world.lines.filter(({ level }) => level !== 'info')).toEqual([])
      expect(of.world.disk.paths().filter((path) => path.includes('topic-0'))).toEqual([])
    }
  })
})
