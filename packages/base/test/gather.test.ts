import { expect, test } from 'vitest'
import { gathered, gatherInto } from '../src/index.ts'

const bytes = (...values: number[]): Uint8Array => new Uint8Array(values)

test('parts follow each other in one run of bytes, empty ones too', () => {
  expect(gathered([bytes(1, 2), bytes(), bytes(3)])).toEqual(bytes(1, 2, 3))
  expect(gathered([])).toEqual(bytes())
})

test('a single part is not copied', () => {
  const only = bytes(7)
  expect(gathered([only])).toBe(only)
})

test('parts are copied to where they are wanted, and nothing else is touched', () => {
  const into = bytes(9, 9, 9, 9, 9)
  expect(gatherInto(into, [bytes(1), bytes(2, 3)], 1)).toBe(into)
  expect(into).toEqual(bytes(9, 1, 2, 3, 9))
  expect(() => gatherInto(into, [bytes(1, 2)], 4)).toThrow(RangeError)
})
