import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const ROWS = readFileSync(join(import.meta.dirname, '..', 'TRAPS.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| \d+ \|/.test(line))

/** The tests that a row names, by their files. */
function testsOf(row: string): { file: string; name: string }[] {
  return [...row.matchAll(/`([^`]+\.test\.ts)`: “([^”]+)”/g)].map(([, file = '', name = '']) => ({ file, name }))
}

describe('the table of traps', () => {
  test('has all fifty, each with a test or a sentence', () => {
    expect(ROWS.map((row) => Number(row.split('|')[1]))).toEqual(Array.from({ length: 50 }, (_, at) => at + 1))
    expect(ROWS.filter((row) => (row.split('|')[3] ?? '').trim() === '')).toEqual([])
    expect(ROWS.filter((row) => testsOf(row).length === 0).length).toBeLessThan(10)
  })

  test('names tests that exist', () => {
    const lost = ROWS.flatMap(testsOf).filter(({ file, name }) => {
      const path = join(ROOT, file)
      return !existsSync(path) || !readFileSync(path, 'utf8').includes(name)
    })
    expect(lost).toEqual([])
  })
})
