import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../src/history/check-history.ts'
import { withoutAcceptedLoss } from '../../src/run/accepted-loss.ts'
import type { Operation } from '../../src/seams.ts'

interface At {
  readonly partition?: number
  readonly endedUs: number
  readonly offset: number
}

function operation(kind: 'send' | 'poll', value: string, { partition = 0, endedUs, offset }: At): Operation {
  const invokedUs = endedUs - 5
  const values = [{ value, offset }]
  return { client: 'c', kind, invokedUs, endedUs, outcome: 'ok', topic: 't', partition, values, acks: -1, moved: true }
}

function broken(history: readonly Operation[], losses: ReadonlyMap<string, number>): readonly string[] {
  return checkHistory(withoutAcceptedLoss(history, losses)).map(({ invariant }) => invariant)
}

/** What was at offset 0 of a partition is replaced by something else. */
function replaced(partition: number): Operation[] {
  return [
    operation('send', `old-${partition}`, { partition, endedUs: 10, offset: 0 }),
    operation('poll', `old-${partition}`, { partition, endedUs: 20, offset: 0 }),
    operation('send', `new-${partition}`, { partition, endedUs: 110, offset: 0 }),
    { ...operation('poll', `new-${partition}`, { partition, endedUs: 120, offset: 0 }), final: true },
  ]
}

describe('a loss that the operator accepted', () => {
  it('is none of what was acknowledged and read before, and only in its partition', () => {
    const losses = new Map([['t-0', 50]])
    expect(broken(replaced(0), losses)).toEqual([])
    expect(broken(replaced(1), losses)).toContain('inconsistent-offsets')
    expect(broken(replaced(0), new Map())).toContain('inconsistent-offsets')
  })

  it('excuses nothing that was promised since', () => {
    expect(broken(replaced(0), new Map([['t-0', 5]]))).toContain('inconsistent-offsets')
    const lost = operation('send', 'after', { endedUs: 130, offset: 1 })
    expect(broken([...replaced(0), lost], new Map([['t-0', 50]]))).toContain('unseen')
  })

  it('lets groups begin again where their partition, or the offsets of groups, were lost', () => {
    const at = (offset: number, endedUs: number): Operation => {
      const sent = operation('send', '', { endedUs, offset })
      return { ...sent, kind: 'commit', values: [], group: 'g', generation: 1, from: offset }
    }
    const history = [at(9, 10), at(9, 60), at(3, 110)]
    expect(broken(history, new Map([['t-0', 50]]))).toEqual([])
    expect(broken(history, new Map([['__consumer_offsets-0', 50]]))).toEqual([])
    expect(broken(history, new Map([['t-1', 50]]))).toEqual(['commit-moved-back'])
  })

  it('lets a client hear that the epoch ends before its position', () => {
    const told = operation('poll', '', { endedUs: 110, offset: 0 })
    const lookup: Operation = { ...told, kind: 'lookup', values: [], asked: 'epoch-end', from: 9, answer: 3 }
    expect(broken([lookup], new Map([['t-0', 50]]))).toEqual([])
    expect(broken([lookup], new Map([['t-1', 50]]))).toEqual(['position-lost'])
  })

  it('leaves what survived its sender', () => {
    const survivor = { ...operation('poll', 'old-0', { endedUs: 120, offset: 7 }), final: true }
    const history = [operation('send', 'old-0', { endedUs: 10, offset: 7 }), survivor]
    expect(broken(history, new Map([['t-0', 50]]))).toEqual([])
  })
})
