import { ErrorCode } from '@millrace/base'
import { type Client, type ConsumedRecord, KafkaError } from '@millrace/client'
import { describe, expect, it } from 'vitest'
import { createTestCluster, type TestCluster } from '../src/index.ts'
import { eventually } from './eventually.ts'

const TOPIC = 'orders'
const PARTITIONS = 3

function text(record: ConsumedRecord): string {
  return Buffer.from(record.value ?? new Uint8Array()).toString()
}

async function readAll(client: Client, topic = TOPIC): Promise<ConsumedRecord[]> {
  const records: ConsumedRecord[] = []
  for await (const record of client.consumer({ assign: [{ topic }], until: 'end' })) records.push(record)
  return records
}

function allInSync(cluster: TestCluster, count: number): Promise<true> {
  return eventually(`${count} replicas in sync everywhere`, async () => {
    const topic = await cluster.client.admin.describeTopic(TOPIC).catch(() => null)
    return topic?.partitions.every(({ leader, isr }) => leader > 0 && isr.length === count) === true ? true : null
  })
}

/** Writes numbered records to every partition until it is told to stop, two rounds at least; resolves with how many were acknowledged in each. */
async function writeUntil(client: Client, stop: AbortSignal): Promise<number[]> {
  const producer = client.producer({ lingerMs: 1 })
  const counts = Array.from({ length: PARTITIONS }, () => 0)
  for (let round = 0; round < 2 || !stop.aborted; round++) {
    await Promise.all(
      counts.map(async (from, partition) => {
        const values = Array.from({ length: 20 }, (_, at) => `${from + at}`)
        await producer.sendAll(values.map((value) => ({ topic: TOPIC, partition, value })))
        counts[partition] = from + 20
      }),
    )
  }
  await producer.close()
  return counts
}

