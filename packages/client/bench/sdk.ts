// What the SDK reaches beside kafkajs doing the same, in one run against one cluster: throughput, latency, consumption.
//   node packages/client/bench/sdk.ts [--bootstrap host:port,…] [--seconds 1.2] [--json]
// Without --bootstrap it starts a node in memory in a process of its own.
import { compress, inflate } from '@millrace/records'
import kafkajs from 'kafkajs'
import { parseArgs } from 'node:util'
import { type Client, createClient, type ProducerRecord } from '../src/index.ts'
import { startNode } from './node.ts'
import { percentile, table } from './report.ts'

type Acks = 'all' | 1
type Codec = 'none' | 'lz4'

interface Scenario {
  readonly bytes: number
  readonly acks: Acks
  readonly codec: Codec
}

interface Produced extends Scenario {
  /** Records a second that were acknowledged. */
  readonly send: number
  readonly sendAll: number
  readonly kafkajs: number
}

const PARTITIONS = 3
const BATCH_RECORDS = 500
const WORKERS = 8
const WINDOW = 20_000
const LATENCY_RATE = 2_000

const { values: options } = parseArgs({
  options: {
    bootstrap: { type: 'string' },
    seconds: { type: 'string', default: '1.2' },
    json: { type: 'boolean', default: false },
  },
})
const seconds = Number(options.seconds)
const { CompressionCodecs, CompressionTypes, Kafka, logLevel, Partitioners } = kafkajs

/** Text that compresses about as well as JSON events do. */
function payload(bytes: number): Buffer {
  let text = ''
  for (let at = 0; text.length < bytes; at++) text += `{"id":${(at * 2_654_435_761) % 1_000_003},"state":"shipped"}`
  return Buffer.from(text.slice(0, bytes))
}

async function withTopic<T>(client: Client, use: (topic: string) => Promise<T>): Promise<T> {
  const topic = `bench-${process.pid}-${Math.floor(performance.now() * 1_000)}`
  await client.admin.createTopic({ name: topic, partitions: PARTITIONS })
  try {
    return await use(topic)
  } finally {
    await client.admin.deleteTopic(topic)
  }
}

/** Acknowledged records a second, with one call for each record. */
async function produceOneByOne(client: Client, topic: string, scenario: Scenario): Promise<number> {
  const producer = client.producer({ acks: scenario.acks, compression: scenario.codec })
  const record: ProducerRecord = { topic, value: payload(scenario.bytes) }
  const started = performance.now()
  const until = started + seconds * 1_000
  let waiting = 0
  let acknowledged = 0
  await new Promise<void>((resolve, reject) => {
    const more = (): void => {
      while (waiting < WINDOW && performance.now() < until) {
        for (let at = 0; at < 100; at++) producer.send(record).then(settled, reject)
        waiting += 100
      }
      if (waiting === 0) resolve()
    }
    const settled = (): void => {
      acknowledged++
      if (--waiting <= WINDOW / 2 && waiting % 100 === 0) more()
    }
    more()
  })
  const rate = acknowledged / ((performance.now() - started) / 1_000)
  await producer.close()
  return rate
}

/** The same with many records a call: `sendMany` resolves when they are acknowledged. */
async function produceMany(sendMany: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  const until = started + seconds * 1_000
  let acknowledged = 0
  const worker = async (): Promise<void> => {
    while (performance.now() < until) {
      await sendMany()
      acknowledged += BATCH_RECORDS
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, worker))
  return acknowledged / ((performance.now() - started) / 1_000)
}

async function produceAll(client: Client, topic: string, scenario: Scenario): Promise<number> {
  await using producer = client.producer({ acks: scenario.acks, compression: scenario.codec, lingerMs: 0 })
  const value = payload(scenario.bytes)
  const records = Array.from({ length: BATCH_RECORDS }, () => ({ topic, value }))
  return await produceMany(() => producer.sendAll(records))
}

