import { describe, expect, test } from 'vitest'
import type { Entry, HardState, RaftStore, RaftStoreState } from '@millrace/base'
import { Bench, bytes, failure, outcomes } from './fixture.ts'

const VOTE: HardState = { term: 2, votedFor: { id: 1, directoryId: 'd' } }

function entry(index: number, term = 1): Entry {
  return { index, term, kind: 'data', payload: bytes(`entry ${index}`) }
}

function entries(from: number, to: number, term = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term))
}

function load(bench: Bench, store: RaftStore): RaftStoreState {
  return bench.ask<RaftStoreState>((done) => store.load(done))
}

describe('A Raft store at a power cut', () => {
  test('has all that was done', () => {
    const bench = new Bench('done', { faults: { survivesPercent: 0 } })
    bench.write(bench.store(), { hardState: VOTE, append: entries(1, 5) })
    bench.restart('power-cut')
    expect(load(bench, bench.store())).toEqual({
      hardState: VOTE,
      firstIndex: 1,
      lastIndex: 5,
      lastTerm: 1,
      damage: null,
    })
  })

  test('has the writes of one round that was on its way whole or not at all, and none of a later one', () => {
    const seen = outcomes(40, (seed) => {
      const bench = new Bench(seed)
      const store = bench.store()
      let rounds = 0
      store.write({ token: 1, append: entries(1, 2) }, () => rounds++)
      store.write({ token: 2, hardState: VOTE, append: [entry(3, 2)] }, () => {
        rounds++
        store.write({ token: 3, append: [entry(4, 2)] }, () => rounds++)
      })
      for (let events = Number(seed.slice(5)) % 4; events > 0; events--) bench.step()
      bench.restart('power-cut')
      const state = load(bench, bench.store())
      expect(state.hardState === null).toBe(state.lastIndex === 0)
      return `${rounds} answered, ${state.lastIndex} there`
    })
    // A round that was answered is there; what followed it in the next round may be there too.
    expect([...seen]).toEqual(expect.arrayContaining(['0 answered, 0 there', '0 answered, 3 there']))
    expect([...seen]).toEqual(expect.arrayContaining(['2 answered, 3 there', '2 answered, 4 there']))
    expect([...seen].filter((text) => /^0 answered, [124]/.test(text))).toEqual([])
  })

  test('the mirror is what a start would find, and its version tells of changes', () => {
    const bench = new Bench('mirror')
    const store = bench.store('/data/raft')
    bench.write(store, { hardState: VOTE, append: entries(1, 5) })
    const [mirror] = bench.storage.raftMirrors
    expect(mirror).toMatchObject({ path: '/data/raft', hardState: VOTE, firstIndex: 1, lastIndex: 5, damage: null })
    const { version } = mirror ?? { version: -1 }
    store.write({ token: 2, trimTo: 2, append: [entry(6)] }, () => {})
    expect(mirror?.version).toBe(version)
    load(bench, store)
    expect(mirror?.version).toBe(version + 1)
    expect([mirror?.entry(2), mirror?.entry(3)?.index, mirror?.entry(6)?.index, mirror?.entry(7)]).toEqual([
      undefined,
      3,
      6,
      undefined,
    ])
  })
})

describe('A Raft store that fails', () => {
  test('takes nothing more, and what it failed with may be there after all', () => {
    const seen = outcomes(40, (seed) => {
      const bench = new Bench(seed)
      const store = bench.store()
      bench.write(store, { append: entries(1, 2) })
      bench.storage.failNext('sync', 'EIO')
      expect(failure(() => bench.write(store, { append: [entry(3)] }))).toBe('EIO')
      expect(failure(() => bench.write(store, { append: [entry(4)] }))).toBe('EIO')
      expect(failure(() => load(bench, store))).toBe('EIO')
      bench.restart('killed')
      return load(bench, bench.store()).lastIndex
    })
    expect(seen).toEqual(new Set([2, 3]))
  })

  test('has no room where the disk is full', () => {
    const bench = new Bench('full', { capacityBytes: 1000 })
    const store = bench.store()
    const payload = new Uint8Array(2000)
    expect(failure(() => bench.write(store, { append: [{ ...entry(1), payload }] }))).toBe('ENOSPC')
  })

  test('is open in one process at a time', () => {
    const bench = new Bench('two')
    const store = bench.store()
    expect(failure(() => bench.store())).toBe('EACCES')
    bench.ask<void>((done) => store.close(done))
    bench.store()
    bench.restart('killed')
    bench.store()
  })

  test('that cannot be read at its start is damaged', () => {
    const bench = new Bench('unreadable')
    bench.write(bench.store(), { hardState: VOTE, append: entries(1, 3) })
    bench.restart('killed')
    bench.storage.failNext('open', 'EIO')
    const state = load(bench, bench.store())
    expect(state.damage?.reason).toBe('the log cannot be read')
    expect([state.hardState, state.lastIndex]).toEqual([VOTE, 0])
    bench.restart('killed')
    bench.storage.failNext('open', 'EMFILE')
    expect(failure(() => bench.store())).toBe('EMFILE')
  })
})

