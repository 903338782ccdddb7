import assert from 'node:assert/strict'
import type { Random } from '@millrace/base'
import { contractCases } from './contract-case.ts'
import type { ContractCase, ContractHost } from './contract-case.ts'

/** A source of chance. */
export interface RandomHost extends ContractHost {
  readonly random: Random
}

/** The rules of {@link Random}. The bounds are so wide that a good source misses them less than once in a billion runs. */
export function randomContract(make: () => Promise<RandomHost>): ContractCase[] {
  return contractCases(make, RULES)
}

const RULES: Readonly<Record<string, (host: RandomHost) => Promise<void>>> = {
  'numbers fill all 32 bits': async ({ random }) => {
    const counts = Array.from({ length: 32 }, () => 0)
    for (let draw = 0; draw < 4000; draw++) {
      const word = random.uint32()
      assert.ok(Number.isInteger(word) && word >= 0 && word < 2 ** 32)
      for (let bit = 0; bit < 32; bit++) if ((word >>> bit) & 1) counts[bit] = (counts[bit] as number) + 1
    }
    for (const count of counts) assert.ok(count > 1750 && count < 2250, `a bit was set ${count} times of 4000`)
  },
  'a number below n is whole, below n, and every one comes': async ({ random }) => {
    const counts = Array.from({ length: 6 }, () => 0)
    for (let draw = 0; draw < 6000; draw++) {
      const value = random.below(6)
      counts[value] = (counts[value] as number) + 1
    }
    for (const count of counts) assert.ok(count > 750 && count < 1250, `a face came ${count} times of 6000`)
    assert.equal(random.below(1), 0)
  },
  'n may be larger than 32 bits': async ({ random }) => {
    let largest = 0
    for (let draw = 0; draw < 100; draw++) {
      const value = random.below(2 ** 45)
      assert.ok(Number.isSafeInteger(value) && value >= 0 && value < 2 ** 45)
      largest = Math.max(largest, value)
    }
    assert.ok(largest > 2 ** 33)
  },
  'no number is below nothing': async ({ random }) => {
    for (const n of [0, -1, 1.5, Number.NaN]) assert.throws(() => random.below(n), { name: 'BrokenInvariant' })
  },
  'bytes are filled to the last one': async ({ random }) => {
    for (const size of [0, 1, 3, 16, 1001]) {
      const seen = new Set<number>()
      for (let time = 0; time < 8; time++) {
        const into = new Uint8Array(size)
        random.fill(into)
        if (size > 0) seen.add(into[size - 1] as number)
      }
      assert.ok(size === 0 || seen.size > 1, `the last of ${size} bytes is always the same`)
    }
  },
  'forks differ from their source, from each other, and with the same label': async ({ random }) => {
    const sources = [random, random.fork('a'), random.fork('b'), random.fork('a')]
    const draws = sources.map((source) => Array.from({ length: 4 }, () => source.uint32()).join(' '))
    assert.equal(new Set(draws).size, 4)
  },
}
