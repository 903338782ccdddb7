import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { countPartitions } from '../../src/assignors/assignment.ts'
import type { Assignment, AssignorMember, PartitionCounts } from '../../src/assignors/assignment.ts'
import { uniform } from '../../src/assignors/uniform.ts'
import { after, counts, expectComplete, member, plain, texts } from './members.ts'

function loads(result: ReadonlyMap<string, Assignment>): number[] {
  return [...result.values()].map(countPartitions).sort((a, b) => a - b)
}

function movedFrom(members: readonly AssignorMember[], result: ReadonlyMap<string, Assignment>): number {
  return members.reduce((sum, { memberId, previous }) => {
    const has = new Set(texts(result.get(memberId) ?? new Map()))
    return sum + texts(previous).filter((one) => !has.has(one)).length
  }, 0)
}

/** The smallest sum of squared loads that any division has, by trying all of them. */
function leastSquares(members: readonly AssignorMember[], sizes: PartitionCounts): number {
  const choices = [...sizes].flatMap(([topic, count]) => {
    const subscribers = members.flatMap(({ topics }, at) => (topics.has(topic) ? [at] : []))
    return subscribers.length === 0 ? [] : Array.from({ length: count }, () => subscribers)
  })
  const load = members.map(() => 0)
  const search = (at: number): number => {
    const options = choices[at]
    if (options === undefined) return load.reduce((sum, one) => sum + one * one, 0)
    return Math.min(
      ...options.map((option) => {
        load[option] = (load[option] as number) + 1
        const least = search(at + 1)
        load[option]--
        return least
      }),
    )
  }
  return search(0)
}

describe('the uniform assignor, where all subscribe to the same topics', () => {
  test('deals a part of every topic to every member', () => {
    const members = [member('a', ['t', 'u']), member('b', ['t', 'u'])]
    expect(plain(uniform(members, counts({ t: 4, u: 2 })))).toEqual({
      a: ['t-0', 't-2', 'u-0'],
      b: ['t-1', 't-3', 'u-1'],
    })
  })

  test('takes from every topic for a member that joins', () => {
    const two = [member('a', ['t', 'u']), member('b', ['t', 'u'])]
    const sizes = counts({ t: 6, u: 6 })
    const three = [...after(two, uniform(two, sizes)), member('c', ['t', 'u'])]
    const result = uniform(three, sizes)
    expect(loads(result)).toEqual([4, 4, 4])
    expect(movedFrom(three, result)).toBe(4)
    expect([...(result.get('c') ?? [])].map(([, partitions]) => partitions.length)).toEqual([2, 2])
  })

  test('gives what a member leaves behind to the others and moves nothing else', () => {
    const three = [member('a', ['t']), member('b', ['t']), member('c', ['t'])]
    const sizes = counts({ t: 10 })
    const two = after(three, uniform(three, sizes)).slice(1)
    const result = uniform(two, sizes)
    expectComplete(two, sizes, result)
    expect([loads(result), movedFrom(two, result)]).toEqual([[5, 5], 0])
  })

  test('forgets partitions and topics that are gone, and settles whom a partition belongs to that two claim', () => {
    const previous = new Map([
      ['gone', [0]],
      ['t', [0, 1, 7]],
    ])
    const members = [member('a', ['t'], { previous }), member('b', ['t'], { previous })]
    const result = uniform(members, counts({ t: 2 }))
    expectComplete(members, counts({ t: 2 }), result)
    expect(loads(result)).toEqual([1, 1])
  })

  test('gives what is left over to who is first when there are more members than partitions', () => {
    const members = [member('c', ['t']), member('b', ['t']), member('a', ['t'])]
    expect(plain(uniform(members, counts({ t: 2 })))).toEqual({ a: ['t-0'], b: ['t-1'], c: [] })
  })

  test('of nobody, of no topic and of empty topics is nothing', () => {
    expect(uniform([], counts({})).size).toBe(0)
    expect(plain(uniform([member('a', [])], counts({})))).toEqual({ a: [] })
    expect(plain(uniform([member('a', ['t'])], counts({ t: 0 })))).toEqual({ a: [] })
  })

  test('differs by one at most and moves the least, whatever was before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 8 }),
        fc.record({ t: fc.nat(30), u: fc.nat(30) }),
        fc.record({ t: fc.nat(30), u: fc.nat(30) }),
        (memberCount, laterCount, before, later) => {
          const ids = (count: number): AssignorMember[] =>
            Array.from({ length: count }, (_, at) => member(`m${at}`, ['t', 'u']))
          const first = ids(memberCount)
          const given = uniform(first, counts(before))
          const next = ids(laterCount).map((one) => ({ ...one, previous: given.get(one.memberId) ?? new Map() }))
          const result = uniform(next, counts(later))
          expectComplete(next, counts(later), result)
          const has = loads(result)
          expect((has.at(-1) as number) - (has[0] as number)).toBeLessThanOrEqual(1)
          expect(uniform([...next].reverse(), counts(later))).toEqual(result)
          expectLeastMoved(next, counts(later), result)
          expect(movedFrom(after(next, result), uniform(after(next, result), counts(later)))).toBe(0)
        },
      ),
      { numRuns: 300, seed: 848 },
    )
  })
})