describe('Damage of a Raft store', () => {
  /** Damages the store, whatever else there is. */
  function hurt(seed: string, kind: 'bit-rot' | 'misdirected-write' | 'lost-file' | 'lost-vote'): Bench {
    const bench = new Bench(seed)
    const store = bench.store()
    bench.write(store, { hardState: { term: 1, votedFor: null }, append: entries(1, 3) })
    bench.write(store, { hardState: VOTE })
    expect(bench.storage.damage(kind)).not.toBe(null)
    return bench
  }

  test('of its log is told at the next start; the vote is kept', () => {
    for (const kind of ['bit-rot', 'lost-file'] as const) {
      const bench = hurt('log', kind)
      expect(bench.storage.intact).toBe(false)
      bench.restart('killed')
      const store = bench.store()
      const state = load(bench, store)
      expect(state.damage?.reason).not.toBe('')
      expect([state.hardState, state.firstIndex, state.lastIndex]).toEqual([VOTE, 1, 0])
      expect(bench.storage.intact).toBe(false)
      bench.write(store, { append: entries(1, 3), healed: true })
      expect(bench.storage.intact).toBe(true)
      bench.restart('power-cut')
      expect(load(bench, bench.store()).damage).toBe(null)
    }
  })

  test('of its log and its vote leaves an old vote or none', () => {
    const seen = outcomes(20, (seed) => {
      const bench = hurt(seed, 'lost-vote')
      bench.restart('killed')
      const state = load(bench, bench.store())
      expect(state.damage).not.toBe(null)
      return state.hardState?.term ?? null
    })
    expect(seen).toEqual(new Set([1, null]))
  })

  test('by a misdirected write leaves the vote or the one before', () => {
    const seen = outcomes(20, (seed) => {
      const bench = hurt(seed, 'misdirected-write')
      bench.restart('killed')
      return load(bench, bench.store()).hardState?.term
    })
    expect(seen).toEqual(new Set([1, 2]))
  })

  test('of an entry may be met by the process that runs, unless the entry goes first', () => {
    const bench = hurt('rot', 'bit-rot')
    bench.restart('killed')
    const store = bench.store()
    bench.write(store, { append: entries(1, 9, 2), healed: true })
    expect(bench.storage.damage('bit-rot')).toMatch(/^bit rot in entry/)
    const read = (): readonly Entry[] => bench.ask<readonly Entry[]>((done) => store.read(1, 9, 1 << 20, done))
    expect(failure(read)).toBe('EIO')
    bench.write(store, { trimTo: 9 })
    expect(bench.storage.intact).toBe(true)
    bench.restart('killed')
    expect(load(bench, bench.store()).damage).toBe(null)
  })
})

describe('The folder of a Raft store', () => {
  function filled(seed: string): Bench {
    const bench = new Bench(seed)
    const store = bench.store('/data/raft')
    bench.write(store, { hardState: VOTE, append: entries(1, 3) })
    bench.ask<void>((done) => store.close(done))
    return bench
  }

  test('is there, and the store goes with it', () => {
    const bench = filled('removed')
    bench.ask<void>((done) => bench.disk.remove('/data/raft', done))
    expect(bench.storage.raftMirrors).toEqual([])
    expect(load(bench, bench.store('/data/raft'))).toMatchObject({ hardState: null, lastIndex: 0, damage: null })
  })

  test('may come back after a power cut, whole, or without its witness and so damaged', () => {
    const seen = outcomes(60, (seed) => {
      const bench = filled(seed)
      bench.ask<void>((done) => bench.disk.syncDir('/', done))
      bench.ask<void>((done) => bench.disk.remove('/data/raft', done))
      bench.restart('power-cut')
      const state = load(bench, bench.store('/data/raft'))
      return `${state.lastIndex} ${state.damage?.reason ?? 'whole'}`
    })
    expect(seen).toEqual(new Set(['3 whole', '0 whole', '0 quorum-state is missing']))
  })

  test('may be lost, and that is healed when the node has begun another store', () => {
    const seen = outcomes(40, (seed) => {
      const bench = filled(seed)
      const what = bench.storage.damage('lost-file') as string
      const lost = what.endsWith('is lost with all that is in it')
      bench.restart('power-cut')
      expect(load(bench, bench.store('/data/raft')).lastIndex).toBe(0)
      expect(bench.storage.intact).toBe(false)
      bench.write(bench.store('/data/raft-other'), { append: entries(1, 3) })
      expect(bench.storage.intact).toBe(true)
      return lost
    })
    expect(seen).toEqual(new Set([true, false]))
  })
})
