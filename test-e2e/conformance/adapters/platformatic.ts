// @platformatic/kafka as it is, behind the suite's operations.
import { Admin, Consumer, type Message, type MessagesStream, Producer } from '@platformatic/kafka'
import type { FetchArgs, JoinArgs, PlainRecord, ProduceArgs, ReadRecord } from '../core/operations.ts'
import { bytesOf, serve, textOf, within } from './lines.ts'

type Bytes = Buffer
type Stream = MessagesStream<Bytes, Bytes, Bytes, Bytes>

interface Member {
  readonly consumer: Consumer
  readonly stream: Stream
  readonly topic: string
  readonly queue: (ReadRecord & { readonly leaderEpoch: number })[]
  readonly next: Map<number, { offset: number; leaderEpoch: number }>
}

const base = {
  clientId: 'conformance-platformatic',
  bootstrapBrokers: (process.argv.at(-1) ?? '').split(','),
  retries: 5,
}
const members = new Map<string, Member>()
const TOPIC = 2
const SET = 0
let connected: Admin | null = null

function admin(): Admin {
  connected ??= new Admin(base)
  return connected
}

async function produce({ topic, records, codec = 'none', acks = -1, idempotent = false }: ProduceArgs) {
  const producer = new Producer(base)
  try {
    const messages = records.map(({ partition, timestamp, key, value, headers }) => ({
      topic,
      partition,
      key: bytesOf(key) as Bytes,
      value: bytesOf(value) as Bytes,
      headers: headersIn(headers),
      ...(timestamp === undefined ? {} : { timestamp: BigInt(timestamp) }),
    }))
    const { offsets } = await producer.send({ messages, acks, compression: codec, idempotent })
    const first = offsets?.[0]?.offset
    return { offsets: first === undefined ? null : records.map((_, at) => Number(first) + at) }
  } finally {
    await producer.close()
  }
}

/** A map by the identity of buffers takes a name twice. */
function headersIn(headers: PlainRecord['headers']): Map<Bytes, Bytes> {
  return new Map(headers.map(([name, value]) => [Buffer.from(name), bytesOf(value) as Bytes]))
}

function read({ partition, offset, timestamp, key, value, headerEntries }: Message): ReadRecord {
  const headers = headerEntries.map(([name, content]) => [name.toString(), textOf(content)] as const)
  return {
    partition,
    offset: Number(offset),
    timestamp: Number(timestamp),
    key: textOf(key),
    value: textOf(value),
    headers,
  }
}

const TIMES = { sessionTimeout: 10_000, heartbeatInterval: 300, rebalanceTimeout: 10_000, maxWaitTime: 250 }

async function fetch({ topic, from, count, timeoutMs }: FetchArgs) {
  const consumer = new Consumer({ ...base, groupId: `assigned-${topic}-${Date.now()}`, autocommit: false, ...TIMES })
  const records: ReadRecord[] = []
  try {
    const starts = Object.entries(from).map(([partition, offset]) => ({ topic, partition: Number(partition), offset }))
    const offsets = starts.map((start) => ({ ...start, offset: BigInt(Math.max(0, start.offset)) }))
    const stream = await consumer.consume({ topics: [topic], mode: 'manual', offsets })
    stream.on('data', (message) => {
      if (from[message.partition] !== undefined) records.push(read(message))
    })
    await within(timeoutMs, () => records.length >= count)
    await stream.close()
    return { records }
  } finally {
    await consumer.close(true)
  }
}

async function join({ member, group, topic, protocol }: JoinArgs) {
  const consumer =
    protocol === 'consumer'
      ? new Consumer({ ...base, groupId: group, autocommit: false, groupProtocol: 'consumer', maxWaitTime: 250 })
      : new Consumer({ ...base, groupId: group, autocommit: false, ...TIMES })
  // Joining may wait for the other members, which the scenario polls meanwhile.
  void consumer
    .consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' })
    .then((stream) => attach(member, { consumer, stream, topic, queue: [], next: new Map() }))
    .catch((error: unknown) => failures.set(member, error))
  joining.set(member, consumer)
  return {}
}

const joining = new Map<string, Consumer>()
const failures = new Map<string, unknown>()

function attach(name: string, member: Member): void {
  members.set(name, member)
  // What was handed out before a rebalance counts, though the stream was set back to the commit meanwhile: a fetch that was under way takes it on again from
  // behind what it handed out.
  member.stream.on('data', (message) => {
    if (owned(member).includes(message.partition))
      member.queue.push({ ...read(message), leaderEpoch: message.leaderEpoch })
  })
  member.stream.on('error', (error) => failures.set(name, error))
  // What others own now is committed by them.
  member.consumer.on('consumer:group:rebalance', () => member.next.clear())
}

