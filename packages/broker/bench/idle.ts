// What idle partitions cost: three brokers in one process, every partition on all of them, nothing written.
// Run: node packages/broker/bench/idle.ts [partitions] [seconds]
import { performance } from 'node:perf_hooks'
import { Cluster } from '../test/cluster.ts'

const [partitions = 1000, seconds = 10] = process.argv.slice(2).map(Number)
const settings = { replicaLagTimeMaxMs: 30_000, sessionTimeoutMs: 9_000, heartbeatMs: 2_000 }
const cluster = await Cluster.started('idle', 3, settings)
const began = performance.now()
cluster.controller.createTopic(
  't',
  Array.from({ length: partitions }, (_, at) => [0, 1, 2].map((turn) => ((at + turn) % 3) + 1)),
)
const leaders = (): number => cluster.brokers.reduce((sum, { running }) => sum + running.status().partitions.leaders, 0)
while (leaders() < partitions) await new Promise((resolve) => setTimeout(resolve, 100))
console.log(`${partitions} partitions with 3 replicas led after ${(performance.now() - began).toFixed(0)} ms`)
await new Promise((resolve) => setTimeout(resolve, 5_000))
const cpu = process.cpuUsage()
await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
const { user, system } = process.cpuUsage(cpu)
console.log(`idle: ${((user + system) / 1e4 / seconds).toFixed(2)} % of a processor for all three brokers`)
process.exit(0)
