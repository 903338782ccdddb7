import { spawn } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Entry, RaftStore, RaftStoreState, RaftWrite } from '@millrace/base'
import { ask, LevelStoreFactory, MemoryLogger, SystemClock, SystemTimers, untilReal } from '../src/index.ts'
import { temporaryFolder } from './contracts.ts'

const host = { until: untilReal, end: async () => {} }
const VOTER = { id: 1, directoryId: 'AAAAAAAAAAAAAAAAAAAAAg' }

let folder: ReturnType<typeof temporaryFolder>
let path: string
let log: MemoryLogger

beforeEach(() => {
  folder = temporaryFolder()
  path = join(folder.path, 'raft')
  log = new MemoryLogger()
})
afterEach(() => folder.remove())

function open(at = path): Promise<RaftStore> {
  const timers = new SystemTimers(new SystemClock())
  return ask<RaftStore>(host, (done) => new LevelStoreFactory({ timers, log }).open(at, done))
}

function load(store: RaftStore): Promise<RaftStoreState> {
  return ask<RaftStoreState>(host, (done) => store.load(done))
}

function close(store: RaftStore): Promise<void> {
  return ask<void>(host, (done) => store.close(done))
}

function write(store: RaftStore, change: Omit<RaftWrite, 'token'>): Promise<void> {
  return ask<void>(host, (done) => store.write({ token: 0, ...change }, done))
}

function entry(index: number, bytes = 100): Entry {
  return { index, term: 3, kind: 'data', payload: new Uint8Array(bytes).fill(index) }
}

/** A store of ten entries, each its own batch, closed. */
async function filled(): Promise<void> {
  const store = await open()
  await write(store, { hardState: { term: 3, votedFor: VOTER } })
  for (let index = 1; index <= 10; index++) await write(store, { append: [entry(index)] })
  await close(store)
}

/** What a store says when it is opened now; closed again. */
async function reopened(at = path): Promise<RaftStoreState> {
  const store = await open(at)
  const state = await load(store)
  await close(store)
  return state
}

function levelFiles(suffix: string, at = path): string[] {
  const level = join(at, readdirSync(at).find((name) => name.startsWith('log-')) as string)
  return readdirSync(level)
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(level, name))
    .filter((file) => statSync(file).size > 0)
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file)
  bytes[at] = (bytes[at] as number) ^ 0x10
  writeFileSync(file, bytes)
}

async function readAll(store: RaftStore): Promise<number[][]> {
  const entries = await ask<readonly Entry[]>(host, (done) => store.read(1, 10, 1 << 20, done))
  return entries.map(({ payload }) => [...payload])
}

/** Why the store is empty that is opened now; null when it is not empty, or not damaged. */
async function damage(): Promise<string | null> {
  const state = await reopened()
  return state.damage === null || state.lastIndex > 0 ? null : state.damage.reason
}

describe('a raft store whose log was damaged', () => {
  test('begins empty with the reason, keeps term and vote, and puts the old log aside', async () => {
    await filled()
    const [wal] = levelFiles('.log')
    truncateSync(wal as string, Math.floor(statSync(wal as string).size * 0.6))
    const state = await reopened()
    expect(state.damage?.reason).toMatch(/has lost its last \d+ writes/)
    expect(state).toMatchObject({ firstIndex: 1, lastIndex: 0, hardState: { term: 3, votedFor: VOTER } })
    expect(readdirSync(path).sort()).toEqual(['damaged-1', 'log-2', 'quorum-state', 'quorum-state.damaged-1'])
    expect(log.lines.map(({ level, event }) => `${level} ${event}`)).toContain(
      'error the raft store is damaged and begins empty',
    )
  })

  test('tells the damage at every start, also with a half refetched log, until it is healed', async () => {
    await filled()
    rmSync(join(path, 'quorum-state'))
    expect(await damage()).toMatch(/missing/)
    let store = await open()
    await write(store, { append: [entry(1), entry(2)] })
    await close(store)
    store = await open()
    expect(await load(store)).toMatchObject({ lastIndex: 2, damage: { reason: expect.stringMatching(/missing/) } })
    await write(store, { healed: true })
    await close(store)
    expect(await reopened()).toMatchObject({ lastIndex: 2, damage: null })
  })

  test.each(['CURRENT', 'MANIFEST-000002', '.'])('is found when %s is gone', async (name) => {
    await filled()
    await reopened()
    const [level] = readdirSync(path).filter((entry) => entry.startsWith('log-'))
    const victim =
      name === '.'
        ? ''
        : (readdirSync(join(path, level as string)).find((file) => file.startsWith(name.slice(0, 7))) as string)
    rmSync(join(path, level as string, victim), { recursive: true })
    expect(await damage()).toMatch(/^LevelDB cannot read/)
  })

  test('is found when a whole write vanished from its end, the last one too', async () => {
    await filled()
    cpSync(path, `${path}-before`, { recursive: true })
    const store = await open()
    await write(store, { append: [entry(11)] })
    await close(store)
    const newest = readFileSync(join(path, 'quorum-state'))
    rmSync(path, { recursive: true })
    cpSync(`${path}-before`, path, { recursive: true })
    writeFileSync(join(path, 'quorum-state'), newest)
    expect(await damage()).toMatch(/has lost its last 1 writes/)
  })

  test('is never taken for whole: a flipped byte or a cut anywhere is damage, or changes nothing', async () => {
    await filled()
    const store = await open()
    const whole = await load(store)
    const contents = await readAll(store)
    await close(store)
    const files = [...levelFiles(''), join(path, 'quorum-state')].map((file) => file.slice(path.length))
    let damaged = 0
    for (let round = 0; round < 60; round++) {
      const copy = `${path}-${round}`
      cpSync(path, copy, { recursive: true })
      const file = copy.concat(files[round % files.length] as string)
      const at = Math.floor((statSync(file).size * ((round * 37) % 60)) / 60)
      if (round % 3 === 0) truncateSync(file, at)
      else flip(file, at)
      const victim = await open(copy)
      const state = await load(victim)
      if (state.damage !== null) damaged++
      const { hardState } = state
      const empty = { hardState, firstIndex: 1, lastIndex: 0, lastTerm: 0, damage: state.damage }
      expect(state, `${file} at ${at}`).toEqual(state.damage === null ? whole : empty)
      const read = state.damage === null ? await readAll(victim) : contents
      expect(read).toEqual(contents)
      await close(victim)
      rmSync(copy, { recursive: true })
    }
    expect(damaged).toBeGreaterThan(10)
  })

  test('is found when a block of a table file is flipped', async () => {
    const store = await open()
    for (let index = 1; index <= 40; index++) await write(store, { append: [entry(index, 500_000)] })
    await close(store)
    await reopened()
    const [table] = levelFiles('.ldb')
    expect(table).toBeDefined()
    flip(table as string, Math.floor(statSync(table as string).size / 2))
    expect(await damage()).toMatch(/entry \d+ is (missing|corrupt)|LevelDB cannot read|ends at/)
  })

  test('keeps the last three damaged logs only', async () => {
    await filled()
    for (let time = 0; time < 5; time++) {
      rmSync(join(path, 'quorum-state'))
      expect(await damage()).toMatch(/missing/)
      const store = await open()
      await write(store, { append: [entry(1)] })
      await close(store)
    }
    expect(readdirSync(path).filter((name) => name.startsWith('damaged-'))).toEqual([
      'damaged-3',
      'damaged-4',
      'damaged-5',
    ])
  })
})

