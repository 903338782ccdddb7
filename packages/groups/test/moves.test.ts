import { expect, test } from 'vitest'
import { Moves } from '../src/moves.ts'

test('partitions that went the same way are told together, a hundred of them, and all are counted', () => {
  const moves = new Moves()
  for (let partition = 0; partition < 3; partition++) moves.add({ topic: 't' }, partition, { from: null, to: 'a' })
  moves.add({ topic: 't' }, 3, { from: 'a', to: 'b' })
  for (let partition = 0; partition < 200; partition++) moves.add({ topic: 'u' }, partition, { from: 'b', to: 'a' })
  expect(moves.count).toBe(204)
  expect(moves.list.map(({ topic, from, to, partitions }) => [topic, from, to, partitions.length])).toEqual([
    ['t', null, 'a', 3],
    ['t', 'a', 'b', 1],
    ['u', 'b', 'a', 96],
  ])
})