/** Values in the order of their first appearance: a retry may have written some twice. */
function firsts(records: readonly ConsumedRecord[], partition: number): string[] {
  return [...new Set(records.filter((record) => record.partition === partition).map(text))]
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${at}`)
}

describe('the client of a cluster whose nodes come and go', () => {
  it('writes in order and loses nothing acknowledged while leaders are killed, and a consumer sees the log as it is', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: PARTITIONS })
    const stop = new AbortController()
    const writing = writeUntil(cluster.client, stop.signal)
    const followed: ConsumedRecord[] = []
    const follower = cluster.client.consumer({ assign: [{ topic: TOPIC }], maxWaitMs: 50 })
    const following = (async () => {
      for await (const record of follower) followed.push(record)
    })()
    for (const node of [1, 2, 3]) {
      await allInSync(cluster, 3)
      cluster.kill(node)
      await new Promise((resolve) => setTimeout(resolve, 300))
      await cluster.start(node)
    }
    stop.abort()
    const counts = await writing
    const records = await readAll(cluster.client)
    await eventually('the follower at the end', async () => (followed.length >= records.length ? true : null))
    follower.close()
    await following
    for (let partition = 0; partition < PARTITIONS; partition++) {
      expect(counts[partition]).toBeGreaterThan(20)
      expect(firsts(records, partition)).toEqual(numbered(counts[partition] as number))
      const offsets = (all: readonly ConsumedRecord[]): string[] =>
        all.filter((record) => record.partition === partition).map((record) => `${record.offset}:${text(record)}`)
      expect(offsets(followed)).toEqual(offsets(records))
    }
  })

  it('writes every record once while nodes are stopped in order, one after the other', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: PARTITIONS })
    const stop = new AbortController()
    const writing = writeUntil(cluster.client, stop.signal)
    for (const node of [1, 2, 3]) {
      await allInSync(cluster, 3)
      await cluster.stop(node)
      await cluster.start(node)
    }
    stop.abort()
    const counts = await writing
    const records = await readAll(cluster.client)
    for (let partition = 0; partition < PARTITIONS; partition++)
      expect(firsts(records, partition)).toEqual(numbered(counts[partition] as number))
  })

  it('waits through the loss of the whole cluster and goes on with the same promises', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    const { client } = cluster
    await client.admin.createTopic({ name: TOPIC, partitions: 1 })
    await allInSync(cluster, 3)
    const producer = client.producer({ lingerMs: 0 })
    await producer.send({ topic: TOPIC, value: '0' })
    for (const node of [1, 2, 3]) cluster.kill(node)
    const sent = Promise.all(['1', '2', '3'].map((value) => producer.send({ topic: TOPIC, value })))
    await new Promise((resolve) => setTimeout(resolve, 200))
    await Promise.all([1, 2, 3].map((node) => cluster.start(node)))
    await sent
    expect(firsts(await readAll(client), 0)).toEqual(['0', '1', '2', '3'])
  })
})

describe('the client of a cluster whose topics come and go', () => {
  it('follows a topic that is deleted and created with another number of partitions', async () => {
    await using cluster = await createTestCluster({ nodes: 1 })
    const { client } = cluster
    const { admin } = client
    await admin.createTopic({ name: TOPIC, partitions: 2 })
    const producer = client.producer({ lingerMs: 0 })
    await producer.send({ topic: TOPIC, partition: 1, value: 'old' })
    await admin.deleteTopic(TOPIC)
    await expect(admin.describeTopic(TOPIC)).rejects.toMatchObject({ code: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION })
    await admin.createTopic({ name: TOPIC, partitions: 1 })
    await producer.send({ topic: TOPIC, partition: 0, value: 'new' })
    const gone = await producer.send({ topic: TOPIC, partition: 1, value: 'gone' }).catch((error: unknown) => error)
    expect((gone as KafkaError).code).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect((await readAll(client)).map(text)).toEqual(['new'])
    await admin.createPartitions(TOPIC, 3)
    expect((await admin.describeTopic(TOPIC)).partitions).toHaveLength(3)
    await producer.send({ topic: TOPIC, partition: 2, value: 'more' })
    expect((await readAll(client)).map(text).toSorted()).toEqual(['more', 'new'])
  })

  it('reads and changes settings, deletes records and finds offsets by time', async () => {
    await using cluster = await createTestCluster({ nodes: 1 })
    const { admin } = cluster.client
    await admin.createTopic({ name: TOPIC, partitions: 1, configs: { 'retention.ms': '100000000000' } })
    await admin.alterTopicConfigs(TOPIC, { 'max.message.bytes': '5000', 'retention.ms': null })
    const own = (await admin.topicConfigs(TOPIC)).filter(({ source }) => source === 'topic')
    expect(own.map(({ name, value }) => [name, value])).toEqual([['max.message.bytes', '5000']])
    const producer = cluster.client.producer()
    const now = Date.now()
    const values = Array.from({ length: 300 }, (_, at) => ({ topic: TOPIC, value: `r${at}`, timestamp: now + at }))
    await producer.sendAll(values)
    await expect(producer.send({ topic: TOPIC, value: 'x'.repeat(9_000) })).rejects.toMatchObject({
      code: ErrorCode.MESSAGE_TOO_LARGE,
    })
    expect((await admin.offsetsAt(TOPIC, now + 150))[0]).toMatchObject({ offset: 150 })
    expect((await admin.offsetsAt(TOPIC, now + 1_000_000))[0]).toBeNull()
    expect(await admin.deleteRecords(TOPIC, 0, 100)).toBe(100)
    expect(await admin.offsets(TOPIC, 0)).toEqual({ earliest: 100, latest: 300 })
    expect((await readAll(cluster.client)).map(text)).toEqual(values.slice(100).map(({ value }) => value))
  })

  it.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)('writes and reads batches with %s', async (compression) => {
    await using cluster = await createTestCluster({ nodes: 1 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1 })
    const values = Array.from({ length: 1_000 }, (_, at) => `value ${at}`)
    await cluster.client.producer({ compression }).sendAll(values.map((value) => ({ topic: TOPIC, value })))
    expect((await readAll(cluster.client)).map(text)).toEqual(values)
  })
})
