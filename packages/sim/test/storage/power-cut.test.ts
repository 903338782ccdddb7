import { describe, expect, test } from 'vitest'
import type { File } from '@millrace/base'
import { Bench, bytes, failure, outcomes } from './fixture.ts'

/** A disk with a file of which `a` is synced and `b` is not. */
function halfSynced(seed: string, faults = {}): Bench {
  const bench = new Bench(seed, { faults })
  bench.put('/d/f', bytes('aaaa'))
  bench.file('/d/f', 'append').appendNow([bytes('bbbb')])
  return bench
}

describe('A power cut', () => {
  test('loses nothing when nothing is lost by the rates, and all that was not synced when all is', () => {
    const kept = halfSynced('1', { survivesPercent: 100 })
    kept.restart('power-cut')
    expect(kept.text('/d/f')).toMatch(/^aaaab{0,4}$/)
    const lost = halfSynced('1', { survivesPercent: 0, garbagePercent: 0 })
    lost.restart('power-cut')
    expect(lost.text('/d/f')).toBe('aaaa')
  })

  test('keeps a part of an append, zeros or garbage in its place, or nothing, but always what was synced', () => {
    const seen = outcomes(300, (seed) => {
      const bench = halfSynced(seed)
      bench.restart('power-cut')
      const text = bench.text('/d/f') as string
      expect(text.startsWith('aaaa')).toBe(true)
      const tail = text.slice(4)
      if (/^b*$/.test(tail)) return `${tail.length} written`
      return /^\0+$/.test(tail) ? 'zeros' : 'garbage'
    })
    expect(seen).toEqual(new Set(['0 written', '1 written', '2 written', '3 written', '4 written', 'garbage', 'zeros']))
  })

  test('keeps an arbitrary subset of sectors, not only the first ones', () => {
    const seen = outcomes(200, (seed) => {
      const bench = new Bench(seed, { faults: { garbagePercent: 0 } })
      bench.put('/d/f', new Uint8Array(16_384))
      const file = bench.file('/d/f', 'overwrite')
      file.writeAt(0, [new Uint8Array(16_384).fill(7)], () => {
        throw new Error('the process is gone')
      })
      bench.restart('power-cut')
      const content = bench.content('/d/f') as Uint8Array
      expect(content.length).toBe(16_384)
      return [0, 4096, 8192, 12_288].map((at) => content[at]).join('')
    })
    for (const pattern of ['0000', '7777', '7000', '0700', '0070', '0007']) expect([...seen]).toContain(pattern)
  })

  test('tears at the size of the sectors of the disk: each is the old one or the new one', () => {
    const sizes = outcomes(60, (seed) => {
      const bench = new Bench(seed, { faults: { garbagePercent: 100 } })
      bench.put('/d/f', new Uint8Array(65_536))
      bench.file('/d/f', 'overwrite').writeAt(0, [new Uint8Array(65_536).fill(7)], () => {})
      bench.restart('power-cut')
      const content = bench.content('/d/f') as Uint8Array
      for (let at = 0; at < content.length; at += 512) expect(new Set(content.subarray(at, at + 512)).size).toBe(1)
      const torn = Array.from(
        { length: 16 },
        (_, page) => new Set(content.subarray(page * 4096, page * 4096 + 4096)).size,
      )
      return torn.some((kinds) => kinds > 1) ? 512 : 4096
    })
    expect(sizes).toEqual(new Set([4096, 512]))
  })

  test('may undo a truncation, and what was written after it, but not one that was synced', () => {
    const seen = outcomes(200, (seed) => {
      const bench = new Bench(seed, { faults: { garbagePercent: 0 } })
      bench.put('/d/f', bytes('0123456789'))
      const file = bench.file('/d/f', 'append')
      file.truncateNow(4)
      bench.restart('power-cut')
      return bench.text('/d/f')
    })
    expect([...seen]).toContain('0123')
    expect([...seen]).toContain('0123456789')
    const bench = new Bench('synced')
    bench.put('/d/f', bytes('0123456789'))
    const file = bench.file('/d/f', 'append')
    file.truncateNow(4)
    bench.sync(file)
    bench.restart('power-cut')
    expect(bench.text('/d/f')).toBe('0123')
  })

  test('takes the names of files whose folder was not synced, and keeps those where it was', () => {
    const seen = outcomes(60, (seed) => {
      const bench = new Bench(seed)
      bench.put('/d/old', bytes('old'))
      bench.sync(bench.file('/d/new', 'create'))
      bench.disk.renameNow('/d/old', '/d/moved')
      bench.restart('power-cut')
      return ['old', 'new', 'moved'].filter((name) => bench.text(`/d/${name}`) !== null).join(' ')
    })
    expect(seen).toEqual(new Set(['moved', 'new moved', 'old', 'old new']))
  })

  test('brings back a file that was removed from a folder that was not synced', () => {
    const seen = outcomes(60, (seed) => {
      const bench = new Bench(seed)
      bench.put('/d/f', bytes('still'))
      bench.ask<void>((done) => bench.disk.remove('/d/f', done))
      bench.restart('power-cut')
      return bench.text('/d/f')
    })
    expect(seen).toEqual(new Set([null, 'still']))
  })

  test('a file whose name is durable may be empty when its content was not synced', () => {
    const bench = new Bench('empty', { faults: { survivesPercent: 0 } })
    bench.put('/d/other', bytes('x'))
    bench.file('/d/f', 'create').appendNow([bytes('never synced')])
    bench.ask<void>((done) => bench.disk.syncDir('/d', done))
    bench.restart('power-cut')
    expect(bench.text('/d/f')).toBe('')
  })

  test('a sync covers what was written before its call, not what was written while it ran', () => {
    const bench = new Bench('covers', { faults: { survivesPercent: 0 } })
    bench.put('/d/f', new Uint8Array(0))
    const file = bench.file('/d/f', 'append')
    file.appendNow([bytes('before')])
    let synced = false
    file.sync(() => void (synced = true))
    file.appendNow([bytes('after')])
    bench.until(() => synced)
    bench.restart('power-cut')
    expect(bench.text('/d/f')).toBe('before')
  })

  test('syncs that overtake each other do not undo each other', () => {
    for (let seed = 0; seed < 40; seed++) {
      const bench = new Bench(`order ${seed}`, { faults: { survivesPercent: 0, delayMeanUs: 10_000 } })
      bench.put('/d/f', new Uint8Array(0))
      const file = bench.file('/d/f', 'append')
      const order: string[] = []
      file.appendNow([bytes('one')])
      file.sync(() => void order.push('first'))
      file.appendNow([bytes('two')])
      file.sync(() => void order.push('second'))
      bench.until(() => order.includes('second'))
      bench.restart('power-cut')
      expect(bench.text('/d/f')).toBe('onetwo')
    }
  })

  test('a durable write that was answered stays, whole', () => {
    const bench = new Bench('durable', { faults: { survivesPercent: 0 } })
    bench.put('/d/f', new Uint8Array(20_000))
    const file = bench.file('/d/f', 'overwrite')
    bench.ask<void>((done) => file.writeAt(5000, [bytes('held'), new Uint8Array(10_000).fill(9)], done))
    bench.restart('power-cut')
    const content = bench.content('/d/f') as Uint8Array
    expect(Buffer.from(content.subarray(5000, 5004)).toString()).toBe('held')
    expect(content.subarray(5004, 15_004).every((byte) => byte === 9)).toBe(true)
    expect(content.length).toBe(20_000)
  })

  test('bytes that the caller changes while its durable write is on the way are changed in the file', () => {
    const bench = new Bench('changed')
    const part = bytes('before')
    const file = bench.file('/f', 'overwrite')
    let written = false
    file.writeAt(0, [part], () => void (written = true))
    part.set(bytes('after!'))
    bench.until(() => written)
    expect(bench.text('/f')).toBe('after!')
  })
})

