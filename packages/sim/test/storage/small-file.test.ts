import { describe, expect, test } from 'vitest'
import { publishFile, readSmallFile, replaceSmallFile, tryAppend, type IoError } from '@millrace/base'
import { Bench, bytes, outcomes } from './fixture.ts'

const OLD = 'the old content'
const NEW = ['the new', ' content']

function oldFile(seed: string): Bench {
  const bench = new Bench(seed)
  bench.put('/d/f', bytes(OLD))
  return bench
}

/** Replaces the file; the answer tells how it ended, null while it has not. */
function replace(bench: Bench): { readonly ended: { error: IoError | null } | null } {
  const answer: { ended: { error: IoError | null } | null } = { ended: null }
  replaceSmallFile(bench.disk, '/d', 'f', NEW.map(bytes))((error) => (answer.ended = { error }))
  return answer
}

function read(bench: Bench, path: string, maxBytes?: number): { error: IoError | null; text: string | null } {
  let seen = { error: null as IoError | null, text: null as string | null }
  const done = (error: IoError | null, content: Uint8Array | null): void => {
    seen = { error, text: error !== null || content === null ? null : new TextDecoder().decode(content) }
  }
  readSmallFile(bench.disk, path, done, maxBytes)
  while (bench.schedule.step()) continue
  return seen
}

describe('A small file that is replaced', () => {
  test('is the old one or the new one after a power cut at any moment, and the new one once that was said', () => {
    const seen = outcomes(400, (seed) => {
      const bench = oldFile(seed)
      const answer = replace(bench)
      for (let steps = Number(seed.slice(5)) % 9; steps > 0 && answer.ended === null; steps--) bench.schedule.step()
      const said = answer.ended !== null
      bench.restart('power-cut')
      const text = bench.text('/d/f')
      expect(said ? [NEW.join('')] : [OLD, NEW.join('')]).toContain(text)
      return `${said ? 'said' : 'not said'}, ${text === OLD ? 'old' : 'new'}`
    })
    expect(seen).toEqual(new Set(['said, new', 'not said, new', 'not said, old']))
  })

  test('is whole after an error, and the error is told', () => {
    const seen = outcomes(200, (seed) => {
      const bench = oldFile(seed)
      bench.faults = { syncErrorPer100k: 10_000, writeErrorPer100k: 5_000, fullPer100k: 10_000 }
      const answer = replace(bench)
      while (bench.schedule.step()) continue
      bench.faults = {}
      const text = bench.text('/d/f')
      expect(answer.ended?.error === null ? [NEW.join('')] : [OLD, NEW.join('')]).toContain(text)
      return answer.ended?.error?.code ?? 'done'
    })
    expect([...seen]).toEqual(expect.arrayContaining(['done', 'EIO', 'ENOSPC']))
  })

  test('leaves no second file behind, and a later attempt takes the place of one that failed', () => {
    const bench = oldFile('1')
    bench.put('/d/f.tmp', bytes('left by a crash, and longer than what comes now'))
    const answer = replace(bench)
    while (bench.schedule.step()) continue
    expect(answer.ended).toEqual({ error: null })
    expect(bench.text('/d/f')).toBe(NEW.join(''))
    expect(bench.text('/d/f.tmp')).toBeNull()
  })
})

describe('A small file that is read', () => {
  test('is null when there is none, and an error when it is larger than it may be', () => {
    const bench = oldFile('1')
    expect(read(bench, '/d/other')).toEqual({ error: null, text: null })
    expect(read(bench, '/d/f', OLD.length)).toEqual({ error: null, text: OLD })
    expect(read(bench, '/d/f', OLD.length - 1).error?.code).toBe('EIO')
  })
})

test('a file that was written piece by piece is published under its name', () => {
  const bench = oldFile('1')
  const part = bench.file('/d/f.part', 'append')
  expect(tryAppend(part, [bytes('one ')])).toBeNull()
  expect(tryAppend(part, [bytes('two')])).toBeNull()
  let error: IoError | null | undefined
  publishFile(bench.disk, part, '/d/f', (ended) => (error = ended))
  while (bench.schedule.step()) continue
  expect(error).toBeNull()
  bench.restart('power-cut')
  expect(bench.text('/d/f')).toBe('one two')
  expect(tryAppend(part, [bytes('three')])).not.toBeNull()
})
