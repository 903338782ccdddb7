import { describe, expect, it } from 'vitest'
import { SeedSearch } from '../../src/planted/seed-search.ts'
import { deadReport } from '../../src/run/jobs.ts'
import type { RunReport } from '../../src/run/report.ts'

const bug = { name: 'a bug', patches: [] }

function ran(seed: number, invariant: string | null): RunReport {
  const violation = invariant === null ? null : { invariant, detail: '', atUs: 0, event: 0 }
  return { ...deadReport(seed, ''), realMs: 10, violation }
}

describe('the search for a bug', () => {
  it('gives the seeds out in order, and ends with the last', () => {
    const search = new SeedSearch(bug, { first: 5, most: 2 })
    expect([search.take(), search.take(), search.take()]).toEqual([5, 6, null])
    search.ran(ran(5, null))
    expect(search.idle).toBe(false)
    search.ran(ran(6, null))
    expect([search.idle, search.hasNext, search.lowest, search.realMs]).toEqual([true, false, null, 20])
  })

  it('stops at a catch, and the lowest seed counts, whichever process was faster', () => {
    const search = new SeedSearch(bug, { first: 1, most: 100 })
    search.take()
    search.take()
    search.ran(ran(2, 'StrongIsr'))
    expect([search.take(), search.idle]).toEqual([null, false])
    search.ran(ran(1, 'lost-write'))
    expect(search.lowest).toEqual({ seed: 1, invariant: 'lost-write' })
    expect(search.countTo(1)).toBe(1)
  })

  it('goes on where the seed fails without the bug too', () => {
    const search = new SeedSearch(bug, { first: 1, most: 100 })
    search.ran(ran(search.take() as number, 'liveness'))
    search.drop(1)
    expect([search.lowest, search.take()]).toEqual([null, 2])
  })

  it('takes no process that ended or hung for a catch', () => {
    const search = new SeedSearch(bug, { first: 1, most: 100 })
    search.ran(deadReport(search.take() as number, 'the process ended (1)'))
    expect([search.lowest, search.take()]).toEqual([null, 2])
  })
})