describe('A process that is killed', () => {
  test('loses nothing that it wrote, and nothing that it asked for is answered', () => {
    const bench = halfSynced('killed', { survivesPercent: 0 })
    const file: File = bench.file('/d/f', 'append')
    file.sync(() => {
      throw new Error('the process is gone')
    })
    bench.file('/d/g', 'create').appendNow([bytes('g')])
    bench.restart('killed')
    expect(bench.text('/d/f')).toBe('aaaabbbb')
    expect(bench.text('/d/g')).toBe('g')
    expect(failure(() => file.appendNow([bytes('x')]))).toBe('ECLOSED')
    bench.ask<number>((done) => bench.disk.freeBytes('/', done))
  })

  test('a sync that was on its way may have ended or not', () => {
    const seen = outcomes(40, (seed) => {
      const bench = halfSynced(seed, { survivesPercent: 0 })
      bench.file('/d/f', 'append').sync(() => {})
      bench.restart('killed')
      bench.restart('power-cut')
      return bench.text('/d/f')
    })
    expect(seen).toEqual(new Set(['aaaa', 'aaaabbbb']))
  })

  test('a removal of a folder that was on its way may leave some of what was in it', () => {
    const seen = outcomes(60, (seed) => {
      const bench = new Bench(seed)
      for (const name of ['a', 'b', 'c']) bench.put(`/d/${name}`, bytes(name))
      bench.disk.remove('/d', () => {})
      bench.restart('killed')
      return ['a', 'b', 'c'].filter((name) => bench.text(`/d/${name}`) !== null).join('')
    })
    expect(seen).toEqual(new Set(['', 'abc', 'bc', 'c']))
  })

  test('a machine does not lose its power, nor its disk its content, while a process runs on it', () => {
    const bench = halfSynced('running')
    expect(() => bench.storage.powerCut()).toThrow('a process still runs')
    expect(() => bench.storage.wipe()).toThrow('a process still runs')
  })
})
