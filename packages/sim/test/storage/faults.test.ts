import { describe, expect, test } from 'vitest'
import { Bench, bytes, failure, outcomes } from './fixture.ts'

describe('A disk that fails', () => {
  test('a failed sync poisons the handle: later syncs and appends fail, the data reads back', () => {
    const bench = new Bench('poison')
    const file = bench.file('/f', 'append')
    file.appendNow([bytes('data')])
    bench.storage.failNext('sync', 'EIO')
    expect(failure(() => bench.sync(file))).toBe('EIO')
    expect(failure(() => bench.sync(file))).toBe('EIO')
    expect(failure(() => file.appendNow([bytes('x')]))).toBe('EIO')
    expect(bench.text('/f')).toBe('data')
  })

  test('what a failed sync lost stays lost: the next process reads it, syncs it with success, and the power cut takes it', () => {
    const seen = outcomes(40, (seed) => {
      const bench = new Bench(seed)
      bench.put('/d/f', bytes('a'))
      const file = bench.file('/d/f', 'append')
      file.appendNow([bytes('b')])
      bench.storage.failNext('sync', 'EIO')
      expect(failure(() => bench.sync(file))).toBe('EIO')
      bench.restart('killed')
      expect(bench.text('/d/f')).toBe('ab')
      bench.sync(bench.file('/d/f', 'append'))
      bench.faults = { survivesPercent: 0, garbagePercent: 0 }
      bench.restart('power-cut')
      return bench.text('/d/f')
    })
    expect(seen).toEqual(new Set(['a\0', 'ab']))
  })

  test('what a failed sync lost is saved by writing it again', () => {
    const bench = new Bench('again', { faults: { survivesPercent: 0 } })
    bench.put('/d/f', bytes('a'))
    const file = bench.file('/d/f', 'append')
    file.appendNow([bytes('b')])
    bench.storage.failNext('sync', 'EIO')
    expect(failure(() => bench.sync(file))).toBe('EIO')
    const again = bench.file('/d/f', 'append')
    again.truncateNow(1)
    again.appendNow([bytes('b')])
    bench.sync(again)
    bench.restart('power-cut')
    expect(bench.text('/d/f')).toBe('ab')
  })

  test('a failed append changes nothing, or leaves a tail that nobody knows of and takes nothing more', () => {
    const seen = outcomes(60, (seed) => {
      const bench = new Bench(seed)
      const file = bench.file('/f', 'append')
      file.appendNow([bytes('a')])
      bench.storage.failNext('append', 'EIO')
      expect(failure(() => file.appendNow([bytes('bb')]))).toBe('EIO')
      expect(file.size).toBe(1)
      const next = failure(() => file.appendNow([bytes('c')]))
      return `${next} ${bench.text('/f')}`
    })
    expect(seen).toEqual(new Set(['EIO a', 'EIO ab', 'EIO abb', 'null ac']))
  })

  test('a failed durable write may have written anything, and the file takes no more', () => {
    const seen = outcomes(60, (seed) => {
      const bench = new Bench(seed)
      const file = bench.file('/f', 'overwrite')
      bench.ask<void>((done) => file.writeAt(0, [new Uint8Array(8192)], done))
      bench.storage.failNext('append', 'EIO')
      const write = (): void => bench.ask<void>((done) => file.writeAt(0, [new Uint8Array(8192).fill(7)], done))
      expect(failure(write)).toBe('EIO')
      expect(failure(write)).toBe('EIO')
      const content = bench.content('/f') as Uint8Array
      return `${content[0]}${content[4096]}`
    })
    expect(seen).toEqual(new Set(['00', '70', '77']))
  })

  test('errors strike at their rates, and never where the atlas says no', () => {
    const bench = new Bench('rates', { faults: { writeErrorPer100k: 20_000 } })
    let failed = 0
    for (let at = 0; at < 500; at++)
      if (failure(() => bench.file('/f', 'append').appendNow([bytes('x')])) !== null) failed++
    expect(failed).toBeGreaterThan(50)
    expect(failed).toBeLessThan(150)
    bench.atlas.mayFail = () => false
    for (let at = 0; at < 200; at++) bench.file('/g', 'append').appendNow([bytes('x')])
  })

  test('a read that fails counts as damage, so it waits for the atlas', () => {
    const bench = new Bench('reads')
    bench.put('/d/f', bytes('abc'))
    bench.atlas.may = false
    bench.storage.failNext('read', 'EIO')
    expect(bench.text('/d/f')).toBe('abc')
    bench.atlas.may = true
    expect(failure(() => bench.text('/d/f'))).toBe('EIO')
    expect(bench.atlas.damagedNodes).toEqual([1])
  })

  test('a failure can be kept for the calls of one path', () => {
    const bench = new Bench('path')
    bench.storage.failNext('append', 'EIO', 'second')
    bench.file('/first', 'append').appendNow([bytes('x')])
    expect(failure(() => bench.file('/second', 'append').appendNow([bytes('x')]))).toBe('EIO')
  })

  test('slow calls take a thousand times longer', () => {
    const bench = new Bench('slow', { faults: { slowPer100k: 100_000 } })
    bench.ask<void>((done) => bench.disk.mkdir('/d', done))
    expect(bench.schedule.nowUs).toBeGreaterThanOrEqual(20_000)
  })
})

