import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { File } from '@millrace/base'
import type { DiskFaults } from '../../src/seams.ts'
import { Bench } from './fixture.ts'

const NAMES = ['a', 'b', 'c'] as const
type Name = (typeof NAMES)[number]

/** A step of a program. Syncs overlap with what follows: `pass` lets one event happen, `settle` waits for all answers. */
type Step =
  | { readonly kind: 'append' | 'truncate' | 'write-at'; readonly name: Name; readonly size: number }
  | { readonly kind: 'sync' | 'create' | 'remove'; readonly name: Name }
  | { readonly kind: 'rename'; readonly name: Name; readonly to: Name }
  | { readonly kind: 'sync-folder' | 'pass' | 'settle' | 'restart' }

const name = fc.constantFrom(...NAMES)
const size = fc.oneof(fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 9000 }))

function steps(...more: fc.WeightedArbitrary<Step>[]): fc.Arbitrary<Step[]> {
  const one = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('append' as const), name, size }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate' as const), name, size }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('sync' as const), name }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('pass' as const, 'settle' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('create' as const, 'remove' as const), name }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('rename' as const), name, to: name }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('sync-folder' as const) }) },
    ...more,
  )
  return fc.array(one, { maxLength: 60, size: 'max' })
}

/** One byte of a file: what it is, and what it may be after a power cut. */
interface Byte {
  now: number
  /** Null: anything. */
  synced: number | null
}

/** What a sync covers: the bytes that it makes certain, and the smallest size of the file since its call. */
interface Covered {
  readonly bytes: readonly Byte[]
  lowest: number
}

/** A file as simply as can be: every byte by itself, and the least size that is left by a power cut. */
class NaiveFile {
  bytes: Byte[] = []
  certainSize = 0
  readonly covered: Covered[] = []
  /** The content at the youngest sync that was answered. */
  platter: number[] = []
  private lastCovered = -1

  write(at: number, part: Uint8Array): void {
    while (this.bytes.length < at) this.bytes.push({ now: 0, synced: null })
    part.forEach((value, index) => (this.bytes[at + index] = { now: value, synced: null }))
  }

  truncate(size: number): void {
    if (size < this.bytes.length) this.bytes.length = size
    while (this.bytes.length < size) this.bytes.push({ now: 0, synced: null })
    this.certainSize = Math.min(this.certainSize, size)
    for (const covered of this.covered) covered.lowest = Math.min(covered.lowest, size)
  }

  cover(): Covered {
    const covered = { bytes: [...this.bytes], lowest: this.bytes.length }
    this.covered.push(covered)
    return covered
  }

  /** A byte that was replaced since is another object, and stays as uncertain as it was. */
  synced(covered: Covered): void {
    for (const byte of covered.bytes) byte.synced = byte.now
    this.certainSize = Math.max(this.certainSize, covered.lowest)
    const order = this.covered.indexOf(covered)
    if (order < this.lastCovered) return
    this.lastCovered = order
    this.platter = covered.bytes.map(({ now }) => now)
  }
}

class NaiveDisk {
  /** As programs see it. */
  names = new Map<Name, NaiveFile>()
  /** As the last sync of the folder left it. */
  platter = new Map<Name, NaiveFile>()
  /** As the platter must have it: absent names are uncertain. */
  certain = new Map<Name, NaiveFile | null>(NAMES.map((each) => [each, null]))

  changed(...names: Name[]): void {
    for (const each of names) this.certain.delete(each)
  }

  folderSynced(): void {
    this.platter = new Map(this.names)
    this.certain = new Map(NAMES.map((each) => [each, this.names.get(each) ?? null]))
  }
}

/** Runs the program on the simulated disk and on the naive one beside it. */
class Program {
  readonly bench: Bench
  readonly naive = new NaiveDisk()
  private readonly open = new Map<NaiveFile, { file: File; over: File }>()
  private waiting = 0
  private value = 0

  constructor(seed: number, faults: Partial<DiskFaults> = {}) {
    this.bench = new Bench(`survival ${seed}`, { faults })
    this.bench.ask<void>((done) => this.bench.disk.mkdir('/d', done))
    this.bench.ask<void>((done) => this.bench.disk.syncDir('/', done))
  }

  run(steps: readonly Step[]): void {
    for (const each of NAMES) this.do({ kind: 'create', name: each })
    this.do({ kind: 'sync-folder' })
    for (const each of steps) this.do(each)
  }

  private do(each: Step): void {
    const { bench, naive } = this
    switch (each.kind) {
      case 'pass':
        return void bench.step()
      case 'settle':
        return bench.until(() => this.waiting === 0)
      case 'restart':
        return this.restart()
      case 'sync-folder':
        // Names that change while it runs are none of its business, so nothing else may run.
        bench.ask<void>((done) => bench.disk.syncDir('/d', done))
        return naive.folderSynced()
      case 'create':
        return void this.handle(each.name, true)
      case 'rename':
        return this.rename(each.name, each.to)
      case 'remove':
        if (!naive.names.has(each.name)) return
        bench.ask<void>((done) => bench.disk.remove(`/d/${each.name}`, done))
        naive.names.delete(each.name)
        return naive.changed(each.name)
      default:
        return this.touch(each)
    }
  }

