import assert from 'node:assert/strict'
import type { Entry, RaftStore, RaftStoreFactory, RaftStoreState, RaftWrite } from '@millrace/base'
import { ask, contractCases, withCode } from './contract-case.ts'
import type { ContractCase, ContractHost } from './contract-case.ts'

/** A factory of stores under test, and a path at which no store is yet. */
export interface RaftStoreHost extends ContractHost {
  readonly stores: RaftStoreFactory
  readonly path: string
  /** Damages the store at `path` while it is closed. */
  spoil(): void
}

/** The rules of {@link RaftStore}. */
export function raftStoreContract(make: () => Promise<RaftStoreHost>): ContractCase[] {
  return contractCases(async () => tracked(await make()), { ...STARTING, ...DAMAGED, ...WRITING, ...READING })
}

/** Closes what a case left open before its host ends. */
function tracked(host: RaftStoreHost): RaftStoreHost {
  const opened: RaftStore[] = []
  const stores: RaftStoreFactory = {
    open: (path, done) =>
      host.stores.open(path, (error, store) => {
        if (error === null) opened.push(store)
        done(error, store)
      }),
  }
  const end = async (): Promise<void> => {
    for (const store of opened) await ask<void>(host, (done) => store.close(done)).catch(() => {})
    await host.end()
  }
  return { ...host, spoil: () => host.spoil(), stores, end }
}

const VOTER = { id: 3, directoryId: 'AAAAAAAAAAAAAAAAAAAAAg' }

const STARTING: Readonly<Record<string, (host: RaftStoreHost) => Promise<void>>> = {
  'a fresh store is empty and undamaged': async (host) => {
    const store = await open(host)
    assert.deepEqual(await load(host, store), {
      hardState: null,
      firstIndex: 1,
      lastIndex: 0,
      lastTerm: 0,
      damage: null,
    })
  },
  'what was done is there after the store is opened again': async (host) => {
    const store = await open(host)
    await write(host, store, { hardState: { term: 2, votedFor: VOTER }, append: entries(1, 3, 2) })
    await write(host, store, { append: [entry(4, 2, '')] })
    const again = await reopen(host, store)
    const state = await load(host, again)
    assert.deepEqual(state, {
      hardState: { term: 2, votedFor: VOTER },
      firstIndex: 1,
      lastIndex: 4,
      lastTerm: 2,
      damage: null,
    })
    assert.deepEqual(await read(host, again, 1, 4), [...entries(1, 3, 2), entry(4, 2, '')].map(plain))
  },
  'a store that was never written to is empty after it is opened again': async (host) => {
    const again = await reopen(host, await open(host))
    const state = await load(host, again)
    assert.equal(state.lastIndex, 0)
    assert.equal(state.damage, null)
  },
  'two stores keep apart': async (host) => {
    const one = await open(host)
    const other = await ask<RaftStore>(host, (done) => host.stores.open(`${host.path}-other`, done))
    await write(host, one, { append: entries(1, 2, 1) })
    assert.equal((await load(host, other)).lastIndex, 0)
    await ask<void>(host, (done) => other.close(done))
  },
  'a closed store refuses everything': async (host) => {
    const store = await open(host)
    await ask<void>(host, (done) => store.close(done))
    await assert.rejects(() => load(host, store), withCode('ECLOSED'))
    await assert.rejects(() => write(host, store, { append: entries(1, 1, 1) }), withCode('ECLOSED'))
    await assert.rejects(() => read(host, store, 1, 1), withCode('ECLOSED'))
    await assert.rejects(() => ask<void>(host, (done) => store.close(done)), withCode('ECLOSED'))
  },
  'a close lets the writes that were called before it be done': async (host) => {
    const store = await open(host)
    const order: string[] = []
    store.write({ token: 1, append: entries(1, 1, 1) }, (error) => void order.push(error?.code ?? 'written'))
    store.close((error) => void order.push(error?.code ?? 'closed'))
    await host.until(() => order.length === 2, 'both answers')
    assert.deepEqual(order, ['written', 'closed'])
    assert.equal((await load(host, await open(host))).lastIndex, 1)
  },
}

