import { describe, expect, it } from 'vitest'
import { withoutDamage } from '../../src/run/found-damage.ts'
import type { Operation } from '../../src/seams.ts'
import { DAMAGED } from '../../src/workload/values.ts'

function operation(
  kind: 'send' | 'poll',
  partition: number,
  values: readonly (readonly [string, number])[],
): Operation {
  const seen = values.map(([value, offset]) => ({ value, offset }))
  return { client: 'c', kind, invokedUs: 0, endedUs: 1, outcome: 'ok', topic: 't', partition, values: seen }
}

/** What is left of the values of the only poll. */
function read(history: readonly Operation[], damage = true): readonly string[] {
  const polls = withoutDamage(history, damage).filter(({ kind }) => kind === 'poll')
  return polls.flatMap(({ values }) => values.map(({ value }) => value))
}

const sent = [
  operation('send', 0, [['a', 3]]),
  operation('send', 1, [['x', 2]]),
  operation('send', 1, [['b', 3]]),
  operation('send', 1, [['c', 4]]),
]

describe('damage that clients found', () => {
  it('is no value, nor is what came after it, and the next poll begins anew', () => {
    const polls = [
      operation('poll', 1, [
        ['x', 2],
        [`${DAMAGED}7`, 3],
        ['c', 4],
      ]),
      operation('poll', 1, [['c', 4]]),
    ]
    const seen = withoutDamage([...sent, ...polls], true).filter(({ kind }) => kind === 'poll')
    expect(seen.map(({ values, moved }) => [values.length, moved])).toEqual([
      [1, false],
      [1, true],
    ])
  })

  it('may be a whole batch of another partition at its own offset', () => {
    expect(
      read([
        ...sent,
        operation('poll', 1, [
          ['x', 2],
          ['a', 3],
        ]),
      ]),
    ).toEqual(['x'])
  })

  it('is not a value of another partition at another offset', () => {
    expect(read([...sent, operation('poll', 1, [['a', 2]])])).toEqual(['a'])
  })

  it('is not there where no disk was damaged', () => {
    expect(
      read(
        [
          ...sent,
          operation('poll', 1, [
            ['x', 2],
            ['a', 3],
          ]),
        ],
        false,
      ),
    ).toEqual(['x', 'a'])
  })
})