  private touch(each: Step & { name: Name }): void {
    const [file, handles] = this.handle(each.name, false)
    if (each.kind === 'append') {
      const part = this.fresh(each.size)
      handles.file.appendNow([part.subarray(0, 1), part.subarray(1)])
      file.write(file.bytes.length, part)
    } else if (each.kind === 'truncate') {
      handles.file.truncateNow(each.size)
      file.truncate(each.size)
    } else if (each.kind === 'sync') {
      const covered = file.cover()
      this.waiting++
      handles.file.sync(() => {
        this.waiting--
        file.synced(covered)
      })
    } else if (each.kind === 'write-at') {
      const at = file.bytes.length >> 1
      const part = this.fresh(each.size)
      this.bench.ask<void>((done) => handles.over.writeAt(at, [part], done))
      file.write(at, part)
      for (const byte of file.bytes.slice(at, at + part.length)) byte.synced = byte.now
      file.certainSize = file.bytes.length
      // The other handle must learn of the new end, as a program's would.
      this.open.delete(file)
    }
  }

  private rename(from: Name, to: Name): void {
    const { bench, naive } = this
    const file = naive.names.get(from)
    if (file === undefined || from === to) return
    bench.disk.renameNow(`/d/${from}`, `/d/${to}`)
    naive.names.delete(from)
    naive.names.set(to, file)
    naive.changed(from, to)
  }

  private handle(called: Name, empty: boolean): [NaiveFile, { file: File; over: File }] {
    const { bench, naive } = this
    const path = `/d/${called}`
    let file = naive.names.get(called)
    if (file === undefined) {
      file = new NaiveFile()
      naive.names.set(called, file)
      naive.changed(called)
      bench.disk.openNow(path, 'create')
    } else if (empty) {
      bench.disk.openNow(path, 'create')
      file.truncate(0)
      this.open.delete(file)
    }
    let handles = this.open.get(file)
    if (handles === undefined) {
      handles = { file: bench.disk.openNow(path, 'append'), over: bench.disk.openNow(path, 'overwrite') }
      this.open.set(file, handles)
    }
    return [file, handles]
  }

  private restart(): void {
    this.bench.restart('killed')
    this.waiting = 0
    this.open.clear()
  }

  private fresh(size: number): Uint8Array {
    this.value = (this.value % 250) + 1
    return new Uint8Array(size).fill(this.value)
  }

  /** Before a power cut a program reads what it wrote, synced or not. */
  checkVisible(): void {
    for (const each of NAMES) {
      const expected = this.naive.names.get(each)
      const content = this.bench.content(`/d/${each}`)
      assert.equal(content === null, expected === undefined, each)
      if (expected !== undefined)
        assert.deepEqual(
          content,
          Uint8Array.from(expected.bytes, ({ now }) => now),
        )
    }
  }

  /** On a disk where nothing survives that was not synced. */
  checkPlatter(): void {
    for (const each of NAMES) {
      const expected = this.naive.platter.get(each)
      const content = this.bench.content(`/d/${each}`)
      assert.equal(content === null, expected === undefined, each)
      if (expected !== undefined) assert.deepEqual(content, Uint8Array.from(expected.platter))
    }
  }

  checkSurvivors(): void {
    for (const [each, expected] of this.naive.certain) {
      const content = this.bench.content(`/d/${each}`)
      if (expected === null) {
        assert.equal(content, null, `${each} was gone for good`)
        continue
      }
      if (content === null) throw new Error(`${each} is lost`)
      assert.ok(content.length >= expected.certainSize, `${each} is shorter than it was synced`)
      for (let at = 0; at < expected.certainSize; at++) {
        const { synced } = expected.bytes[at] as Byte
        if (synced !== null && content[at] !== synced)
          throw new Error(`byte ${at} of ${each} was synced as ${synced} and is ${content[at]}`)
      }
    }
  }
}

describe('Whatever a program does', () => {
  test('it reads what it wrote, and after a power cut what it synced, byte for byte', { timeout: 60_000 }, () => {
    const everything = steps(
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('write-at' as const), name, size }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
    )
    const check = (): void =>
      fc.assert(
        fc.property(fc.nat(), everything, (seed, all) => {
          const program = new Program(seed)
          program.run(all)
          program.checkVisible()
          program.bench.restart('power-cut')
          program.checkSurvivors()
        }),
        { numRuns: 200 },
      )
    expect(check).not.toThrow()
  })

  test('a disk that keeps nothing else is exactly as the last syncs left it', { timeout: 60_000 }, () => {
    const check = (): void =>
      fc.assert(
        fc.property(fc.nat(), steps(), (seed, all) => {
          const program = new Program(seed, { survivesPercent: 0, garbagePercent: 0 })
          program.run([...all, { kind: 'settle' }])
          program.bench.restart('power-cut')
          program.checkPlatter()
        }),
        { numRuns: 200 },
      )
    expect(check).not.toThrow()
  })

  test('the same seed has the same outcome and the same digest, another seed another', () => {
    const digest = (seed: number): string => {
      const program = new Program(seed)
      program.run([
        { kind: 'append', name: 'a', size: 9000 },
        { kind: 'sync', name: 'a' },
        { kind: 'append', name: 'a', size: 5000 },
        { kind: 'rename', name: 'a', to: 'b' },
        { kind: 'write-at', name: 'c', size: 7000 },
      ])
      program.bench.restart('power-cut')
      const contents = NAMES.map((each) => Buffer.from(program.bench.content(`/d/${each}`) ?? []).toString('latin1'))
      return `${program.bench.schedule.digest} ${contents.join('/')}`
    }
    expect(digest(1)).toBe(digest(1))
    expect(digest(1)).not.toBe(digest(2))
  })
})
