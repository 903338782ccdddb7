import { afterEach, describe, expect, it } from 'vitest'
import { checkHistory } from '../../src/history/check-history.ts'
import type { Operation, Workload } from '../../src/seams.ts'
import { createWorkload } from '../../src/workload/workload.ts'
import { RealBench, startNodes } from './real-bench.ts'

const BOOTSTRAP = [1, 2, 3].map((id) => ({ host: `node${id}`, port: 9092 }))
const TOPICS = [
  { name: 'topic-1', partitions: 3, replicas: 3, minInSync: 2 },
  { name: 'topic-2', partitions: 1, replicas: 2, minInSync: 1 },
]

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Load for so long, then a quiet end and fresh reads of everything. */
async function run(seed: string, rates: Parameters<typeof createWorkload>[1]['rates'] = {}): Promise<Workload> {
  const bench = new RealBench(seed)
  const nodes = await startNodes(bench)
  cleanups.push(() => nodes.stop())
  const workload = createWorkload(bench, {
    bootstrap: BOOTSTRAP,
    clients: 5,
    topics: TOPICS,
    epochMs: Date.now(),
    rates: { thinkMeanUs: 5_000, ...rates },
  })
  workload.start()
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  await new Promise<void>((resolve) => workload.quiesce(resolve))
  await new Promise<void>((resolve) => workload.readAll(resolve))
  return workload
}

function tally(history: readonly Operation[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind, outcome, asked, final } of history) {
    const key = [kind, asked, final === true ? 'final' : '', outcome].filter(Boolean).join(' ')
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}

describe('the workload against nodes in this process', () => {
  it('writes, reads, asks for changes, comes back after its deaths, and reads everything in the end', async () => {
    const { history, progress } = await run('a', {
      acksAllPercent: 60,
      codecs: ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
      paddedPercent: 20,
      paddedBytes: 10_000,
      batchRecords: 20,
      adminMeanUs: 100_000,
      moveMeanUs: 300_000,
      crashMeanUs: 400_000,
      deletingPercent: 50,
    })
    const counts = tally(history)
    expect(counts['create-topic ok']).toBeGreaterThanOrEqual(TOPICS.length)
    expect(counts['send ok']).toBeGreaterThan(50)
    expect(counts['poll ok']).toBeGreaterThan(5)
    expect(counts['poll final ok']).toBeGreaterThan(0)
    expect(Object.keys(counts).some((key) => key.startsWith('admin'))).toBe(true)
    expect(history.some(({ client }) => client.endsWith('.2'))).toBe(true)
    expect(history.every(({ endedUs }) => Number.isFinite(endedUs))).toBe(true)
    expect(progress).toBe(history.filter(({ outcome }) => outcome === 'ok').length)
    expect(checkHistory(history)).toEqual([])
  })

  it('loses nothing of what it wrote with acks all: each value is read in the end', async () => {
    const { history } = await run('b', {
      acksAllPercent: 100,
      retryPercent: 0,
      crashMeanUs: 0,
      pauseMeanUs: 0,
      adminMeanUs: 0,
      moveMeanUs: 0,
    })
    const read = new Set(history.flatMap((each) => (each.final === true ? each.values.map(({ value }) => value) : [])))
    const sent = history.filter(({ kind }) => kind === 'send')
    expect(sent.length).toBeGreaterThan(50)
    for (const { outcome, values } of sent) {
      expect(outcome).toBe('ok')
      expect(values.filter(({ value }) => !read.has(value))).toEqual([])
    }
    expect(checkHistory(history)).toEqual([])
  })
})
