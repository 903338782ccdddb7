import { expect, test } from 'vitest'
import { CryptoRandom, randomContract, SeededRandom, untilReal } from '../src/index.ts'
import type { Random } from '@millrace/base'
import { holdTo } from './contracts.ts'

const host = (random: Random) => async () => ({ random, until: untilReal, end: async () => {} })

holdTo('chance of the machine', randomContract(host(new CryptoRandom())))
holdTo('chance from a seed', randomContract(host(new SeededRandom('a seed'))))

function draws(random: Random, count = 5): number[] {
  return Array.from({ length: count }, () => random.uint32())
}

test('the same seed gives the same numbers and bytes, another seed others', () => {
  expect(draws(new SeededRandom('one'))).toEqual(draws(new SeededRandom('one')))
  expect(draws(new SeededRandom('one'))).not.toEqual(draws(new SeededRandom('two')))
  const [first, second] = [new Uint8Array(21), new Uint8Array(21)]
  new SeededRandom('one').fill(first)
  new SeededRandom('one').fill(second)
  expect(first).toEqual(second)
})

test('a fork depends on its label and not on what was drawn before', () => {
  const fresh = new SeededRandom('seed')
  const used = new SeededRandom('seed')
  draws(used, 100)
  expect(draws(used.fork('disk'))).toEqual(draws(fresh.fork('disk')))
  expect(draws(used.fork('net'))).not.toEqual(draws(fresh.fork('disk')))
})

test('seeds that differ in one character have nothing in common', () => {
  const seen = new Set<number>()
  for (let seed = 0; seed < 1000; seed++) for (const draw of draws(new SeededRandom(`seed ${seed}`), 4)) seen.add(draw)
  expect(seen.size).toBeGreaterThan(3995)
})