async function produceWithKafkajs(kafka: kafkajs.Kafka, topic: string, scenario: Scenario): Promise<number> {
  const producer = kafka.producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    allowAutoTopicCreation: false,
  })
  await producer.connect()
  const value = payload(scenario.bytes)
  const messages = Array.from({ length: BATCH_RECORDS }, () => ({ value }))
  const compression = scenario.codec === 'lz4' ? CompressionTypes.LZ4 : CompressionTypes.None
  const acks = scenario.acks === 'all' ? -1 : 1
  const rate = await produceMany(() => producer.send({ topic, acks, compression, messages }))
  await producer.disconnect()
  return rate
}

/** Milliseconds from the moment at which each record was due until its acknowledgement, in order of size. */
async function latencies(send: () => Promise<unknown>): Promise<number[]> {
  const found: number[] = []
  const count = Math.round(LATENCY_RATE * seconds * 2)
  const started = performance.now()
  const waiting: Promise<void>[] = []
  for (let at = 0; at < count;) {
    for (; at < count && started + (at * 1_000) / LATENCY_RATE <= performance.now(); at++) {
      const due = started + (at * 1_000) / LATENCY_RATE
      waiting.push(send().then(() => void found.push(performance.now() - due)))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(waiting)
  // The first connections and the first compilations are not what is measured.
  return found.slice(Math.floor(count / 5)).toSorted((a, b) => a - b)
}

async function sdkLatencies(client: Client, topic: string): Promise<number[]> {
  await using producer = client.producer({ lingerMs: 0 })
  const value = payload(100)
  await producer.send({ topic, value })
  return await latencies(() => producer.send({ topic, value }))
}

async function kafkajsLatencies(kafka: kafkajs.Kafka, topic: string): Promise<number[]> {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const messages = [{ value: payload(100) }]
  await producer.send({ topic, messages })
  const found = await latencies(() => producer.send({ topic, messages }))
  await producer.disconnect()
  return found
}

async function consume(client: Client, topic: string, by: 'record' | 'batch'): Promise<number> {
  const consumer = client.consumer({ assign: [{ topic }], until: 'end' })
  const started = performance.now()
  let count = 0
  if (by === 'batch') for await (const records of consumer.batches()) count += records.length
  else for await (const record of consumer) count += record.offset >= 0 ? 1 : 0
  return count / ((performance.now() - started) / 1_000)
}

/** From its first record on, so that the time it needs to join a group does not count; null where groups are not served. */
async function consumeWithKafkajs(kafka: kafkajs.Kafka, topic: string, total: number): Promise<number | null> {
  const consumer = kafka.consumer({ groupId: `${topic}-group` })
  let count = 0
  let started = 0
  const reading = (async () => {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      consumer.on('consumer.crash', ({ payload: { error } }) => reject(error))
      consumer
        .run({
          eachBatch: async ({ batch }) => {
            if (count === 0) started = performance.now()
            count += batch.messages.length
            if (count >= total) resolve()
          },
        })
        .catch(reject)
    })
    return count / ((performance.now() - started) / 1_000)
  })()
  const late = new Promise<null>((resolve) => setTimeout(resolve, 15_000, null))
  const rate = await Promise.race([reading.catch(() => null), late])
  await Promise.race([
    consumer.disconnect().catch(() => undefined),
    new Promise((resolve) => setTimeout(resolve, 2_000)),
  ])
  return rate
}

