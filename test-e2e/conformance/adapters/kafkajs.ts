// kafkajs as it is, behind the suite's operations.
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import kafkajs, { type Admin, type Consumer, type IHeaders, type KafkaMessage } from 'kafkajs'
// @ts-expect-error The plug-in has no types.
import snappy from 'kafkajs-snappy'
import { compressFrame, decompressFrame } from 'lz4-napi'
import type { CodecName, FetchArgs, JoinArgs, PlainRecord, ProduceArgs, ReadRecord } from '../core/operations.ts'
import { bytesOf, serve, textOf, within } from './lines.ts'

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs

// Plug-ins: kafkajs itself has gzip only.
CompressionCodecs[CompressionTypes.Snappy] = snappy as () => unknown
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder: { buffer: Buffer }) => compressFrame(encoder.buffer),
  decompress: (bytes: Buffer) => decompressFrame(bytes),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder: { buffer: Buffer }) => zstdCompressSync(encoder.buffer),
  decompress: async (bytes: Buffer) => zstdDecompressSync(bytes),
})

const TYPES: Record<CodecName, kafkajs.CompressionTypes> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

/** kafkajs ends a consumer only after its last fetch, which waits five seconds by default. */
const WAIT_MS = 250
const TIMES = { maxWaitTimeInMs: WAIT_MS, heartbeatInterval: 300, rebalanceTimeout: 10_000 }

interface Member {
  readonly consumer: Consumer
  readonly topic: string
  queue: ReadRecord[]
  assigned: number[]
  /** The next offset of each partition, for the commit. */
  readonly next: Map<number, number>
}

const kafka = new Kafka({
  brokers: (process.argv.at(-1) ?? '').split(','),
  clientId: 'conformance-kafkajs',
  logLevel: logLevel.NOTHING,
  retry: { retries: 8, initialRetryTime: 100 },
})
const members = new Map<string, Member>()
let connected: Admin | null = null

async function admin(): Promise<Admin> {
  if (connected === null) {
    connected = kafka.admin()
    await connected.connect()
  }
  return connected
}

async function produce({ topic, records, codec = 'none', acks = -1, idempotent = false }: ProduceArgs) {
  const producer = kafka.producer(idempotent ? { idempotent, maxInFlightRequests: 1 } : {})
  await producer.connect()
  try {
    const answers = await producer.send({
      topic,
      acks,
      compression: TYPES[codec],
      messages: records.map(({ partition, timestamp, key, value, headers }) => ({
        partition,
        key: bytesOf(key),
        value: bytesOf(value),
        headers: headersIn(headers),
        ...(timestamp === undefined ? {} : { timestamp: String(timestamp) }),
      })),
    })
    const base = answers?.[0]?.baseOffset
    return { offsets: base === undefined ? null : records.map((_, at) => Number(base) + at) }
  } finally {
    await producer.disconnect()
  }
}

function headersIn(headers: PlainRecord['headers']): IHeaders {
  const own: Record<string, Buffer[]> = {}
  for (const [name, value] of headers) (own[name] ??= []).push(bytesOf(value) as Buffer)
  return own
}

function read(partition: number, message: KafkaMessage): ReadRecord {
  const { key, value, offset, timestamp, headers = {} } = message
  const pairs = Object.entries(headers).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((one) => [name, textOf(one as Buffer)] as const),
  )
  const times = { offset: Number(offset), timestamp: Number(timestamp) }
  return { partition, ...times, key: textOf(key), value: textOf(value), headers: pairs }
}

/** kafkajs reads by group only; a group of its own that seeks and commits nothing is its way to read by assignment. */
async function fetch({ topic, from, count, timeoutMs }: FetchArgs) {
  const consumer = kafka.consumer({ groupId: `assigned-${topic}-${Date.now()}`, maxWaitTimeInMs: WAIT_MS })
  const records: ReadRecord[] = []
  await consumer.connect()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        const start = from[partition]
        if (start !== undefined && Number(message.offset) >= start) records.push(read(partition, message))
      },
    })
    for (const [partition, offset] of Object.entries(from))
      if (offset >= 0) consumer.seek({ topic, partition: Number(partition), offset: String(offset) })
    await within(timeoutMs, () => records.length >= count)
    return { records }
  } finally {
    await consumer.disconnect()
  }
}

