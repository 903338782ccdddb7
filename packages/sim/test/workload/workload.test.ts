import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../src/history/check-history.ts'
import type { Operation } from '../../src/seams.ts'
import type { WorkloadRates } from '../../src/workload/shape.ts'
import { CalmCluster } from './calm-cluster.ts'

const TOPICS = [
  { name: 'topic-1', partitions: 3, replicas: 3, minInSync: 2 },
  { name: 'topic-2', partitions: 1, replicas: 2, minInSync: 1 },
]

/** Nothing but sends that wait for all replicas, and reads. */
const PLAIN: Partial<WorkloadRates> = {
  thinkMeanUs: 20_000,
  requestTimeoutUs: 3_000_000,
  acksAllPercent: 100,
  retryPercent: 0,
  moveMeanUs: 0,
  crashMeanUs: 0,
  pauseMeanUs: 0,
  adminMeanUs: 0,
}

/** All that clients do. */
const EVERYTHING: Partial<WorkloadRates> = {
  thinkMeanUs: 20_000,
  acksAllPercent: 30,
  retryPercent: 50,
  batchRecords: 10,
  paddedPercent: 20,
  paddedBytes: 3_000,
  codecs: ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
  moveMeanUs: 500_000,
  crashMeanUs: 1_000_000,
  pauseMeanUs: 2_000_000,
  adminMeanUs: 200_000,
  deletingPercent: 50,
}

function cluster(seed: string, rates: Partial<WorkloadRates>): CalmCluster {
  return new CalmCluster(seed, { clients: 7, topics: TOPICS, rates })
}

function tally(history: readonly Operation[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind, outcome, asked, final } of history) {
    const key = [kind, asked, final === true ? 'final' : '', outcome].filter(Boolean).join(' ')
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}

describe('the workload against three nodes on virtual time', () => {
  it('gets everything acknowledged and reads it all in the end when nothing goes wrong', async () => {
    const run = cluster('plain', PLAIN)
    await run.pass(10)
    await run.readAll()
    const { history } = run.workload
    const read = new Set(history.flatMap((each) => (each.final === true ? each.values.map(({ value }) => value) : [])))
    const sent = history.filter(({ kind }) => kind === 'send')
    expect(sent.length).toBeGreaterThan(300)
    expect(sent.filter(({ outcome }) => outcome !== 'ok')).toEqual([])
    expect(sent.flatMap(({ values }) => values).filter(({ value }) => !read.has(value))).toEqual([])
    expect(checkHistory(history)).toEqual([])
  })

  it('does all that it can do, and dies and comes back under other names', async () => {
    const run = cluster('everything', EVERYTHING)
    await run.pass(25)
    await run.readAll()
    const { history, progress } = run.workload
    const counts = tally(history)
    const wanted = [
      'create-topic ok',
      'send ok',
      'send info',
      'poll ok',
      'poll final ok',
      'lookup earliest ok',
      'lookup earliest final ok',
      'lookup latest ok',
      'lookup timestamp ok',
      'admin retention ok',
      'admin segment.ms ok',
      'admin min.insync.replicas ok',
      'admin delete-records ok',
      'admin elect-leaders ok',
      'admin create-partitions ok',
    ]
    expect(wanted.filter((key) => counts[key] === undefined)).toEqual([])
    expect(history.some(({ client }) => /^client-\d\.3$/.test(client))).toBe(true)
    expect(history.filter(({ endedUs }) => !Number.isFinite(endedUs))).toEqual([])
    expect(progress).toBe(history.filter(({ outcome }) => outcome === 'ok').length)
    expect(checkHistory(history)).toEqual([])
  })

  it('goes on through the deaths of leaders, and what it knows nothing of is told so', async () => {
    const run = cluster('deaths', { ...PLAIN, retryPercent: 50 })
    await run.pass(8)
    for (const id of [1, 2, 3]) {
      run.kill(id)
      await run.pass(4)
      run.start(id)
      await run.pass(6)
    }
    await run.readAll()
    const { history } = run.workload
    const outcomes = tally(history)
    expect(outcomes['send info'] ?? 0).toBeGreaterThan(0)
    expect(outcomes['lookup epoch-end ok'] ?? 0).toBeGreaterThan(0)
    const lastMs = Math.max(...history.filter(({ kind }) => kind === 'send').map(({ invokedUs }) => invokedUs))
    expect(history.some(({ outcome, invokedUs }) => outcome === 'ok' && invokedUs > lastMs - 1_000_000)).toBe(true)
    expect(checkHistory(history)).toEqual([])
  })

  it('does the same again with the same seed, and something else with another', async () => {
    const [one, again, other] = [cluster('a', EVERYTHING), cluster('a', EVERYTHING), cluster('b', EVERYTHING)]
    for (const run of [one, again, other]) await run.pass(5)
    expect(again.workload.history).toEqual(one.workload.history)
    expect(again.schedule.digest).toBe(one.schedule.digest)
    expect(other.schedule.digest).not.toBe(one.schedule.digest)
  })
})
