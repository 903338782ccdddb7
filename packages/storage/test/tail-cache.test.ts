import { describe, expect, it } from 'vitest'
import { LogTail, TailCache } from '../src/tail-cache.ts'
import { batchAt, createLog, offsetsOf, openDirectory, readAll, readLog, SMALL } from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

/** Batches of one record each, all slices of one buffer of `slab` bytes. */
function slices(from: number, count: number, slab: number): Uint8Array[] {
  const buffer = new Uint8Array(slab)
  let at = 0
  return Array.from({ length: count }, (_, i) => {
    const batch = batchAt({ at: from + i, bytes: 50 })
    buffer.set(batch, at)
    at += batch.length
    return buffer.subarray(at - batch.length, at)
  })
}

describe('the tail cache', () => {
  it('counts the buffer that a batch is a slice of, once', () => {
    const cache = new TailCache(1 << 20)
    const [one, other] = [new LogTail(cache), new LogTail(cache)]
    const batches = slices(0, 6, 10_000)
    one.add(batches.slice(0, 3), 0, 3)
    expect(cache.pinnedBytes).toBe(10_000)
    other.add(batches.slice(3), 3, 6)
    expect(cache.pinnedBytes).toBe(10_000)
    one.clear()
    expect(cache.pinnedBytes).toBe(10_000)
    other.clear()
    expect(cache.pinnedBytes).toBe(0)
  })

  it('lets the oldest append of any log go first', () => {
    const cache = new TailCache(30_000)
    const [one, other] = [new LogTail(cache), new LogTail(cache)]
    one.add(slices(0, 2, 10_000), 0, 2)
    other.add(slices(0, 2, 10_000), 0, 2)
    one.add(slices(2, 2, 10_000), 2, 4)
    other.add(slices(2, 2, 10_000), 2, 4)
    expect(cache.pinnedBytes).toBe(30_000)
    expect([one.read(0, 1, 10), one.read(2, 1, 10)?.nextOffset]).toEqual([null, 3])
    expect(other.read(0, 1, 10)?.nextOffset).toBe(1)
    other.add(slices(4, 1, 25_000), 4, 5)
    expect([one.read(2, 1, 10), other.read(0, 1, 10), other.read(2, 1, 10), other.read(4, 1, 10)?.nextOffset]).toEqual([
      null,
      null,
      null,
      5,
    ])
  })

  it('keeps nothing of a buffer that is larger than all it may pin', () => {
    const cache = new TailCache(1000)
    const tail = new LogTail(cache)
    tail.add(slices(0, 2, 2000), 0, 2)
    expect([cache.pinnedBytes, tail.read(0, 1, 10)]).toEqual([0, null])
  })

  it('stays right over thousands of appends and evictions', () => {
    const cache = new TailCache(50_000)
    const tail = new LogTail(cache)
    for (let i = 0; i < 6000; i++) tail.add(slices(i, 1, 1000), i, i + 1)
    expect(cache.pinnedBytes).toBe(50_000)
    expect([tail.read(5949, 1, 10_000), tail.read(5950, 1 << 20, 10_000)?.nextOffset]).toEqual([null, 6000])
  })

  it('forgets what a truncation takes, also half of an append', () => {
    const cache = new TailCache(1 << 20)
    const tail = new LogTail(cache)
    tail.add(slices(0, 5, 1000), 0, 5)
    tail.add(slices(5, 5, 1000), 5, 10)
    tail.truncate(3)
    expect(cache.pinnedBytes).toBe(1000)
    expect([tail.read(0, 1 << 20, 100)?.nextOffset, tail.read(3, 1, 100)]).toEqual([3, null])
    tail.add(slices(3, 2, 1000), 3, 5)
    expect(tail.read(0, 1 << 20, 100)?.nextOffset).toBe(5)
    tail.truncate(0)
    expect([cache.pinnedBytes, tail.read(0, 1, 100)]).toEqual([0, null])
  })
})

