// What it costs to know the lag of 1,000 groups with ten partitions each: processor time of a survey, memory, and a scrape.
// node --expose-gc packages/testing/bench/group-lag.ts
import { setTimeout as sleep } from 'node:timers/promises'
import { createTestCluster, type TestCluster } from '../src/index.ts'

const GROUPS = 1_000
const PARTITIONS = 10
const SECONDS = 10

async function loaded(intervalMs: number): Promise<TestCluster> {
  const cluster = await createTestCluster({ http: true, properties: { 'group.lag.interval.ms': String(intervalMs) } })
  const { admin } = cluster.client
  await admin.createTopic({ name: 't', partitions: PARTITIONS })
  const producer = cluster.client.producer()
  for (let at = 0; at < 100 * PARTITIONS; at++)
    await producer.send({ topic: 't', partition: at % PARTITIONS, value: 'v' })
  const names = Array.from({ length: GROUPS }, (_, at) => `group-${at}`)
  for (let from = 0; from < GROUPS; from += 50)
    await Promise.all(
      names.slice(from, from + 50).map((name, at) =>
        admin.groups.alterOffsets(
          name,
          Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 't', partition, offset: (from + at) % 100 })),
        ),
      ),
    )
  return cluster
}

/** Milliseconds of processor time in a second, and the live heap after it in MiB. */
async function cost(): Promise<{ cpuMs: number; heapMib: number }> {
  const before = process.cpuUsage()
  await sleep(SECONDS * 1000)
  const { user, system } = process.cpuUsage(before)
  globalThis.gc?.()
  return { cpuMs: (user + system) / 1000 / SECONDS, heapMib: process.memoryUsage().heapUsed / 2 ** 20 }
}

async function measured(intervalMs: number): Promise<{ cpuMs: number; heapMib: number; scrapes: readonly number[] }> {
  await using cluster = await loaded(intervalMs)
  await sleep(3_000)
  const figures = await cost()
  const scrapes: number[] = []
  for (let at = 0; at < 5; at++) {
    const before = process.cpuUsage()
    await (await fetch(`${cluster.http[0]}/metrics`)).text()
    const { user, system } = process.cpuUsage(before)
    scrapes.push((user + system) / 1000)
  }
  return { ...figures, scrapes }
}

const without = await measured(0)
const withSurveys = await measured(1_000)
const lines = [
  `${GROUPS} groups, ${PARTITIONS} partitions each, one node`,
  `processor time of a survey: ${(withSurveys.cpuMs - without.cpuMs).toFixed(1)} ms`,
  `memory: ${(withSurveys.heapMib - without.heapMib).toFixed(1)} MiB`,
  `processor time of a scrape, client included: ${Math.min(...withSurveys.scrapes).toFixed(0)} ms`,
]
process.stdout.write(`${lines.join('\n')}\n`)
