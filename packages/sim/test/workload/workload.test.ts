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
  idempotentPercent: 50,
  groups: 0,
  sessionPercent: 0,
  topicIdPercent: 0,
}

/** All that clients do. */
const EVERYTHING: Partial<WorkloadRates> = {
  thinkMeanUs: 20_000,
  acksAllPercent: 50,
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
  idempotentPercent: 50,
  groups: 2,
  membersOfGroup: 3,
  classicPercent: 50,
  staticPercent: 50,
  reassigns: true,
  sessionPercent: 50,
  topicIdPercent: 50,
}

/** What {@link EVERYTHING} leads to, in the words of {@link tally}. */
const ALL_KINDS = [
  'create-topic ok',
  'init-producer ok',
  'claim ok',
  'commit ok',
  'committed ok',
  'committed final ok',
  'send ok',
  'send info',
  'poll ok',
  'poll final ok',
  'lookup earliest ok',
  'lookup earliest final ok',
  'lookup latest ok',
  'lookup timestamp ok',
  'lookup epoch-end ok',
  'admin retention ok',
  'admin segment.ms ok',
  'admin min.insync.replicas ok',
  'admin max.message.bytes ok',
  'admin delete-records ok',
  'admin elect-leaders ok',
  'admin create-partitions ok',
  'admin reassign ok',
]

function cluster(seed: string, rates: Partial<WorkloadRates>): CalmCluster {
  return new CalmCluster(seed, { clients: 5, topics: TOPICS, rates })
}

function tally(history: readonly Operation[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind, outcome, asked, final } of history) {
    const key = [kind, asked, final === true ? 'final' : '', outcome].filter(Boolean).join(' ')
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}

/** Groups of both protocols, whose members come and go. */
const GROUPS: Partial<WorkloadRates> = {
  ...PLAIN,
  groups: 2,
  membersOfGroup: 3,
  staticPercent: 50,
  crashMeanUs: 2_000_000,
}

describe('the workload against three nodes on virtual time', { timeout: 120_000 }, () => {
  it.each([
    ['fetches that stand for themselves', 0, 0],
    ['sessions', 100, 0],
    ['sessions that name topics by id', 100, 100],
  ])(
    'gets everything acknowledged and reads it all in the end in %s',
    async (_name, sessionPercent, topicIdPercent) => {
      const run = cluster('plain', { ...PLAIN, sessionPercent, topicIdPercent })
      await run.pass(10)
      await run.readAll()
      const { history } = run.workload
      const read = new Set(
        history.flatMap((each) => (each.final === true ? each.values.map(({ value }) => value) : [])),
      )
      const sent = history.filter(({ kind }) => kind === 'send')
      expect(sent.length).toBeGreaterThan(300)
      expect(sent.filter(({ outcome }) => outcome !== 'ok')).toEqual([])
      expect(sent.flatMap(({ values }) => values).filter(({ value }) => !read.has(value))).toEqual([])
      expect(checkHistory(history)).toEqual([])
    },
  )

  it('does all that it can do, in some runs', async () => {
    const missing = new Set(ALL_KINDS)
    for (let seed = 0; seed < 12 && missing.size > 0; seed++) {
      const run = cluster(`everything ${seed}`, EVERYTHING)
      await run.pass(4)
      run.kill(1 + (seed % 3))
      await run.pass(1)
      run.start(1 + (seed % 3))
      await run.pass(2)
      await run.readAll()
      const { history, progress } = run.workload
      for (const kind of Object.keys(tally(history))) missing.delete(kind)
      expect(history.filter(({ endedUs }) => !Number.isFinite(endedUs))).toEqual([])
      expect(progress).toBe(history.filter(({ outcome }) => outcome === 'ok').length)
      expect(checkHistory(history)).toEqual([])
    }
    expect([...missing]).toEqual([])
  })

  it.each([
    ['classic', 100],
    ['consumer', 0],
  ])('reads in groups of the %s protocol what was sent, and commits it', async (_name, classicPercent) => {
    const run = cluster(`groups ${classicPercent}`, { ...GROUPS, classicPercent })
    await run.pass(30)
    expect(run.workload.lagging(run.schedule.nowUs - 8_000_000)).toBeNull()
    await run.readAll()
    const { history } = run.workload
    const generations = new Set(history.flatMap(({ kind, generation }) => (kind === 'claim' ? [generation] : [])))
    expect(generations.size).toBeGreaterThan(1)
    expect(history.some(({ kind, answer = -1 }) => kind === 'committed' && answer > 0)).toBe(true)
    expect(checkHistory(history)).toEqual([])
  })

  it('dies and comes back under other names', async () => {
    const run = cluster('clients die', { ...PLAIN, crashMeanUs: 300_000 })
    await run.pass(10)
    await run.readAll()
    const { history } = run.workload
    const names = new Set(history.map(({ client }) => client))
    expect([...names].some((name) => /^client-\d\.2$/.test(name))).toBe(true)
    expect(checkHistory(history)).toEqual([])
  })

  it('goes on after all nodes died at once, and what it knows nothing of is told so', async () => {
    const run = cluster('nodes die', PLAIN)
    const { history } = run.workload
    for (let death = 0; death < 3; death++) {
      await run.pass(5)
      await run.passUntil(() => history.some(({ endedUs }) => !Number.isFinite(endedUs)))
      for (const id of [1, 2, 3]) run.kill(id)
      await run.pass(1)
      for (const id of [1, 2, 3]) run.start(id)
    }
    await run.pass(8)
    const acknowledged = history.filter(({ kind, outcome }) => kind === 'send' && outcome === 'ok')
    expect(acknowledged.at(-1)?.endedUs).toBeGreaterThan(run.schedule.nowUs - 1_000_000)
    await run.readAll()
    const counts = tally(history)
    expect(counts['send info']).toBeGreaterThan(0)
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
