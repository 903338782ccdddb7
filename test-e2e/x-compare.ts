import { Kafka, logLevel } from 'kafkajs'
import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
const [, , what, n, base] = process.argv
const N = Number(n),
  B = Number(base)
const t0 = performance.now()
if (what === 'kafka')
  execFileSync('bash', ['-c', `rm -rf /tmp/cc; /work/shared/tools/kafka/up /tmp/cc ${N} ${B}`], { stdio: 'ignore' })
else execFileSync('bash', ['-c', `/tmp/mr-up.sh /tmp/cc ${N} ${B}`], { stdio: 'ignore' })
const brokers = Array.from({ length: N }, (_, i) => `127.0.0.1:${B + i}`)
const retry = { initialRetryTime: 50, maxRetryTime: 50, factor: 0, multiplier: 1, retries: 100000 }
const kafka = new Kafka({
  clientId: 'x',
  brokers,
  logLevel: logLevel.NOTHING,
  retry,
  connectionTimeout: 300,
  requestTimeout: 3000,
})
const topic = 'first'
for (;;) {
  const admin = kafka.admin()
  try {
    await admin.connect()
    const { brokers: b } = await admin.describeCluster()
    if (b.length < N) throw new Error('few')
    await admin.createTopics({
      topics: [
        {
          topic,
          numPartitions: 1,
          replicationFactor: Math.min(3, N),
          configEntries: [{ name: 'min.insync.replicas', value: String(N > 2 ? 2 : 1) }],
        },
      ],
      waitForLeaders: false,
    })
    await admin.disconnect()
    break
  } catch {
    await admin.disconnect().catch(() => {})
    await sleep(20)
  }
}
const producer = kafka.producer({ maxInFlightRequests: 1, retry })
await producer.connect()
await producer.send({ topic, acks: -1, messages: [{ value: 'x' }] })
console.log(what, N, 'nodes: start to first acknowledged record', (performance.now() - t0).toFixed(0), 'ms')
if (N > 2) {
  await sleep(3000)
  let last = performance.now(),
    worst = 0,
    stop = false
  const loop = (async () => {
    while (!stop) {
      await producer.send({ topic, acks: -1, timeout: 3000, messages: [{ value: 'y' }] })
      const now = performance.now()
      worst = Math.max(worst, now - last)
      last = now
    }
  })()
  await sleep(1500)
  const admin = kafka.admin()
  await admin.connect()
  const leader = (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions[0].leader
  await admin.disconnect()
  worst = 0
  process.kill(Number(readFileSync(`/tmp/cc/n${leader}.pid`, 'utf8')), 'SIGKILL')
  const killed = performance.now()
  while (performance.now() - killed < 25000) {
    await sleep(100)
    if (worst > 100 && performance.now() - killed > worst + 1500) break
  }
  stop = true
  console.log(what, 'no acknowledgement after SIGKILL of the leader', worst.toFixed(0), 'ms')
}
execFileSync('bash', ['-c', 'kill -9 $(cat /tmp/cc/n*.pid) 2>/dev/null; true'])
process.exit()
