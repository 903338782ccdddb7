import { describe, expect, it } from 'vitest'
import { LogTail, TailCache } from '../src/tail-cache.ts'
import { batchAt, createLog, offsetsOf, openDirectory, readAll, readLog, SMALL } from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

/** Batches of one record each, `bytes` long. */
function batches(from: number, count: number, bytes: number): Uint8Array[] {
  const bare = batchAt({ at: 0, bytes: 200 }).length - 200
  return Array.from({ length: count }, (_, i) => batchAt({ at: from + i, bytes: bytes - bare }))
}

describe('the tail cache', () => {
  it('lets the oldest append of any log go first', () => {
    const cache = new TailCache(8000)
    const [one, other] = [new LogTail(cache), new LogTail(cache)]
    for (let i = 0; i < 8; i += 2) {
      one.add(batches(i, 2, 500), i, i + 2)
      other.add(batches(i, 2, 500), i, i + 2)
    }
    expect([one.read(0, 1, 10)?.nextOffset, other.read(0, 1, 10)?.nextOffset]).toEqual([1, 1])
    one.add(batches(8, 1, 500), 8, 9)
    expect([one.read(1, 1, 10), one.read(2, 1, 10)?.nextOffset, other.read(0, 1, 10)?.nextOffset]).toEqual([null, 3, 1])
    other.add(batches(8, 2, 500), 8, 10)
    expect([one.read(2, 1, 10)?.nextOffset, other.read(1, 1, 10), other.read(2, 1, 10)?.nextOffset]).toEqual([
      3,
      null,
      3,
    ])
    expect(cache.allocatedBytes).toBe(8000)
  })

  it('keeps an append that is larger than a piece of its memory, and nothing of one that is larger than all', () => {
    const cache = new TailCache(8000)
    const tail = new LogTail(cache)
    for (let i = 0; i < 10; i++) tail.add(batches(i, 1, 1000), i, i + 1)
    const large = batches(10, 6, 1000)
    tail.add(large, 10, 16)
    expect(tail.read(10, 1 << 20, 100)?.parts).toEqual([Buffer.concat(large)])
    expect(cache.allocatedBytes).toBeLessThanOrEqual(8000)
    tail.add(batches(16, 9, 1000), 16, 25)
    expect([tail.read(15, 1, 100), tail.read(16, 1, 100)]).toEqual([null, null])
    tail.add(batches(25, 1, 1000), 25, 26)
    expect([tail.read(16, 1, 100), tail.read(25, 1, 100)?.nextOffset]).toEqual([null, 26])
    tail.add(batches(26, 8, 1000), 26, 34)
    expect(tail.read(26, 1 << 20, 100)?.nextOffset).toBe(34)
    expect(cache.allocatedBytes).toBe(8000)
  })

  it('stays right over thousands of appends of every size, and within its memory', () => {
    const cache = new TailCache(50_000)
    const tails = [new LogTail(cache), new LogTail(cache), new LogTail(cache)]
    const ends = [0, 0, 0]
    const written: Uint8Array[][] = [[], [], []]
    let found = 0
    for (let i = 0; i < 6000; i++) {
      const which = (i * 7) % 3
      const [tail, from] = [tails[which]!, ends[which]!]
      const added = batches(from, 1 + (i % 4), 100 + ((i * 131) % 2500))
      ends[which] = from + added.length
      written[which]!.push(...added)
      tail.add(added, from, from + added.length)
      if (i % 11 === 0 && from > 2) {
        tail.truncate(from - 1)
        ends[which] = from - 1
        written[which]!.length = from - 1
      }
      if (i % 97 === 0) tails[(i * 5) % 3]!.clear()
      const end = ends[which] ?? 0
      const last = written[which]!.slice(-2)
      const read = tail.read(end - last.length, 1 << 20, end)
      expect([[Buffer.concat(last)], undefined]).toContainEqual(read?.parts)
      const peeked = tail.peek(end - last.length, 1 << 20, end)
      expect(peeked === null ? undefined : Buffer.concat(peeked.parts)).toEqual(read?.parts[0])
      if (read !== null) found++
      expect(cache.allocatedBytes).toBeLessThanOrEqual(50_000)
    }
    expect(found).toBeGreaterThan(5000)
  })

  it('gives out memory that no later append writes to', () => {
    const cache = new TailCache(8000)
    const tail = new LogTail(cache)
    const first = batches(0, 2, 400)
    tail.add(first, 0, 2)
    const read = tail.read(0, 1 << 20, 10)
    for (let i = 2; i < 100; i += 2) tail.add(batches(i, 2, 400), i, i + 2)
    expect(read?.parts).toEqual([Buffer.concat(first)])
  })

  it('shows its own memory to whom uses it up at once', () => {
    const tail = new LogTail(new TailCache(8000))
    const all = batches(0, 6, 400)
    for (let i = 0; i < 6; i += 2) tail.add(all.slice(i, i + 2), i, i + 2)
    const peeked = tail.peek(1, 1000, 10)
    expect(peeked).toMatchObject({ bytes: 800, nextOffset: 3 })
    expect(Buffer.concat(peeked?.parts ?? [])).toEqual(Buffer.concat(all.slice(1, 3)))
    expect(peeked?.parts[0]?.buffer).toBe(tail.peek(1, 1000, 10)?.parts[0]?.buffer)
    expect([tail.peek(6, 1, 10), tail.peek(2, 1000, 2)?.bytes]).toEqual([null, 0])
  })

  it('forgets what a truncation takes, also half of an append', () => {
    const cache = new TailCache(1 << 20)
    const tail = new LogTail(cache)
    tail.add(batches(0, 5, 200), 0, 5)
    tail.add(batches(5, 5, 200), 5, 10)
    tail.truncate(3)
    expect([tail.read(0, 1 << 20, 100)?.nextOffset, tail.read(3, 1, 100)]).toEqual([3, null])
    tail.add(batches(3, 2, 200), 3, 5)
    expect(tail.read(0, 1 << 20, 100)?.nextOffset).toBe(5)
    tail.truncate(0)
    expect(tail.read(0, 1, 100)).toBe(null)
  })
})

describe('reads', () => {
  it('of the tail are answered at once, without the disk, as the bytes that were appended', () => {
    const opened = openDirectory(new SimWorld(1))
    const { log } = createLog(opened)
    const appended = Array.from({ length: 20 }, (_, i) => batchAt({ at: i }))
    log.append(appended, 0)
    const reads = opened.world.disk.reads
    const slice = log.read(3, 1 << 20, 100, () => undefined)
    expect(slice?.parts).toEqual([Buffer.concat(appended.slice(3))])
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