/** As much is kept as the quotas allow: each member up to the share, and as many as there are odd partitions one more. */
function expectLeastMoved(
  members: readonly AssignorMember[],
  sizes: PartitionCounts,
  result: ReadonlyMap<string, Assignment>,
): void {
  const total = [...sizes.values()].reduce((sum, one) => sum + one, 0)
  const share = Math.floor(total / members.length)
  let odd = total % members.length
  let kept = 0
  let best = 0
  for (const { memberId, previous } of members) {
    const still = texts(previous).filter((one) => exists(one, sizes))
    const has = new Set(texts(result.get(memberId) ?? new Map()))
    kept += still.filter((one) => has.has(one)).length
    best += Math.min(still.length, share)
    if (still.length > share && odd > 0) {
      odd--
      best++
    }
  }
  expect(kept).toBe(best)
}

function exists(text: string, sizes: PartitionCounts): boolean {
  const [topic, partition] = text.split('-')
  return Number(partition) < (sizes.get(topic as string) ?? 0)
}

describe('the uniform assignor, where subscriptions differ', () => {
  test('gives to who has no other choice first', () => {
    const members = [member('a', ['t', 'u']), member('b', ['u'])]
    const result = uniform(members, counts({ t: 2, u: 2 }))
    expect(plain(result)).toEqual({ a: ['t-0', 't-1'], b: ['u-0', 'u-1'] })
  })

  test('relieves the fullest along a chain of members', () => {
    const members = [
      member('a', ['t', 'u'], { previous: new Map([['t', [0, 1, 2]]]) }),
      member('b', ['t', 'u'], { previous: new Map([['u', [0]]]) }),
      member('c', ['u'], {}),
    ]
    const result = uniform(members, counts({ t: 3, u: 1 }))
    expect(loads(result)).toEqual([1, 1, 2])
    const chained = [
      member('a', ['t'], { previous: new Map([['t', [0, 1]]]) }),
      member('b', ['t', 'u'], { previous: new Map([['u', [0]]]) }),
      member('c', ['u']),
    ]
    expect(plain(uniform(chained, counts({ t: 2, u: 1 })))).toEqual({ a: ['t-0'], b: ['t-1'], c: ['u-0'] })
  })

  test('moves nothing when nothing changed', () => {
    const members = [member('a', ['t', 'u']), member('b', ['u', 'v']), member('c', ['v'])]
    const sizes = counts({ t: 5, u: 9, v: 4 })
    const settled = after(members, uniform(members, sizes))
    expect(movedFrom(settled, uniform(settled, sizes))).toBe(0)
  })

  test('is as even as any division can be, whatever was before', () => {
    const topics = fc.subarray(['t', 'u', 'v', 'w'])
    fc.assert(
      fc.property(
        fc.array(topics, { minLength: 1, maxLength: 4 }),
        fc.array(topics, { minLength: 1, maxLength: 4 }),
        fc.record({ t: fc.nat(3), u: fc.nat(2), v: fc.nat(2), w: fc.nat(2) }),
        (before, later, sizes) => {
          const given = uniform(
            before.map((one, at) => member(`m${at}`, one)),
            counts(sizes),
          )
          const members = later.map((one, at) => member(`m${at}`, one, { previous: given.get(`m${at}`) ?? new Map() }))
          const result = uniform(members, counts(sizes))
          expectComplete(members, counts(sizes), result)
          expect(loads(result).reduce((sum, one) => sum + one * one, 0)).toBe(leastSquares(members, counts(sizes)))
          expect(uniform([...members].reverse(), counts(sizes))).toEqual(result)
        },
      ),
      { numRuns: 300, seed: 848 },
    )
  })
})