describe('A disk that is full', () => {
  test('refuses what does not fit and tells its free bytes; removing a file makes room', () => {
    const bench = new Bench('full', { capacityBytes: 10_000 })
    const free = (): number => bench.ask<number>((done) => bench.disk.freeBytes('/', done))
    bench.file('/a', 'append').appendNow([new Uint8Array(6000)])
    const file = bench.file('/b', 'append')
    expect(failure(() => file.appendNow([new Uint8Array(4001)]))).toBe('ENOSPC')
    expect(file.size).toBe(0)
    expect(free()).toBe(4000)
    bench.ask<void>((done) => bench.disk.remove('/a', done))
    file.appendNow([new Uint8Array(9000)])
    file.truncateNow(500)
    expect(free()).toBe(9500)
    const other = bench.file('/c', 'overwrite')
    const write = (at: number): void => bench.ask<void>((done) => other.writeAt(at, [new Uint8Array(100)], done))
    expect(failure(() => write(9500))).toBe('ENOSPC')
    write(0)
    bench.disk.renameNow('/c', '/b')
    expect(free()).toBe(9900)
  })

  test('counts its space anew after a power cut', () => {
    const bench = new Bench('anew', { capacityBytes: 10_000, faults: { survivesPercent: 0 } })
    bench.put('/d/a', new Uint8Array(1000))
    bench.file('/d/b', 'append').appendNow([new Uint8Array(5000)])
    bench.restart('power-cut')
    expect(bench.ask<number>((done) => bench.disk.freeBytes('/', done))).toBe(9000)
  })

  test('may fill up at any write, stays so for a while, and has room again', () => {
    const bench = new Bench('drawn', { faults: { fullPer100k: 2000 } })
    const file = bench.file('/f', 'append')
    const append = (): string | null => failure(() => file.appendNow([new Uint8Array(1000)]))
    while (append() === null);
    expect(append()).toBe('ENOSPC')
    expect(bench.ask<number>((done) => bench.disk.freeBytes('/', done))).toBeLessThan(1000)
    file.truncateNow(0)
    expect(append()).toBe(null)
    while (append() === null);
    bench.schedule.post(20_000_001, bench.life, () => {})
    while (bench.step());
    expect(append()).toBe(null)
  })

  test('is full for as long as its rates say so', () => {
    const bench = new Bench('always')
    const file = bench.file('/f', 'append')
    file.appendNow([new Uint8Array(1_000_000)])
    bench.faults = { fullPer100k: 100_000 }
    expect(failure(() => file.appendNow([new Uint8Array(100_000)]))).toBe('ENOSPC')
    file.truncateNow(0)
    file.appendNow([new Uint8Array(100_000)])
    bench.faults = {}
    file.appendNow([new Uint8Array(2_000_000)])
  })
})