async function measure(bootstrap: readonly string[]): Promise<void> {
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async (encoder: { buffer: Buffer }) => Buffer.from(compress('lz4', encoder.buffer)),
    decompress: async (buffer: Buffer) => Buffer.from(inflate('lz4', buffer, 1 << 28)),
  })
  await using client = createClient({ bootstrap })
  const kafka = new Kafka({ brokers: [...bootstrap], logLevel: logLevel.NOTHING })
  const produced: Produced[] = []
  for (const bytes of [100, 1_000])
    for (const acks of ['all', 1] as const)
      for (const codec of ['none', 'lz4'] as const) {
        const scenario = { bytes, acks, codec }
        produced.push({
          ...scenario,
          send: await withTopic(client, (topic) => produceOneByOne(client, topic, scenario)),
          sendAll: await withTopic(client, (topic) => produceAll(client, topic, scenario)),
          kafkajs: await withTopic(client, (topic) => produceWithKafkajs(kafka, topic, scenario)),
        })
      }
  const ours = await withTopic(client, (topic) => sdkLatencies(client, topic))
  const theirs = await withTopic(client, (topic) => kafkajsLatencies(kafka, topic))
  const latency = {
    sdk: { p50: percentile(ours, 50), p99: percentile(ours, 99) },
    kafkajs: { p50: percentile(theirs, 50), p99: percentile(theirs, 99) },
  }
  const consumed = await withTopic(client, async (topic) => {
    const total = 600_000
    const producer = client.producer()
    const records = Array.from({ length: 10_000 }, () => ({ topic, value: payload(100) }))
    for (let at = 0; at < total; at += records.length) await producer.sendAll(records)
    return {
      record: await consume(client, topic, 'record'),
      batch: await consume(client, topic, 'batch'),
      kafkajs: await consumeWithKafkajs(kafka, topic, total),
    }
  })
  report(produced, latency, consumed)
}

function report(
  produced: readonly Produced[],
  latency: Record<'sdk' | 'kafkajs', { p50: number; p99: number }>,
  consumed: { record: number; batch: number; kafkajs: number | null },
): void {
  if (options.json) return void process.stdout.write(`${JSON.stringify({ produced, latency, consumed })}\n`)
  const rate = (value: number | null): string => (value === null ? '-' : Math.round(value).toLocaleString('en'))
  const ratio = (ours: number, theirs: number | null): string =>
    theirs === null ? '-' : `${(ours / theirs).toFixed(1)}×`
  const rows = produced.map(({ bytes, acks, codec, send, sendAll, kafkajs }) => [
    `${bytes} B`,
    `${acks}`,
    codec,
    rate(send),
    ((send * bytes) / 1e6).toFixed(0),
    rate(sendAll),
    ((sendAll * bytes) / 1e6).toFixed(0),
    rate(kafkajs),
    ((kafkajs * bytes) / 1e6).toFixed(0),
    ratio(send, kafkajs),
    ratio(sendAll, kafkajs),
  ])
  process.stdout.write(
    `Produce, ${PARTITIONS} partitions: records/s and MB/s; kafkajs sends ${BATCH_RECORDS} a call, as sendAll does here\n`,
  )
  const titles = ['value', 'acks', 'codec', 'send', 'MB/s', 'sendAll', 'MB/s', 'kafkajs', 'MB/s', 'send:', 'sendAll:']
  process.stdout.write(`${table([titles, ...rows])}\n\n`)
  process.stdout.write(`Latency of one record at ${LATENCY_RATE.toLocaleString('en')}/s, acks all, 100 B, in ms\n`)
  const times = (['sdk', 'kafkajs'] as const).map((who) => [
    who,
    latency[who].p50.toFixed(2),
    latency[who].p99.toFixed(2),
  ])
  process.stdout.write(`${table([['', 'p50', 'p99'], ...times])}\n\n`)
  process.stdout.write('Consume, 100 B, records/s\n')
  const read = [
    ['for await (record)', rate(consumed.record), ratio(consumed.record, consumed.kafkajs)],
    ['batches()', rate(consumed.batch), ratio(consumed.batch, consumed.kafkajs)],
    ['kafkajs eachBatch', rate(consumed.kafkajs), ''],
  ]
  process.stdout.write(`${table([['', 'records/s', 'to kafkajs'], ...read])}\n`)
}

const node = options.bootstrap === undefined ? await startNode() : null
try {
  await measure((options.bootstrap ?? node?.bootstrap ?? '').split(','))
} finally {
  node?.stop()
}
