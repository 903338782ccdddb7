// A thousand partitions on one node, three hundred on three: starting, descriptors, what it costs to do nothing. Times are printed.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterView, waitFor, withWire } from '../src/cluster-view.ts'
import { badLines } from '../src/log-lines.ts'
import { cpuMs, descriptors, hasProc, residentBytes } from '../src/proc.ts'
import { type NodeProcess, ProcessCluster } from '../src/process-cluster.ts'

const MANY = 1_000
const TOPIC = 'many'

describe('a thousand partitions on one node', () => {
  let cluster: ProcessCluster
  let view: ClusterView
  let node: NodeProcess

  beforeAll(async () => {
    cluster = await ProcessCluster.start(1)
    view = new ClusterView(cluster)
    node = cluster.node(1)
    const begun = performance.now()
    await view.createTopic(
      TOPIC,
      Array.from({ length: MANY }, () => [1]),
    )
    await allServe()
    process.stdout.write(`${MANY} partitions created and served in ${(performance.now() - begun).toFixed(0)} ms\n`)
    await withWire(node.port, async (wire) => {
      for (let partition = 0; partition < MANY; partition++) {
        const { error } = await wire.produce(TOPIC, `record ${partition}`, { partition })
        if (error !== 0) throw new Error(`partition ${partition} answered ${error}`)
      }
    })
  })

  afterAll(() => cluster?.stop())

  /** Resolves when every partition answers with the end of its log. */
  async function allServe(): Promise<number> {
    return waitFor('all partitions', 60_000, async () =>
      withWire(node.port, async (wire) => {
        const answers = await Promise.all(
          Array.from({ length: MANY }, (_, partition) => wire.listOffset(TOPIC, -1, partition)),
        )
        return answers.every(({ error }) => error === 0) ? answers.reduce((sum, { offset }) => sum + offset, 0) : null
      }),
    )
  }

  it.each(['SIGTERM', 'SIGKILL'] as const)('serves all of them again after %s', async (signal) => {
    const begun = performance.now()
    await node.kill(signal)
    const stopped = performance.now()
    node.start()
    await node.listening()
    expect(await allServe()).toBe(MANY)
    const served = performance.now()
    process.stdout.write(
      `${MANY} partitions, ${signal}: gone after ${(stopped - begun).toFixed(0)} ms, all serve ${(served - stopped).toFixed(0)} ms after the start\n`,
    )
  })

  it.skipIf(!hasProc)('keeps its descriptors bounded when all are read and written', async () => {
    await withWire(node.port, async (wire) => {
      for (let partition = 0; partition < MANY; partition++) {
        expect((await wire.produce(TOPIC, 'again', { partition })).error).toBe(0)
        expect((await wire.fetch(TOPIC, 0, { partition })).values).toHaveLength(2)
      }
    })
    const open = descriptors(node.pid)
    process.stdout.write(
      `${MANY} partitions: ${open} descriptors, ${(residentBytes(node.pid) / 1e6).toFixed(0)} MB resident\n`,
    )
    expect(open).toBeLessThan(MANY + 300)
  })

  it('leaves only lines that are JSON with level, time, node and event', () => {
    expect(badLines(cluster)).toEqual([])
  })
})

describe.skipIf(!hasProc)('three hundred idle partitions on three nodes', () => {
  let cluster: ProcessCluster

  beforeAll(async () => {
    cluster = await ProcessCluster.start(3)
    const view = new ClusterView(cluster)
    const assignments = Array.from({ length: 300 }, (_, at) => [0, 1, 2].map((place) => ((at + place) % 3) + 1))
    await view.createTopic(TOPIC, assignments, { 'min.insync.replicas': '2' })
    await view.inSync(TOPIC, 3)
  })

  afterAll(() => cluster?.stop())

  it('cost little', async () => {
    await sleep(3_000)
    const before = cluster.nodes.map(({ pid }) => cpuMs(pid))
    const begun = performance.now()
    await sleep(6_000)
    const elapsedMs = performance.now() - begun
    const shares = cluster.nodes.map(({ pid }, at) => (100 * (cpuMs(pid) - (before[at] as number))) / elapsedMs)
    process.stdout.write(
      `300 idle partitions on three nodes: ${shares.map((share) => `${share.toFixed(1)} %`).join(', ')} of a core\n`,
    )
    // A node that spins takes a whole core.
    for (const share of shares) expect(share).toBeLessThan(50)
  })
})