async function join({ member, group, topic }: JoinArgs) {
  const consumer = kafka.consumer({ groupId: group, ...TIMES })
  const own: Member = { consumer, topic, queue: [], assigned: [], next: new Map() }
  members.set(member, own)
  // What was fetched before a rebalance and not handed out belongs to the next owner.
  consumer.on(consumer.events.REBALANCING, () => {
    own.queue = []
    own.assigned = []
    own.next.clear()
  })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    own.queue = []
    own.assigned = payload.memberAssignment[topic] ?? []
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => void own.queue.push(read(partition, message)),
  })
  return {}
}

function memberOf(name: string): Member {
  const member = members.get(name)
  if (member === undefined) throw new Error(`no member ${name}`)
  return member
}

async function poll({ member: name, timeoutMs }: { member: string; timeoutMs: number }) {
  const member = memberOf(name)
  await within(timeoutMs, () => member.queue.length > 0)
  const records = member.queue.splice(0)
  for (const { partition, offset } of records) member.next.set(partition, offset + 1)
  return { records, assigned: member.assigned }
}

async function commit({ member: name }: { member: string }) {
  const { consumer, topic, next } = memberOf(name)
  await consumer.commitOffsets([...next].map(([partition, offset]) => ({ topic, partition, offset: String(offset) })))
  return {}
}

async function leave({ member }: { member: string }) {
  await memberOf(member).consumer.disconnect()
  members.delete(member)
  return {}
}

function configResource(topic: string) {
  return { type: ConfigResourceTypes.TOPIC, name: topic }
}

serve({
  produce,
  fetch,
  join,
  poll,
  commit,
  leave,
  offsetsAt: async ({ topic, partitions, timestamp }) => {
    const found = await (await admin()).fetchTopicOffsetsByTimestamp(topic, timestamp)
    const wanted = found.filter(({ partition }) => partitions.includes(partition))
    return { offsets: Object.fromEntries(wanted.map(({ partition, offset }) => [partition, Number(offset)])) }
  },
  createTopic: async ({ topic, partitions, replication, config }) => {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    const made = { topic, numPartitions: partitions, replicationFactor: replication, configEntries }
    if (!(await (await admin()).createTopics({ topics: [made] }))) throw new Error('TOPIC_ALREADY_EXISTS')
    return {}
  },
  listTopics: async () => ({ topics: await (await admin()).listTopics() }),
  describeTopic: async ({ topic }) => {
    const { topics } = await (await admin()).fetchTopicMetadata({ topics: [topic] })
    const found = topics[0]?.partitions ?? []
    return { partitions: found.map(({ partitionId, ...rest }) => ({ partition: partitionId, ...rest })) }
  },
  deleteTopic: async ({ topic }) => (await admin()).deleteTopics({ topics: [topic] }).then(() => ({})),
  createPartitions: async ({ topic, count }) => {
    const topicPartitions = [{ topic, count }]
    await (await admin()).createPartitions({ topicPartitions })
    return {}
  },
  deleteRecords: async ({ topic, partition, before }) => {
    // Without this it says that the topic's metadata is not loaded.
    await (await admin()).fetchTopicOffsets(topic)
    await (await admin()).deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] })
    return {}
  },
  topicConfig: async ({ topic }) => {
    const resources = [configResource(topic)]
    const { resources: found } = await (await admin()).describeConfigs({ resources, includeSynonyms: false })
    const entries = found[0]?.configEntries ?? []
    return { config: Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue])) }
  },
  alterTopicConfig: async ({ topic, set }) => {
    const configEntries = Object.entries(set).map(([name, value]) => ({ name, value }))
    const resources = [{ ...configResource(topic), configEntries }]
    await (await admin()).alterConfigs({ validateOnly: false, resources })
    return {}
  },
  listGroups: async () => ({ groups: (await (await admin()).listGroups()).groups.map(({ groupId }) => groupId) }),
  describeGroup: async ({ group }) => {
    const found = (await (await admin()).describeGroups([group])).groups[0]
    return { state: found?.state ?? 'unknown', members: found?.members.length ?? -1 }
  },
  groupOffsets: async ({ group, topic }) => {
    const found = (await (await admin()).fetchOffsets({ groupId: group, topics: [topic] }))[0]?.partitions ?? []
    return { offsets: Object.fromEntries(found.map(({ partition, offset }) => [partition, Number(offset)])) }
  },
  deleteGroup: async ({ group }) => (await admin()).deleteGroups([group]).then(() => ({})),
  close: async () => {
    await Promise.allSettled([...members.values()].map(({ consumer }) => consumer.disconnect()))
    await connected?.disconnect()
  },
})
