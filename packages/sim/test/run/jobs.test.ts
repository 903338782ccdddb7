import { describe, expect, it } from 'vitest'
import { runInWorker, runJobs } from '../../src/run/jobs.ts'
import { seedsOf } from '../../src/run/many.ts'
import { addReport, newSummary, printSummary, type RunReport } from '../../src/run/report.ts'

const report: RunReport = {
  seed: 7,
  digest: 'ab',
  violation: null,
  events: 1_000,
  virtualUs: 60e6,
  realMs: 500,
  faults: { kill: 2 },
  paths: { 'unclean election': 2, 'torn tail cut': 0 },
  counts: { acked: 3, failed: 0, unknown: 1, valuesRead: 9, incarnations: 5 },
  story: [],
}

describe('many runs', () => {
  it('give the seeds from the first on, so many, and none after the time is over', () => {
    const { seed } = seedsOf({ first: 5, count: 2, seconds: null, jobs: 1 })
    expect([seed(), seed(), seed()]).toEqual([5, 6, null])
    expect(seedsOf({ first: 5, count: 2, seconds: 0, jobs: 1 }).seed()).toBeNull()
  })

  it('are summed up, idle ones and violations counted', () => {
    const summary = newSummary()
    addReport(summary, report)
    addReport(summary, { ...report, counts: { ...report.counts, acked: 0 } })
    addReport(summary, { ...report, violation: { invariant: 'liveness', detail: '', atUs: 0, event: 0 } })
    expect(printSummary(summary).split('\n')).toEqual([
      '3 seeds, 1 violations, 1 idle',
      '3,000 events, 2,000 events/s per core, 3 virtual minutes',
      '6 sends acknowledged, 27 values read, 15 lives of nodes',
      'faults: kill 6',
      'seeds that took a path: unclean election 3, torn tail cut 0',
    ])
  })

  it('come from processes of their own, each seed once', async () => {
    const seeds = [4, 48, 56]
    const done: RunReport[] = []
    await runJobs(
      2,
      () => seeds.shift() ?? null,
      (each) => done.push(each),
    )
    expect(done.map(({ seed }) => seed).sort((a, b) => a - b)).toEqual([4, 48, 56])
    expect(done.map(({ violation }) => violation)).toEqual([null, null, null])
    for (const { events, digest } of done) {
      expect(events).toBeGreaterThan(1_000)
      expect(digest).toMatch(/^[0-9a-f]{16}$/)
    }
  }, 90_000)

  it('that hang or take their process with them are failures of their seed, and the others run on', async () => {
    const seeds = [1, 2, 3, 4]
    const done: RunReport[] = []
    await runInWorker(
      { script: new URL('unruly-worker.ts', import.meta.url), hangMs: 2_000 },
      () => seeds.shift() ?? null,
      (each) => done.push(each),
    )
    expect(done.map(({ seed, violation }) => [seed, violation?.detail])).toEqual([
      [1, undefined],
      [2, 'no end after 2 s of real time'],
      [3, 'the process ended (7)'],
      [4, undefined],
    ])
  }, 30_000)
})
