// Against a real cluster, of Apache Kafka or any other that speaks its protocol: set MILLRACE_TEST_BOOTSTRAP=host:port,… to run these.
import { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, type ConsumedRecord, createClient } from '../src/index.ts'

const bootstrap = process.env['MILLRACE_TEST_BOOTSTRAP']?.split(',') ?? []
const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())

async function readAll(client: Client, topic: string): Promise<ConsumedRecord[]> {
  const records: ConsumedRecord[] = []
  for await (const record of client.consumer({ assign: [{ topic }], until: 'end' })) records.push(record)
  return records
}

describe.skipIf(bootstrap.length === 0)('the client against a cluster', () => {
  let client: Client
  let kafka: Kafka
  const made: string[] = []

  beforeAll(() => {
    client = createClient({ bootstrap })
    kafka = new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING })
  })

  afterAll(async () => {
    for (const topic of made) await client.admin.deleteTopic(topic)
    await client.close()
  })

  async function newTopic(partitions: number, configs: Record<string, string> = {}): Promise<string> {
    const name = `millrace-test-${Date.now()}-${made.length}`
    await client.admin.createTopic({ name, partitions, configs })
    made.push(name)
    return name
  }

  it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)('reads what it wrote with %s', async (compression) => {
    const topic = await newTopic(3)
    const producer = client.producer({ compression })
    await producer.sendAll(
      Array.from({ length: 3_000 }, (_, at) => ({
        topic,
        key: `k${at % 50}`,
        value: `välue ${at}`,
        headers: { h: `${at}` },
      })),
    )
    const records = await readAll(client, topic)
    expect(records).toHaveLength(3_000)
    for (let key = 0; key < 50; key++) {
      const mine = records.filter((record) => text(record.key) === `k${key}`)
      expect(new Set(mine.map(({ partition }) => partition)).size).toBe(1)
      expect(mine.map(({ value }) => text(value))).toEqual(
        Array.from({ length: 60 }, (_, at) => `välue ${at * 50 + key}`),
      )
    }
    expect(text(records[0]?.headers[0]?.value ?? null)).toMatch(/^\d+$/)
  })

  it.each(['none', 'gzip'] as const)('understands kafkajs and is understood by it, with %s', async (compression) => {
    const topic = await newTopic(1)
    const theirs = kafka.producer({ allowAutoTopicCreation: false })
    await theirs.connect()
    await theirs.send({
      topic,
      compression: compression === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None,
      messages: [
        { key: 'k', value: 'from kafkajs', headers: { h: 'x' } },
        { key: null, value: null },
      ],
    })
    await theirs.disconnect()
    await client.producer({ compression }).sendAll([
      { topic, key: 'k', value: 'from millrace', headers: { h: 'y' }, timestamp: 1_700_000_000_000 },
      { topic, value: null },
    ])
    expect((await readAll(client, topic)).map(({ value }) => text(value))).toEqual([
      'from kafkajs',
      null,
      'from millrace',
      null,
    ])
    const consumer = kafka.consumer({ groupId: topic, maxWaitTimeInMs: 100 })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    const seen: [string | null, string | undefined][] = []
    await new Promise<void>((resolve, reject) => {
      consumer
        .run({
          eachMessage: async ({ message }) => {
            seen.push([message.value?.toString() ?? null, message.headers?.['h']?.toString()])
            if (seen.length === 4) resolve()
          },
        })
        .catch(reject)
    })
    await consumer.disconnect()
    expect(seen).toEqual([
      ['from kafkajs', 'x'],
      [null, undefined],
      ['from millrace', 'y'],
      [null, undefined],
    ])
  })

  it('passes the markers of transactions and leaves out what was aborted', async () => {
    const topic = await newTopic(1)
    const theirs = kafka.producer({ transactionalId: topic, idempotent: true, maxInFlightRequests: 1 })
    await theirs.connect()
    for (const outcome of ['commit', 'abort', 'commit', 'abort'] as const) {
      const transaction = await theirs.transaction()
      await transaction.send({ topic, messages: [{ value: outcome }] })
      await (outcome === 'commit' ? transaction.commit() : transaction.abort())
    }
    await theirs.disconnect()
    const consumer = client.consumer({ assign: [{ topic }], until: 'end' })
    const values: (string | null)[] = []
    for await (const { value } of consumer) values.push(text(value))
    expect(values).toEqual(['commit', 'commit'])
    expect(consumer.position[0]?.offset).toBe(8)
  })

  it('splits what the topic finds too large and fails the one record that is', async () => {
    const topic = await newTopic(1, { 'max.message.bytes': '5000' })
    const producer = client.producer()
    const values = Array.from({ length: 500 }, (_, at) => (at === 250 ? 'x'.repeat(20_000) : `r${at}`))
    const outcomes = await Promise.allSettled(values.map((value) => producer.send({ topic, partition: 0, value })))
    const failed = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
    expect(failed.map(({ reason }) => (reason as { codeName: string }).codeName)).toEqual(['MESSAGE_TOO_LARGE'])
    const read = (await readAll(client, topic)).map(({ value }) => text(value))
    expect(read).toEqual(values.filter((value) => value.length < 100))
  })

  it('fails only the records without a key on a compacted topic', async () => {
    const topic = await newTopic(1, { 'cleanup.policy': 'compact' })
    const producer = client.producer({ lingerMs: 20 })
    const outcomes = await Promise.allSettled(
      ['a', null, 'b'].map((key) => producer.send({ topic, partition: 0, key, value: 'v' })),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })

  it('administers topics', async () => {
    const topic = await newTopic(1, { 'retention.ms': '100000' })
    const { admin } = client
    await expect(admin.createTopic({ name: topic })).rejects.toMatchObject({ codeName: 'TOPIC_ALREADY_EXISTS' })
    await expect(admin.createTopic({ name: 'a b' })).rejects.toMatchObject({ codeName: 'INVALID_TOPIC_EXCEPTION' })
    await expect(admin.createTopic({ name: `${topic}x`, replicationFactor: 99 })).rejects.toMatchObject({
      codeName: 'INVALID_REPLICATION_FACTOR',
    })
    await admin.createTopic({ name: `${topic}x` }, { validateOnly: true })
    await expect(admin.describeTopic(`${topic}x`)).rejects.toMatchObject({ codeName: 'UNKNOWN_TOPIC_OR_PARTITION' })
    await admin.createPartitions(topic, 3)
    expect((await admin.describeTopic(topic)).partitions).toHaveLength(3)
    await expect(admin.createPartitions(topic, 2)).rejects.toMatchObject({ codeName: 'INVALID_PARTITIONS' })
    await admin.alterTopicConfigs(topic, { 'retention.ms': null, 'segment.bytes': '1048576' })
    await expect
      .poll(async () =>
        (await admin.topicConfigs(topic)).filter(({ source }) => source === 'topic').map(({ name }) => name),
      )
      .toEqual(['segment.bytes'])
    await client.producer().sendAll(
      [1_000, 2_000, 3_000].map((timestamp) => ({
        topic,
        partition: 0,
        value: 'x',
        timestamp: 1_700_000_000_000 + timestamp,
      })),
    )
    expect((await admin.offsetsAt(topic, 1_700_000_001_500)).map((found) => found?.offset ?? null)).toEqual([
      1,
      null,
      null,
    ])
    expect(await admin.deleteRecords(topic, 0, 2)).toBe(2)
    expect(await admin.offsets(topic, 0)).toEqual({ earliest: 2, latest: 3 })
    await expect(readAllFrom(topic, 0)).rejects.toMatchObject({ codeName: 'OFFSET_OUT_OF_RANGE' })
  })

  async function readAllFrom(topic: string, offset: number): Promise<void> {
    const consumer = client.consumer({ assign: [{ topic, partition: 0, from: { offset } }], until: 'end' })
    for await (const record of consumer) void record
  }
})
