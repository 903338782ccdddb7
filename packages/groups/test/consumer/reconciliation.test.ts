import { describe, expect, test } from 'vitest'
import { BLANK, MemberState, reconcile } from '../../src/consumer/reconciliation.ts'
import type { Current, Goal } from '../../src/consumer/reconciliation.ts'

function goal(epoch: number, partitions: readonly number[], taken: readonly number[] = []): Goal {
  return { epoch, target: new Map([['t', partitions]]), isFree: (_, partition) => !taken.includes(partition) }
}

function plain({ memberEpoch, previousEpoch, state, assigned, revoking }: Current): unknown {
  return { memberEpoch, previousEpoch, state, assigned: entries(assigned), revoking: entries(revoking) }
}

function entries(holding: Current['assigned']): [number, number][] {
  return [...(holding.get('t') ?? [])]
}

const owned = (...partitions: number[]) => [{ topicId: 't', partitions }]

describe('a member on its way to its target', () => {
  const inFive = reconcile(BLANK, goal(5, [0, 1]), [])

  test('that has nothing gets what is free and waits for the rest', () => {
    expect(plain(reconcile(BLANK, goal(5, [0, 1, 2], [1]), []))).toEqual({
      memberEpoch: 5,
      previousEpoch: 0,
      state: MemberState.waiting,
      assigned: [
        [0, 5],
        [2, 5],
      ],
      revoking: [],
    })
  })

  test('gets what it waited for in the same epoch, and nothing changes before', () => {
    const waiting = reconcile(BLANK, goal(5, [0, 1], [1]), [])
    expect(reconcile(waiting, goal(5, [0, 1], [1]), null)).toBe(waiting)
    expect(plain(reconcile(waiting, goal(5, [0, 1]), null))).toEqual(plain({ ...inFive, previousEpoch: 0 }))
  })

  test('stays in its epoch until it gave up what it is not to have', () => {
    const told = reconcile(inFive, goal(6, [1, 2]), null)
    expect(plain(told)).toEqual({
      memberEpoch: 5,
      previousEpoch: 0,
      state: MemberState.revoking,
      assigned: [[1, 5]],
      revoking: [[0, 5]],
    })
    expect(reconcile(told, goal(6, [1, 2]), owned(0, 1))).toBe(told)
    expect(reconcile(told, goal(7, [0]), null)).toBe(told)
    expect(plain(reconcile(told, goal(6, [1, 2]), owned(1)))).toEqual({
      memberEpoch: 6,
      previousEpoch: 5,
      state: MemberState.stable,
      assigned: [
        [1, 5],
        [2, 6],
      ],
      revoking: [],
    })
  })

  test('gives up at once what it does not own', () => {
    expect(plain(reconcile(inFive, goal(6, [1]), owned(1)))).toMatchObject({
      memberEpoch: 6,
      state: MemberState.stable,
    })
  })

  test('that gave something up and has to give up more is an epoch on', () => {
    const told = reconcile(inFive, goal(8, [1]), null)
    expect(plain(reconcile(told, goal(9, [2]), owned(1)))).toMatchObject({
      memberEpoch: 6,
      previousEpoch: 5,
      state: MemberState.revoking,
      assigned: [],
      revoking: [[1, 5]],
    })
  })

  test('gets back what it gave up when it is to have it again', () => {
    const told = reconcile(inFive, goal(6, [1]), null)
    const back = reconcile(told, goal(7, [0, 1]), owned(1))
    expect(plain(back)).toMatchObject({
      memberEpoch: 7,
      previousEpoch: 5,
      state: MemberState.stable,
      assigned: [
        [0, 7],
        [1, 5],
      ],
    })
  })

  test('with nothing to do stays the same', () => {
    expect(reconcile(inFive, goal(5, [0, 1]), owned(0, 1))).toBe(inFive)
  })

  test('whose target is the same in a later epoch goes there', () => {
    expect(plain(reconcile(inFive, goal(9, [0, 1]), null))).toMatchObject({ memberEpoch: 9, previousEpoch: 5 })
  })
})
