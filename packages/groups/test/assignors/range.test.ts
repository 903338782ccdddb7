import { describe, expect, test } from 'vitest'
import { range } from '../../src/assignors/range.ts'
import { counts, expectComplete, member, plain } from './members.ts'

describe('the range assignor', () => {
  test('gives neighbouring partitions, the first members one more', () => {
    const members = [member('c', ['t']), member('a', ['t']), member('b', ['t'])]
    expect(plain(range(members, counts({ t: 7 })))).toEqual({
      a: ['t-0', 't-1', 't-2'],
      b: ['t-3', 't-4'],
      c: ['t-5', 't-6'],
    })
  })

  test('co-partitions topics of the same size', () => {
    const members = [member('a', ['t', 'u']), member('b', ['t', 'u']), member('c', ['u', 't'])]
    const result = range(members, counts({ t: 5, u: 5 }))
    for (const assignment of result.values()) expect(assignment.get('t')).toEqual(assignment.get('u'))
  })

  test('leaves members without any where a topic has less partitions than subscribers', () => {
    const members = [member('a', ['t']), member('b', ['t']), member('c', ['u'])]
    const sizes = counts({ t: 1, u: 2 })
    const result = range(members, sizes)
    expectComplete(members, sizes, result)
    expect(plain(result)).toEqual({ a: ['t-0'], b: [], c: ['u-0', 'u-1'] })
  })

  test('keeps a static member in its place when it comes back by another id', () => {
    const sizes = counts({ t: 4 })
    const before = range([member('x', ['t'], { instanceId: 'one' }), member('b', ['t'])], sizes)
    const after = range([member('z', ['t'], { instanceId: 'one' }), member('b', ['t'])], sizes)
    expect(after.get('z')).toEqual(before.get('x'))
  })

  test('of nobody is nothing', () => {
    expect(range([], counts({ t: 3 })).size).toBe(0)
  })
})
