import { describe, expect, it } from 'vitest'
import {
  assign,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type Place,
} from '../../../src/workload/groups/subscription.ts'

const PLACES: readonly Place[] = [0, 1, 2].flatMap((partition) => [
  { topic: 'a', partition },
  { topic: 'b', partition },
])

describe('what members of a group tell each other', () => {
  it('comes back as it was', () => {
    expect(decodeSubscription(encodeSubscription(['a', 'b']))).toEqual(['a', 'b'])
    const places = decodeAssignment(encodeAssignment(PLACES))
    expect(places).toHaveLength(PLACES.length)
    expect(places).toEqual(expect.arrayContaining([...PLACES]))
    expect(decodeAssignment(new Uint8Array(0))).toEqual([])
  })
})

describe('an assignment', () => {
  it.each(['range', 'roundrobin'])('gives each partition to one of those that want it: %s', (how) => {
    const members = [
      { memberId: 'x', topics: ['a', 'b'] },
      { memberId: 'y', topics: ['a'] },
    ]
    const assigned = assign(how, members, PLACES)
    expect([...assigned.values()].flat()).toHaveLength(PLACES.length)
    expect(assigned.get('y')?.every(({ topic }) => topic === 'a')).toBe(true)
    expect(assigned.get('y')?.length).toBeGreaterThan(0)
  })

  it('leaves out what nobody wants', () => {
    expect(assign('range', [{ memberId: 'x', topics: [] }], PLACES)).toEqual(new Map([['x', []]]))
  })
})