const DAMAGED: Readonly<Record<string, (host: RaftStoreHost) => Promise<void>>> = {
  'a damaged store begins empty and keeps the term and the vote': async (host) => {
    const store = await open(host)
    await write(host, store, { hardState: { term: 7, votedFor: VOTER }, append: entries(1, 3, 7) })
    await ask<void>(host, (done) => store.close(done))
    host.spoil()
    const { damage, ...state } = await load(host, await open(host))
    assert.notEqual(damage?.reason ?? '', '')
    assert.deepEqual(state, { hardState: { term: 7, votedFor: VOTER }, firstIndex: 1, lastIndex: 0, lastTerm: 0 })
  },
  'the damage is told at every start, also beside new entries, until the node writes that it is healed': async (
    host,
  ) => {
    let store = await open(host)
    await write(host, store, { append: entries(1, 3, 1) })
    await ask<void>(host, (done) => store.close(done))
    host.spoil()
    store = await open(host)
    await write(host, store, { append: entries(1, 2, 1) })
    store = await reopen(host, store)
    const state = await load(host, store)
    assert.ok(state.damage !== null)
    assert.equal(state.lastIndex, 2)
    await write(host, store, { healed: true })
    assert.equal((await load(host, store)).damage, null)
    assert.equal((await load(host, await reopen(host, store))).damage, null)
  },
}