describe('the quorum-state file', () => {
  test('holds the state in words that people can read', async () => {
    await filled()
    const text = readFileSync(join(path, 'quorum-state'), 'latin1')
    expect(text).toContain('"hardState":{"term":3,"votedFor":{"id":1,')
    expect(text.length).toBe(8192)
  })

  test('may be one write behind the log, as after a crash between the two syncs, but not two', async () => {
    await filled()
    const behind: Buffer[] = []
    const store = await open()
    for (let index = 11; index <= 13; index++) {
      behind.push(readFileSync(join(path, 'quorum-state')))
      await write(store, { append: [entry(index)] })
    }
    await close(store)
    writeFileSync(join(path, 'quorum-state'), behind[2] as Buffer)
    expect(await reopened()).toMatchObject({ lastIndex: 13, damage: null })
    writeFileSync(join(path, 'quorum-state'), behind[1] as Buffer)
    expect(await damage()).toMatch(/quorum-state is 2 writes older/)
  })

  test('survives a slot that a power cut tore', async () => {
    await filled()
    const bytes = readFileSync(join(path, 'quorum-state'))
    // The last write has sequence 11, so it is in the second slot.
    writeFileSync(join(path, 'quorum-state'), Buffer.concat([bytes.subarray(0, 4096), Buffer.alloc(4096, 0xff)]))
    expect(await reopened()).toMatchObject({ lastIndex: 10, hardState: { term: 3 }, damage: null })
  })

  test('is corrupt when neither slot can be read; the vote then comes from the log', async () => {
    await filled()
    writeFileSync(join(path, 'quorum-state'), Buffer.alloc(8192, 0xff))
    const state = await reopened()
    expect(state).toMatchObject({
      lastIndex: 0,
      hardState: { term: 3, votedFor: VOTER },
      damage: { reason: 'quorum-state is corrupt' },
    })
  })

  test('is made once more when the making of a store was interrupted', async () => {
    await close(await open())
    rmSync(join(path, 'quorum-state'))
    expect(await reopened()).toMatchObject({ lastIndex: 0, damage: null })
    expect(existsSync(join(path, 'quorum-state'))).toBe(true)
  })

  test('rises by one for all writes of a turn together', async () => {
    const store = await open()
    const sequence = (): number[] =>
      [...readFileSync(join(path, 'quorum-state'), 'latin1').matchAll(/"sequence":(\d+)/g)].map((match) =>
        Number(match[1]),
      )
    let done = 0
    for (let index = 1; index <= 50; index++) store.write({ token: index, append: [entry(index)] }, () => void done++)
    await untilReal(() => done === 50, 'all writes')
    expect(Math.max(...sequence())).toBe(1)
    await close(store)
  })
})

describe('a raft store that cannot be opened', () => {
  test('because another has it open is an error, and no damage', async () => {
    const store = await open()
    await write(store, { append: [entry(1)] })
    await expect(open()).rejects.toMatchObject({ code: 'EACCES' })
    await write(store, { append: [entry(2)] })
    await close(store)
    expect(await reopened()).toMatchObject({ lastIndex: 2, damage: null })
  })
})

test('a killed process loses nothing that was done', async () => {
  const program = join(import.meta.dirname, 'programs', 'write-raft-store.ts')
  for (let life = 0; life < 3; life++) {
    const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    let printed = ''
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    await untilReal(() => printed.length > 400, 'some writes')
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('close', resolve))
    const acknowledged = Number(printed.trimEnd().split('\n').at(-1))
    const store = await open()
    const state = await load(store)
    expect(state.damage).toBeNull()
    expect(state.lastIndex).toBeGreaterThanOrEqual(acknowledged)
    expect(state.hardState?.term).toBe(state.lastIndex)
    await close(store)
  }
})