describe('Damage', () => {
  test('bit rot flips one bit of something synced, which a running process may not see before the machine starts again', () => {
    const seen = outcomes(40, (seed) => {
      const bench = new Bench(seed)
      bench.put('/d/f', new Uint8Array(10_000))
      expect(bench.storage.intact).toBe(true)
      expect(bench.storage.damage('bit-rot')).toMatch(/^bit rot in \/d\/f at byte \d+$/)
      expect(bench.atlas.damagedNodes).toEqual([1])
      expect(bench.storage.intact).toBe(false)
      const before = flipped(bench.content('/d/f') as Uint8Array)
      bench.restart('power-cut')
      const after = flipped(bench.content('/d/f') as Uint8Array)
      return `${before} ${after}`
    })
    expect(seen).toEqual(new Set(['0 1', '1 1']))
  })

  test('is over when what it hit was written again, or is gone', () => {
    const bench = new Bench('over')
    bench.put('/d/f', new Uint8Array(100))
    bench.storage.damage('bit-rot')
    bench.restart('power-cut')
    expect(bench.storage.intact).toBe(false)
    const file = bench.file('/d/f', 'create')
    file.appendNow([new Uint8Array(100)])
    bench.sync(file)
    expect(bench.storage.intact).toBe(true)
    bench.storage.damage('bit-rot')
    bench.ask<void>((done) => bench.disk.remove('/d', done))
    expect(bench.storage.intact).toBe(true)
  })

  test('a misdirected write shows up where it does not belong and is missing where it does', () => {
    const bench = new Bench('misdirected')
    bench.put('/d/a', new Uint8Array(20_000).fill(1))
    bench.put('/d/b', new Uint8Array(20_000).fill(2))
    const what = bench.storage.damage('misdirected-write')
    expect(what).toMatch(/^the sector of \/d\/[ab] at byte \d+ was written to \/d\/[ab] at byte \d+$/)
    bench.restart('power-cut')
    const all = Buffer.concat([bench.content('/d/a') as Uint8Array, bench.content('/d/b') as Uint8Array])
    expect(all.includes(Buffer.alloc(512))).toBe(true)
    expect(all.length).toBe(40_000)
  })

  test('a lost file is gone, now and later', () => {
    const bench = new Bench('lost')
    bench.put('/d/f', bytes('x'))
    expect(bench.storage.damage('lost-file')).toBe('/d/f is lost')
    expect(bench.text('/d/f')).toBe(null)
    bench.restart('power-cut')
    expect(bench.text('/d/f')).toBe(null)
    expect(bench.storage.intact).toBe(false)
    bench.file('/d/f', 'create')
    expect(bench.storage.intact).toBe(true)
  })

  test('nothing is damaged where the atlas says no, or where there is nothing', () => {
    const bench = new Bench('no')
    expect(bench.storage.damage('bit-rot')).toBe(null)
    bench.put('/d/f', bytes('x'))
    bench.atlas.may = false
    expect(bench.storage.damage('bit-rot')).toBe(null)
    expect(bench.atlas.damagedNodes).toEqual([])
  })

  test('a wipe leaves nothing and is damage', () => {
    const bench = new Bench('wipe')
    bench.put('/d/f', bytes('x'))
    bench.write(bench.store(), { hardState: { term: 3, votedFor: null } })
    bench.schedule.end(bench.life)
    bench.storage.wipe()
    bench.life = bench.schedule.newLife('n1#2')
    expect(bench.text('/d/f')).toBe(null)
    expect(bench.storage.raftMirrors).toEqual([])
    expect(bench.atlas.damagedNodes).toEqual([1])
  })
})

function flipped(content: Uint8Array): number {
  return content.reduce((bits, byte) => bits + byte.toString(2).replaceAll('0', '').length, 0)
}
