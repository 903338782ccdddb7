// Kills the leader's process with SIGKILL, ten times, under a producer that waits for every acknowledgement, and tells what was lost.
import { Kafka, logLevel, type Admin, type Producer } from 'kafkajs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ProcessCluster } from './process-cluster.ts'
import { readBack } from './read-back.ts'

const KILLS = Number(process.argv[2] ?? 10)
const TOPIC = 'failover'
const RETRY = { initialRetryTime: 50, maxRetryTime: 50, factor: 0, multiplier: 1, retries: 1_000 }

/** Sends numbered records one after the other, each as soon as the one before is acknowledged. */
class NumberedWriter {
  readonly acknowledged: number[] = []
  /** When each acknowledgement came, in milliseconds of the monotonic clock. */
  readonly times: number[] = []
  private next = 0
  private stopped = false
  private running: Promise<void> | null = null
  private readonly producer: Producer

  constructor(producer: Producer) {
    this.producer = producer
  }

  start(): void {
    this.running = this.run()
  }

  async stop(): Promise<void> {
    this.stopped = true
    await this.running
  }

  /** Resolves when `count` more records were acknowledged. */
  async progress(count: number, timeoutMs: number): Promise<void> {
    const goal = this.acknowledged.length + count
    const deadline = performance.now() + timeoutMs
    while (this.acknowledged.length < goal) {
      if (performance.now() > deadline) throw new Error(`no ${count} acknowledgements within ${timeoutMs} ms`)
      await sleep(5)
    }
  }

  /** The longest time without an acknowledgement that began at or after `since`. */
  longestGap(since: number): number {
    const at = this.times.findIndex((time) => time >= since)
    const times = at < 0 ? [since] : [this.times[at - 1] ?? since, ...this.times.slice(at)]
    return Math.max(0, ...times.slice(1).map((time, index) => time - Math.max(since, times[index] as number)))
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      const number = this.next++
      await this.producer.send({
        topic: TOPIC,
        acks: -1,
        timeout: 5_000,
        messages: [{ key: null, value: String(number) }],
      })
      this.acknowledged.push(number)
      this.times.push(performance.now())
    }
  }
}

async function partitionState(admin: Admin): Promise<{ leader: number; isr: number[] }> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [TOPIC] })
  const partition = topics[0]?.partitions[0]
  return { leader: partition?.leader ?? -1, isr: partition?.isr ?? [] }
}

async function waitForIsr(admin: Admin, size: number, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const { isr, leader } = await partitionState(admin).catch(() => ({ isr: [] as number[], leader: -1 }))
    if (isr.length >= size && leader >= 0) return
    if (Date.now() > deadline)
      throw new Error(`the ISR is ${isr.join(',')} after ${timeoutMs} ms, expected ${size} members`)
    await sleep(50)
  }
}

interface Outcome {
  readonly lost: number
  readonly repeated: number
  readonly outOfOrder: number
}

function compare(acknowledged: readonly number[], values: readonly string[]): Outcome {
  const firstSeen = new Set<number>()
  let repeated = 0
  let outOfOrder = 0
  let last = -1
  for (const number of values.map(Number)) {
    if (firstSeen.has(number)) {
      repeated++
      continue
    }
    firstSeen.add(number)
    if (number < last) outOfOrder++
    last = Math.max(last, number)
  }
  return { lost: acknowledged.filter((number) => !firstSeen.has(number)).length, repeated, outOfOrder }
}

async function killLeader(cluster: ProcessCluster, admin: Admin, writer: NumberedWriter): Promise<number> {
  await waitForIsr(admin, cluster.nodes.length, 30_000)
  await writer.progress(20, 10_000)
  const { leader } = await partitionState(admin)
  const killedAt = performance.now()
  await cluster.node(leader).kill('SIGKILL')
  await writer.progress(20, 30_000)
  const gapMs = writer.longestGap(killedAt)
  process.stdout.write(`kill ${String(leader).padStart(2)}: no acknowledgement for ${gapMs.toFixed(0)} ms\n`)
  cluster.node(leader).start()
  await cluster.node(leader).listening()
  return gapMs
}

async function main(): Promise<boolean> {
  process.stdout.write(`starting three processes, then ${KILLS} kills of the leader\n`)
  const cluster = await ProcessCluster.start(3)
  const kafka = new Kafka({
    clientId: 'failover',
    brokers: cluster.bootstrap,
    logLevel: logLevel.NOTHING,
    retry: RETRY,
    connectionTimeout: 500,
    requestTimeout: 5_000,
  })
  const admin = kafka.admin()
  const producer = kafka.producer({
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    retry: RETRY,
    metadataMaxAge: 60_000,
  })
  let good = false
  try {
    await admin.connect()
    await admin.createTopics({
      topics: [
        {
          topic: TOPIC,
          numPartitions: 1,
          replicationFactor: 3,
          configEntries: [{ name: 'min.insync.replicas', value: '2' }],
        },
      ],
    })
    await producer.connect()
    const writer = new NumberedWriter(producer)
    writer.start()
    const gaps: number[] = []
    for (let kill = 0; kill < KILLS; kill++) gaps.push(await killLeader(cluster, admin, writer))
    await writer.stop()
    await waitForIsr(admin, 3, 30_000)
    good = await report(cluster, writer, gaps)
  } finally {
    await Promise.allSettled([producer.disconnect(), admin.disconnect()])
    await cluster.stop(!good)
    if (!good) process.stdout.write(`the files and logs of the nodes are in ${cluster.folder}\n`)
  }
  return good
}

async function report(cluster: ProcessCluster, writer: NumberedWriter, gaps: readonly number[]): Promise<boolean> {
  const { values, reader } = await readBack(cluster.bootstrap, TOPIC, 0)
  const { lost, repeated, outOfOrder } = compare(writer.acknowledged, values)
  const sorted = gaps.toSorted((a, b) => a - b)
  process.stdout.write(
    [
      `acknowledged ${writer.acknowledged.length}`,
      `read back    ${values.length} (by ${reader})`,
      `lost         ${lost}`,
      `repeated     ${repeated} (retries without idempotence may repeat)`,
      `out of order ${outOfOrder} (by first occurrence)`,
      `unavailable  median ${sorted[Math.floor(sorted.length / 2)]?.toFixed(0)} ms, worst ${sorted.at(-1)?.toFixed(0)} ms`,
      '',
    ].join('\n'),
  )
  return lost === 0 && outOfOrder === 0
}

process.exitCode = (await main()) ? 0 : 1
process.exit()
