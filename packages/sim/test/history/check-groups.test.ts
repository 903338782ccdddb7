import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../src/history/check-history.ts'
import type { Operation } from '../../src/seams.ts'

const BASE: Omit<Operation, 'kind'> = {
  client: 'member-1',
  invokedUs: 100,
  endedUs: 200,
  outcome: 'ok',
  topic: 'topic',
  partition: 0,
  values: [],
  group: 'group',
  generation: 1,
}

function claim(owner: string, more: Partial<Operation> = {}): Operation {
  return { ...BASE, kind: 'claim', owner, ...more }
}

function commit(from: number, more: Partial<Operation> = {}): Operation {
  return { ...BASE, kind: 'commit', from, ...more }
}

function committed(answer: number, more: Partial<Operation> = {}): Operation {
  return { ...BASE, kind: 'committed', answer, invokedUs: 300, endedUs: 400, ...more }
}

function broken(...history: readonly Operation[]): string[] {
  return [...new Set(checkHistory(history).map(({ invariant }) => invariant))]
}

describe('a partition of a group', () => {
  it('is of one member in a generation, and of another in the next', () => {
    expect(broken(claim('a'), claim('a'), claim('b', { generation: 2 }))).toEqual([])
    expect(broken(claim('a'), claim('b', { partition: 1 }), claim('b', { group: 'other' }))).toEqual([])
    expect(broken(claim('a'), claim('b'))).toEqual(['two-owners'])
  })
})

describe('what a group committed', () => {
  it('is told from then on, or what was committed later', () => {
    expect(broken(commit(5), committed(5))).toEqual([])
    expect(broken(commit(5), commit(7, { outcome: 'info' }), committed(7))).toEqual([])
    expect(broken(commit(5, { endedUs: 350 }), committed(-1))).toEqual([])
    expect(broken(commit(5), commit(7, { outcome: 'info' }), committed(5))).toEqual([])
    expect(broken(commit(5), committed(4))).toContain('commit-lost')
    expect(broken(commit(5), committed(-1))).toEqual(['commit-forgotten'])
  })

  it('is told from then on once it was told', () => {
    const later = { invokedUs: 500, endedUs: 600 }
    const asked = [commit(5), commit(7, { outcome: 'info' }), committed(7)]
    expect(broken(...asked, committed(7, later))).toEqual([])
    expect(broken(...asked, committed(5, later))).toEqual(['commit-lost'])
  })

  it('goes back where a commit came late that its member had given up, while the generation lasts', () => {
    const given = commit(3, { invokedUs: 50, endedUs: 90, outcome: 'info' })
    const next = { invokedUs: 500, endedUs: 600 }
    expect(broken(given, commit(5), committed(3), commit(4, next))).toEqual([])
    expect(
      broken(given, commit(5), committed(3), committed(5, next), commit(4, { invokedUs: 700, endedUs: 800 })),
    ).toEqual(['commit-moved-back'])
    expect(broken({ ...given, error: 25 }, commit(5), committed(3))).toEqual(['commit-lost'])
    expect(broken(given, commit(5, { generation: 2 }), committed(3))).toEqual(['commit-lost'])
    expect(broken(given, commit(5), committed(4))).toContain('commit-lost')
    expect(broken(given, commit(5), commit(3, { invokedUs: 250, endedUs: 260 }))).toEqual(['commit-moved-back'])
  })

  it('is what somebody committed', () => {
    expect(broken(committed(3))).toEqual(['phantom-commit'])
    expect(broken(commit(3, { invokedUs: 500, endedUs: 600 }), committed(3))).toEqual(['phantom-commit'])
  })

  it('does not go back', () => {
    const later = { invokedUs: 250, endedUs: 260 }
    expect(broken(commit(5), commit(6, later))).toEqual([])
    expect(broken(commit(5), commit(4, { ...later, outcome: 'info' }))).toEqual([])
    expect(broken(commit(5), commit(4, later))).toEqual(['commit-moved-back'])
  })
})