function owned({ consumer, topic }: Member): number[] {
  return consumer.assignments?.find((assignment) => assignment.topic === topic)?.partitions ?? []
}

async function poll({ member: name, timeoutMs }: { member: string; timeoutMs: number }) {
  const failure = failures.get(name)
  if (failure !== undefined) throw failure
  await within(timeoutMs, () => (members.get(name)?.queue.length ?? 0) > 0)
  const member = members.get(name)
  if (member === undefined) return { records: [], assigned: [] }
  const own = owned(member)
  const records = member.queue.splice(0)
  for (const { partition, offset, leaderEpoch } of records)
    if (own.includes(partition)) member.next.set(partition, { offset: offset + 1, leaderEpoch })
  return { records, assigned: own }
}

async function commit({ member: name }: { member: string }) {
  const member = members.get(name)
  if (member === undefined || member.next.size === 0) return {}
  const own = owned(member)
  const offsets = [...member.next]
    .filter(([partition]) => own.includes(partition))
    .map(([partition, next]) => ({ topic: member.topic, partition, ...next, offset: BigInt(next.offset) }))
  if (offsets.length > 0) await member.consumer.commit({ offsets })
  return {}
}

async function leave({ member: name }: { member: string }) {
  await members.get(name)?.stream.close()
  await joining.get(name)?.close(true)
  members.delete(name)
  joining.delete(name)
  return {}
}

async function offsetsAt({
  topic,
  partitions,
  timestamp,
}: {
  topic: string
  partitions: readonly number[]
  timestamp: number
}) {
  const wanted = partitions.map((partitionIndex) => ({ partitionIndex, timestamp: BigInt(timestamp) }))
  const found = await admin().listOffsets({ topics: [{ name: topic, partitions: wanted }] })
  const own = found[0]?.partitions ?? []
  return { offsets: Object.fromEntries(own.map(({ partitionIndex, offset }) => [partitionIndex, Number(offset)])) }
}

serve({
  produce,
  fetch,
  join,
  poll,
  commit,
  leave,
  offsetsAt,
  createTopic: async ({ topic, partitions, replication, config }) => {
    const configs = Object.entries(config).map(([name, value]) => ({ name, value }))
    await admin().createTopics({ topics: [topic], partitions, replicas: replication, configs })
    return {}
  },
  listTopics: async () => ({ topics: await admin().listTopics() }),
  describeTopic: async ({ topic }) => {
    const { topics } = await admin().metadata({ topics: [topic], forceUpdate: true })
    const found = topics.get(topic)?.partitions ?? []
    const partitions = found.map(({ leader, replicas, isr }, partition) => ({ partition, leader, replicas, isr }))
    return { partitions }
  },
  deleteTopic: async ({ topic }) =>
    admin()
      .deleteTopics({ topics: [topic] })
      .then(() => ({})),
  createPartitions: async ({ topic, count }) => {
    await admin().createPartitions({ topics: [{ name: topic, count, assignments: null }] })
    return {}
  },
  deleteRecords: async ({ topic, partition, before }) => {
    await admin().deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset: BigInt(before) }] }] })
    return {}
  },
  topicConfig: async ({ topic }) => {
    const resources = [{ resourceType: TOPIC, resourceName: topic, configurationKeys: null }]
    const found = await admin().describeConfigs({ resources } as never)
    const pairs = (found[0]?.configs ?? []).map(({ name, value }) => [name, value ?? null] as const)
    return { config: Object.fromEntries(pairs) }
  },
  alterTopicConfig: async ({ topic, set }) => {
    const configs = Object.entries(set).map(([name, value]) => ({ name, value, configOperation: SET }))
    await admin().incrementalAlterConfigs({
      resources: [{ resourceType: TOPIC, resourceName: topic, configs }],
    } as never)
    return {}
  },
  listGroups: async () => ({ groups: [...(await admin().listGroups({ types: ['classic', 'consumer'] })).keys()] }),
  describeGroup: async ({ group }) => {
    const found = (await admin().describeGroups({ groups: [group] })).get(group)
    return { state: found?.state ?? 'unknown', members: found?.members.size ?? -1 }
  },
  groupOffsets: async ({ group, topic }) => {
    const found = await admin().listConsumerGroupOffsets({ groups: [group] })
    const own = found[0]?.topics.find(({ name }) => name === topic)?.partitions ?? []
    return { offsets: Object.fromEntries(own.map((each) => [each.partitionIndex, Number(each.committedOffset)])) }
  },
  deleteGroup: async ({ group }) =>
    admin()
      .deleteGroups({ groups: [group] })
      .then(() => ({})),
  close: async () => {
    await Promise.allSettled([...joining.values()].map((consumer) => consumer.close(true)))
    await connected?.close()
  },
})
