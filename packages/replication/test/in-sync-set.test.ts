import { describe, expect, it } from 'vitest'
import { InSyncSet } from '../src/in-sync-set.ts'

function setOf(...isr: readonly number[]): InSyncSet {
  let requests = 0
  return new InSyncSet(isr, 5, () => ++requests)
}

function membersOf(...ids: readonly number[]): { brokerId: number; brokerEpoch: number }[] {
  return ids.map((brokerId) => ({ brokerId, brokerEpoch: 100 + brokerId }))
}

function applied(isr: readonly number[], partitionEpoch: number) {
  return { kind: 'applied', isr, partitionEpoch, leaderEpoch: 1 } as const
}

describe('the ISR a leader may count on', () => {
  it('holds the old members while a shrink is pending', () => {
    const set = setOf(1, 2, 3)
    set.propose(1, membersOf(1, 2))
    expect(set.maximal).toEqual([1, 2, 3])
  })

  it('holds the new member as soon as an expansion is pending', () => {
    const set = setOf(1, 2)
    set.propose(1, membersOf(1, 2, 3))
    expect(set.maximal).toEqual([1, 2, 3])
    expect(set.committed).toEqual([1, 2])
  })

  it('keeps the confirmed members after a reply, until metadata has caught up', () => {
    const set = setOf(1, 2, 3)
    const { requestId } = set.propose(1, membersOf(1))
    expect(set.reply(requestId, applied([1], 6), 1, 0)).toBe('committed')
    expect([set.committed, set.maximal]).toEqual([[1], [1, 2, 3]])
    set.confirm([1], 6)
    expect(set.maximal).toEqual([1])
  })

  it('does not take older metadata for news about what a reply said', () => {
    const set = setOf(1, 2, 3)
    const { requestId } = set.propose(1, membersOf(1, 2))
    set.reply(requestId, applied([1, 2], 6), 1, 0)
    set.confirm([1, 2, 3], 5)
    expect(set.committed).toEqual([1, 2])
    expect(set.partitionEpoch).toBe(6)
  })

  it('is resolved by metadata with a later partition epoch, whatever became of the request', () => {
    const set = setOf(1, 2)
    const { requestId } = set.propose(1, membersOf(1, 2, 3))
    set.confirm([1], 6)
    expect([set.pending, set.maximal]).toEqual([null, [1]])
    expect(set.reply(requestId, applied([1, 2, 3], 6), 1, 0)).toBe('none')
    expect(set.committed).toEqual([1])
  })

  it('is not resolved by metadata of the partition epoch that the request named', () => {
    const set = setOf(1, 2)
    set.propose(1, membersOf(1, 2, 3))
    set.confirm([1, 2], 5)
    expect(set.maximal).toEqual([1, 2, 3])
  })

  it('takes a proposal back only when it was certainly not applied', () => {
    for (const error of [107, 42, 55]) {
      const set = setOf(1, 2)
      const { requestId } = set.propose(1, membersOf(1, 2, 3))
      expect([error, set.reply(requestId, { kind: 'rejected', error }, 1, 0), set.maximal]).toEqual([
        error,
        'reverted',
        [1, 2],
      ])
    }
    for (const error of [74, 95, 41, 108, 77, 3, -1, 7]) {
      const set = setOf(1, 2)
      const { requestId } = set.propose(1, membersOf(1, 2, 3))
      expect([error, set.reply(requestId, { kind: 'rejected', error }, 1, 0), set.maximal]).toEqual([
        error,
        'none',
        [1, 2, 3],
      ])
    }
  })

  it('repeats a proposal whose answer was lost, with the same epochs and another request id', () => {
    const set = setOf(1, 2)
    const first = set.propose(1, membersOf(1, 2, 3))
    expect(set.reply(first.requestId, { kind: 'lost' }, 1, 0)).toBe('again')
    const second = set.pending?.request
    expect(second).toEqual({ ...first, requestId: first.requestId + 1 })
    expect(set.reply(first.requestId, applied([1, 2, 3], 6), 1, 0)).toBe('none')
  })

  it('asks again about a proposal in doubt, with growing patience', () => {
    const set = setOf(1, 2)
    const { requestId } = set.propose(1, membersOf(1, 2, 3))
    set.reply(requestId, { kind: 'rejected', error: 41 }, 1, 0)
    expect(set.retryInDoubt(99_999)).toBeNull()
    const again = set.retryInDoubt(100_000)
    expect(again?.isr.map((member) => member.brokerId)).toEqual([1, 2, 3])
    expect(set.retryInDoubt(200_000)).toBeNull()
    set.reply(again?.requestId ?? -1, { kind: 'rejected', error: 41 }, 1, 200_000)
    expect(set.retryInDoubt(399_999)).toBeNull()
    expect(set.retryInDoubt(400_000)).not.toBeNull()
  })

  it('does not believe an answer of another leader epoch', () => {
    const set = setOf(1, 2)
    const { requestId } = set.propose(1, membersOf(1, 2, 3))
    const result = { ...applied([1, 2, 3], 6), leaderEpoch: 2 }
    expect(set.reply(requestId, result, 1, 0)).toBe('none')
    expect([set.committed, set.maximal]).toEqual([
      [1, 2],
      [1, 2, 3],
    ])
  })

  it('is content when the proposal equals the state', () => {
    const set = setOf(1, 2)
    const { requestId } = set.propose(1, membersOf(1, 2))
    expect(set.reply(requestId, applied([1, 2], 5), 1, 0)).toBe('committed')
    expect(set.pending).toBeNull()
  })
})