const WRITING: Readonly<Record<string, (host: RaftStoreHost) => Promise<void>>> = {
  'writes of one turn are done in their order': async (host) => {
    const store = await open(host)
    const order: number[] = []
    for (let token = 1; token <= 20; token++) {
      store.write({ token, append: entries(token, 1, 1) }, (error) => void order.push(error === null ? token : -token))
    }
    assert.deepEqual(order, [], 'nothing is done inside the call')
    await host.until(() => order.length === 20, 'twenty answers')
    assert.deepEqual(
      order,
      Array.from({ length: 20 }, (_, at) => at + 1),
    )
    assert.equal((await load(host, await reopen(host, store))).lastIndex, 20)
  },
  'a write that is called when another is done follows it': async (host) => {
    const store = await open(host)
    const order: string[] = []
    store.write({ token: 1, append: entries(1, 1, 1) }, () => {
      order.push('first')
      store.write({ token: 2, append: entries(2, 1, 1) }, () => void order.push('second'))
    })
    await host.until(() => order.length === 2, 'both writes')
    assert.deepEqual(order, ['first', 'second'])
    assert.equal((await load(host, await reopen(host, store))).lastIndex, 2)
  },
  'a truncation removes the end, and other entries take its place': async (host) => {
    const store = await open(host)
    await write(host, store, { append: entries(1, 6, 1) })
    await write(host, store, { truncateFrom: 4, append: [entry(4, 3, 'new')] })
    const again = await reopen(host, store)
    const state = await load(host, again)
    assert.deepEqual([state.firstIndex, state.lastIndex, state.lastTerm], [1, 4, 3])
    assert.deepEqual(await read(host, again, 3, 4), [entry(3, 1), entry(4, 3, 'new')].map(plain))
  },
  'a truncation past the end, or of everything, is no error': async (host) => {
    const store = await open(host)
    await write(host, store, { append: entries(1, 3, 2) })
    await write(host, store, { truncateFrom: 9 })
    assert.equal((await load(host, store)).lastIndex, 3)
    await write(host, store, { truncateFrom: 1 })
    const state = await load(host, await reopen(host, store))
    assert.deepEqual([state.firstIndex, state.lastIndex, state.lastTerm], [1, 0, 0])
  },
  'an entry that is appended and truncated in the same turn is gone': async (host) => {
    const store = await open(host)
    const answers: unknown[] = []
    store.write({ token: 1, append: entries(1, 5, 1) }, (error) => void answers.push(error))
    store.write({ token: 2, truncateFrom: 2, append: [entry(2, 2, 'kept')] }, (error) => void answers.push(error))
    await host.until(() => answers.length === 2, 'both writes')
    const again = await reopen(host, store)
    assert.equal((await load(host, again)).lastIndex, 2)
    assert.deepEqual(await read(host, again, 1, 2), [entry(1, 1), entry(2, 2, 'kept')].map(plain))
  },
  'trimming removes the beginning, also all of it, and the log goes on': async (host) => {
    const store = await open(host)
    await write(host, store, { append: entries(1, 5000, 1) })
    await write(host, store, { trimTo: 4997 })
    let state = await load(host, store)
    assert.deepEqual([state.firstIndex, state.lastIndex, state.lastTerm], [4998, 5000, 1])
    await assert.rejects(() => read(host, store, 4997, 5000), withCode('ENOENT'))
    assert.equal((await read(host, store, 4998, 5000)).length, 3)
    await write(host, store, { trimTo: 5000 })
    await write(host, store, { trimTo: 10 })
    state = await load(host, await reopen(host, store))
    assert.deepEqual([state.firstIndex, state.lastIndex, state.lastTerm], [5001, 5000, 0])
  },
  'a restart empties the log and the next entry has its index': async (host) => {
    const store = await open(host)
    await write(host, store, { hardState: { term: 4, votedFor: null }, append: entries(1, 5, 4) })
    await write(host, store, { restartAt: 3, append: [entry(3, 4, 'after'), entry(4, 4, 'the snapshot')] })
    const again = await reopen(host, store)
    const state = await load(host, again)
    assert.deepEqual([state.firstIndex, state.lastIndex, state.lastTerm, state.hardState?.term], [3, 4, 4, 4])
    assert.deepEqual(await read(host, again, 3, 4), [entry(3, 4, 'after'), entry(4, 4, 'the snapshot')].map(plain))
    await write(host, again, { restartAt: 1000 })
    const empty = await load(host, await reopen(host, again))
    assert.deepEqual([empty.firstIndex, empty.lastIndex, empty.lastTerm], [1000, 999, 0])
  },
  'a write of the hard state alone keeps the log': async (host) => {
    const store = await open(host)
    await write(host, store, { append: entries(1, 2, 1) })
    await write(host, store, { hardState: { term: 1, votedFor: null } })
    await write(host, store, { hardState: { term: 1, votedFor: VOTER } })
    const state = await load(host, await reopen(host, store))
    assert.deepEqual(state.hardState, { term: 1, votedFor: VOTER })
    assert.equal(state.lastIndex, 2)
  },
  'a write with nothing in it is done': async (host) => {
    const store = await open(host)
    await write(host, store, {})
    assert.equal((await load(host, store)).lastIndex, 0)
  },
  'a gap, and an entry of a smaller term, are broken invariants': async (host) => {
    const store = await open(host)
    await write(host, store, { append: entries(1, 2, 5) })
    const invariant = { name: 'BrokenInvariant' }
    assert.throws(() => store.write({ token: 9, append: entries(4, 1, 5) }, () => {}), invariant)
    assert.throws(() => store.write({ token: 9, append: entries(3, 1, 4) }, () => {}), invariant)
    assert.throws(() => store.write({ token: 9, hardState: { term: -1, votedFor: null } }, () => {}), invariant)
  },
}

