import { describe, expect, it } from 'vitest'
import { Operator } from '../../src/run/operator.ts'
import type { SimNode } from '../../src/run/sim-node.ts'

const S = 1_000_000

/** What the operator had led within so many seconds, of one partition that looks like this. */
function elections(
  state: { leader?: number; isr?: number[]; elr?: number[] },
  mayForce: boolean,
  seconds: number,
): string[] {
  const partition = { topicId: 't', topic: 'events', partition: 0, leader: -1, isr: [], elr: [], ...state }
  const image = { topics: new Map([['t', { partitions: [partition] }]]) }
  const node = { running: { controller: { active: true, image } } } as unknown as SimNode
  const done: string[] = []
  const operator = new Operator({
    nodes: [node],
    mayForce: () => mayForce,
    elect: (topic, at) => void done.push(`${topic}-${at}`),
  })
  for (let at = 0; at < seconds; at++) operator.look(at * S)
  return done
}

describe('the operator of a healed cluster', () => {
  it('has a partition led again that waits for copies which nobody has, once it has waited long', () => {
    expect(elections({}, true, 10)).toEqual([])
    expect(elections({}, true, 11)).toEqual(['events-0'])
    expect(elections({}, true, 21)).toEqual(['events-0', 'events-0'])
  })

  it('never touches one whose better copy may come back', () => {
    expect(elections({}, false, 100)).toEqual([])
  })

  it.each([{ leader: 1, isr: [1] }, { elr: [2] }])('lets the cluster see to %j', (state) => {
    expect(elections(state, true, 100)).toEqual([])
  })
})