describe('reads', () => {
  it('of the tail are answered at once, without the disk, as the very bytes that were appended', () => {
    const opened = openDirectory(new SimWorld(1))
    const { log } = createLog(opened)
    const batches = Array.from({ length: 20 }, (_, i) => batchAt({ at: i }))
    log.append(batches, 0)
    const reads = opened.world.disk.reads
    const slice = log.read(3, 1 << 20, 100, () => undefined)
    expect(slice?.parts).toEqual(batches.slice(3))
    expect(slice?.parts[0]).toBe(batches[3])
    expect(opened.world.disk.reads).toBe(reads)
  })

  it.each([0, 1 << 20])('keep the limits, with a tail cache of %i bytes', (tailCacheBytes) => {
    const opened = openDirectory(new SimWorld(1), { tailCacheBytes })
    const { log } = createLog(opened)
    for (let i = 0; i < 60; i++) log.append([batchAt({ at: i * 3, records: 3, bytes: i === 30 ? 3000 : 300 })], 0)
    const read = (from: number, maxBytes: number, below?: number): number[] =>
      readLog(opened.world, log, from, maxBytes, below).parts.flatMap((part) => {
        const offsets: number[] = []
        for (let at = 0; at < part.length; at += Buffer.from(part.buffer, part.byteOffset).readInt32BE(at + 8) + 12)
          offsets.push(Number(Buffer.from(part.buffer, part.byteOffset).readBigInt64BE(at)))
        return offsets
      })
    const size = batchAt({ at: 0, records: 3, bytes: 300 }).length
    expect(read(0, size * 3)).toEqual([0, 3, 6])
    expect(read(0, size * 3 - 1)).toEqual([0, 3])
    expect(read(1, size)).toEqual([0])
    expect(read(2, 1)).toEqual([0])
    expect(read(90, 10)).toEqual([90])
    expect(read(87, size + 100)).toEqual([87])
    expect(read(6, 1 << 20, 13).slice(0, 3)).toEqual([6, 9, 12])
    expect(read(6, size * 3, 12)).toEqual([6, 9])
    expect(read(6, 1 << 20, 6)).toEqual([])
    expect(read(180, 1 << 20)).toEqual([])
    expect(offsetsOf(readAll(opened.world, log, 700))).toEqual(Array.from({ length: 60 }, (_, i) => i * 3))
  })

  it('go on where the last one stopped without looking into an index', () => {
    const opened = openDirectory(new SimWorld(1), { tailCacheBytes: 0, indexCacheBytes: 1 })
    const { log } = createLog(opened, { ...SMALL, segmentBytes: 1 << 20 })
    for (let i = 0; i < 200; i++) log.append([batchAt({ at: i, bytes: 500 })], 0)
    const before = opened.world.disk.reads
    expect(readAll(opened.world, log, 20_000).length).toBe(200)
    expect(opened.world.disk.reads - before).toBeLessThan(9)
  })

  it('that a truncation overtakes give what is true afterwards', () => {
    for (let seed = 1; seed < 30; seed++) {
      const opened = openDirectory(new SimWorld(seed), { tailCacheBytes: 0 })
      const { log } = createLog(opened)
      for (let i = 0; i < 40; i++) log.append([batchAt({ at: i, bytes: 200, epoch: 1 })], 0)
      const answers: number[][] = []
      for (const from of [0, 10, 19, 25, 39])
        log.read(from, 2000, 40, (error, slice) => {
          if (error !== null) throw error
          answers.push([from, slice.nextOffset, slice.parts[0] === undefined ? -1 : slice.parts[0].length])
        })
      opened.world.run(seed * 20)
      log.truncate(20)
      for (let i = 20; i < 24; i++) log.append([batchAt({ at: i, bytes: 150, epoch: 2 })], 0)
      opened.world.until(() => answers.length === 5)
      for (const [from, next] of answers) expect(next! > from! || from! >= 24).toBe(true)
      expect(readAll(opened.world, log).map((batch) => Buffer.from(batch).readInt32BE(12))).toEqual([
        ...Array.from({ length: 20 }, () => 1),
        2,
        2,
        2,
        2,
      ])
    }
  })

  it('hold few files open, and close them', () => {
    const opened = openDirectory(new SimWorld(1), { tailCacheBytes: 0, maxOpenFiles: 4 })
    const { log } = createLog(opened)
    for (let i = 0; i < 200; i++) log.append([batchAt({ at: i, bytes: 500 })], 0)
    opened.world.run(1_000_000)
    expect(readAll(opened.world, log).length).toBe(200)
    opened.world.run(1_000_000)
    expect(opened.world.disk.opened).toBeLessThanOrEqual(5)
    opened.world.ask<void>((done) => opened.directory.close(done))
    opened.world.run(1_000_000)
    expect(opened.world.disk.opened).toBe(0)
  })
})
