// The in-process produce path: three brokers, direct links, disks in memory, acks all. Prints throughput and where the time goes.
// Run: node packages/broker/bench/produce-path.ts [batchBytes] [partitions] [seconds] [parallel]
import { performance, PerformanceObserver } from 'node:perf_hooks'
import { encodeBatch } from '@millrace/records'
import { Cluster, eventually } from '../test/cluster.ts'

const [batchBytes = 16_384, partitions = 12, seconds = 5, parallel = 64] = process.argv.slice(2).map(Number)

let gcMs = 0
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) gcMs += entry.duration
}).observe({ entryTypes: ['gc'] })

const record = { timestamp: 1_700_000_000_000, key: null, value: new Uint8Array(1024) }
const template = encodeBatch(Array.from({ length: Math.max(1, Math.round(batchBytes / 1034)) }, () => record))

const cluster = await Cluster.started('bench', 3, {
  replicaLagTimeMaxMs: 10_000,
  sessionTimeoutMs: 9_000,
  heartbeatMs: 2_000,
})
const assignment = Array.from({ length: partitions }, (_, at) => [0, 1, 2].map((turn) => ((at + turn) % 3) + 1))
cluster.controller.createTopic('t', assignment)
await eventually(() => {
  const leaders = cluster.brokers.reduce((sum, { running }) => sum + running.status().partitions.leaders, 0)
  if (leaders < partitions) throw new Error('not all leaders yet')
})
for (let at = 0; at < partitions; at++)
  await eventually(async () => {
    const { error } = await cluster.leader('t', at).produce('t', ['warm'], -1, at)
    if (error !== 0) throw new Error(`partition ${at}: ${error}`)
  })

let acked = 0
let failed = 0
const latencies: number[] = []
const until = performance.now() + seconds * 1000

/** One client connection's worth: its next batch is a copy in a buffer of its own, as a socket would deliver it. */
function pump(at: number): void {
  const partition = at % partitions
  const leader = cluster.leader('t', partition)
  const replica = leader.replica('t', partition)
  const next = (): void => {
    const began = performance.now()
    if (began > until) return
    replica.append(Uint8Array.from(template), -1, (error) => {
      if (error === 0) acked++
      else failed++
      if ((acked & 15) === 0) latencies.push(performance.now() - began)
      next()
    })
  }
  next()
}

const began = performance.now()
const cpu = process.cpuUsage()
const gcBefore = gcMs
for (let at = 0; at < parallel; at++) pump(at)
await new Promise((resolve) => setTimeout(resolve, seconds * 1000 + 300))
const { user, system } = process.cpuUsage(cpu)
const wall = (performance.now() - began - 300) / 1000
const gigabytes = (acked * template.length) / 1e9
latencies.sort((a, b) => a - b)
const percentile = (share: number): string => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(1)

console.log(
  `batches of ${template.length} bytes, ${partitions} partitions, ${parallel} in flight, replication factor 3, acks all`,
)
console.log(`${((gigabytes * 1000) / wall).toFixed(0)} MB/s, ${(acked / wall).toFixed(0)} batches/s, ${failed} failed`)
console.log(
  `CPU ${((user + system) / 1e6 / gigabytes).toFixed(2)} s per GB acknowledged, over all three replicas (user ${(user / 1e6).toFixed(1)} s, system ${(system / 1e6).toFixed(1)} s, GC ${((gcMs - gcBefore) / 1000).toFixed(2)} s)`,
)
console.log(`latency ms: p50 ${percentile(0.5)}, p99 ${percentile(0.99)}, p99.9 ${percentile(0.999)}`)
for (const { name, running } of cluster.brokers) {
  const { counters } = running.status()
  const {
    producedBatches,
    leaderAppends,
    followerAppends,
    leaderFrames,
    followerFrames,
    tailBytes,
    catchUpBytes,
    stalls,
    worstStallUs,
  } = counters
  console.log(
    `${name}: ${(producedBatches / leaderAppends).toFixed(1)} batches a write, ${leaderAppends} leader writes, ${followerAppends} follower writes, ` +
      `${leaderFrames} frames out, ${followerFrames} ack frames in, tail ${(tailBytes / 1e6).toFixed(0)} MB, catch-up ${(catchUpBytes / 1e6).toFixed(0)} MB, ` +
      `${stalls} stalls, worst ${(worstStallUs / 1000).toFixed(0)} ms`,
  )
}
process.exit(0)
