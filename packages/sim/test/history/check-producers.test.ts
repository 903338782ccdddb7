import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../src/history/check-history.ts'
import type { Operation } from '../../src/seams.ts'

const BASE = { invokedUs: 100, endedUs: 200, topic: 'topic', partition: 0 }

function send(value: string, offset: number, sequence: number, more: Partial<Operation> = {}): Operation {
  return {
    ...BASE,
    client: 'client-1',
    kind: 'send',
    outcome: 'info',
    values: [{ value, offset: -1 }],
    acks: -1,
    copies: 1,
    connection: -1,
    numbered: { producerId: 7, epoch: 0, sequence },
    ...(offset < 0 ? {} : { outcome: 'ok', values: [{ value, offset }] }),
    ...more,
  }
}

function finalPoll(...names: readonly string[]): Operation {
  const values = names.map((value, offset) => ({ value, offset }))
  const kind = { client: 'client-final', kind: 'poll', outcome: 'ok', from: 0, final: true } as const
  return { ...BASE, ...kind, invokedUs: 300, endedUs: 400, values }
}

function init(producerId: number): Operation {
  const numbered = { producerId, epoch: 0, sequence: 0 }
  const kind = { client: 'client-1', kind: 'init-producer', outcome: 'ok' } as const
  return { ...BASE, ...kind, topic: '', partition: -1, values: [], numbered }
}

function broken(...history: readonly Operation[]): string[] {
  return [...new Set(checkHistory(history).map(({ invariant }) => invariant))]
}

describe('what an idempotent producer wrote', () => {
  it('is in the log in the order of its numbers, without a gap', () => {
    expect(broken(send('a', 0, 0), send('b', -1, 1), send('c', 2, 2), finalPoll('a', 'b', 'c'))).toEqual([])
    expect(broken(send('a', -1, 0), send('b', -1, 1), finalPoll('b', 'a'))).toContain('producer-order')
    expect(broken(send('a', -1, 0), send('b', -1, 1), finalPoll('b'))).toEqual(['producer-gap'])
  })

  it('may lack what was given up before the producer went on under another epoch', () => {
    const next = send('b', 0, 0, { numbered: { producerId: 7, epoch: 1, sequence: 0 } })
    expect(broken(send('a', -1, 5), next, finalPoll('b'))).toEqual([])
  })

  it('is not there twice', () => {
    expect(broken(send('a', 0, 0), finalPoll('a', 'a'))).toContain('duplicate')
  })

  it('may be there again once it was deleted, and out of order', () => {
    const deletion: Operation = {
      ...BASE,
      client: 'admin',
      kind: 'admin',
      outcome: 'ok',
      values: [],
      asked: 'delete-records',
      from: 1,
    }
    expect(broken(send('a', 0, 0), deletion, finalPoll('a', 'a'))).toEqual([])
  })
})

describe('a producer id', () => {
  it('is given once', () => {
    expect(broken(init(1), init(2))).toEqual([])
    expect(broken(init(1), init(1))).toEqual(['producer-id-given-twice'])
  })
})
