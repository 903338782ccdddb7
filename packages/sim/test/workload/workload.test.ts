import { afterEach, describe, expect, it } from 'vitest'
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
  it('writes, reads, asks for changes, and reads everything in the end', async () => {
    const { history, progress } = await run('a', {
      acksAllPercent: 80,
      codecs: ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
      paddedPercent: 20,
      paddedBytes: 10_000,
      batchRecords: 20,
      adminMeanUs: 100_000,
      moveMeanUs: 300_000,
      crashMeanUs: 400_000,
      deletingPercent: 50,
    })
    console.log(tally(history), progress)
  })
})