const READING: Readonly<Record<string, (host: RaftStoreHost) => Promise<void>>> = {
  'entries of every kind come back with their payload': async (host) => {
    const store = await open(host)
    const all: Entry[] = [
      { index: 1, term: 1, kind: 'noop', payload: new Uint8Array(0) },
      { index: 2, term: 1, kind: 'voters', payload: new Uint8Array([0, 255, 1]) },
      { index: 3, term: 2, kind: 'data', payload: new Uint8Array(300_000).map((_, at) => at & 0xff) },
    ]
    await write(host, store, { append: all })
    assert.deepEqual(await read(host, store, 1, 3), all.map(plain))
    assert.deepEqual(await read(host, await reopen(host, store), 1, 3), all.map(plain))
  },
  'a read gives as many entries as fit, at least one': async (host) => {
    const store = await open(host)
    await write(host, store, { append: Array.from({ length: 10 }, (_, at) => entry(at + 1, 1, 'x'.repeat(100))) })
    assert.equal((await read(host, store, 1, 10, 350)).length, 3)
    assert.equal((await read(host, store, 1, 10, 1)).length, 1)
    assert.equal((await read(host, store, 5, 10, 1_000_000)).length, 6)
  },
  'a read past the end gives what is there; one that begins outside is ENOENT': async (host) => {
    const store = await open(host)
    await write(host, store, { append: entries(1, 3, 1) })
    assert.equal((await read(host, store, 2, 99)).length, 2)
    await assert.rejects(() => read(host, store, 4, 99), withCode('ENOENT'))
    await assert.rejects(() => read(host, store, 0, 3), withCode('ENOENT'))
  },
  'a read sees the writes that were called before it': async (host) => {
    const store = await open(host)
    let written = false
    store.write({ token: 1, append: entries(1, 3, 1) }, () => void (written = true))
    const found = await read(host, store, 1, 3)
    assert.equal(found.length, 3)
    assert.ok(written, 'the write was done before the read')
  },
  'a long log is read in pieces': async (host) => {
    const store = await open(host)
    await write(host, store, { append: entries(1, 3000, 1) })
    const found = await read(host, await reopen(host, store), 1, 3000)
    assert.equal(found.length, 3000)
    assert.ok(found.every(({ index }, at) => index === at + 1))
  },
  'a payload that the caller changes afterwards stays as it was written': async (host) => {
    const store = await open(host)
    const payload = new Uint8Array([1, 2, 3])
    await write(host, store, { append: [{ index: 1, term: 1, kind: 'data', payload }] })
    payload.fill(9)
    assert.deepEqual((await read(host, store, 1, 1))[0]?.payload, [1, 2, 3])
  },
}

function open(host: RaftStoreHost): Promise<RaftStore> {
  return ask(host, (done) => host.stores.open(host.path, done))
}

async function reopen(host: RaftStoreHost, store: RaftStore): Promise<RaftStore> {
  await ask<void>(host, (done) => store.close(done))
  return open(host)
}

function load(host: ContractHost, store: RaftStore): Promise<RaftStoreState> {
  return ask(host, (done) => store.load(done))
}

let tokens = 0
function write(host: ContractHost, store: RaftStore, change: Omit<RaftWrite, 'token'>): Promise<void> {
  return ask(host, (done) => store.write({ token: ++tokens, ...change }, done))
}

// eslint-disable-next-line max-params -- as the call it stands for
async function read(
  host: ContractHost,
  store: RaftStore,
  from: number,
  to: number,
  maxBytes = 1 << 20,
): Promise<Plain[]> {
  return (await ask<readonly Entry[]>(host, (done) => store.read(from, to, maxBytes, done))).map(plain)
}

/** An entry with its payload as numbers, so that kinds of byte arrays compare by content. */
type Plain = Omit<Entry, 'payload'> & { readonly payload: number[] }

function plain({ index, term, kind, payload }: Entry): Plain {
  return { index, term, kind, payload: [...payload] }
}

function entry(index: number, term: number, text = `entry ${index}`): Entry {
  return { index, term, kind: 'data', payload: new Uint8Array(Buffer.from(text)) }
}

function entries(from: number, count: number, term: number): Entry[] {
  return Array.from({ length: count }, (_, at) => entry(from + at, term))
}
