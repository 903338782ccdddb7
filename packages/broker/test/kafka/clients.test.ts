import { execFile, spawnSync } from 'node:child_process'
import { connect } from 'node:net'
import { CreateTopicsApi } from '@millrace/protocol'
import { decode, encodeToBytes } from '@millrace/schema'
import { memoryWorld, MemoryLogger } from '@millrace/host'
import { splitBatches } from '@millrace/records'
import { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } from 'kafkajs'
import type { Admin } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createKafkaListener } from '../../src/kafka/listener.ts'
import type { KafkaListener } from '../../src/kafka/listener.ts'
import { FakeBroker } from './fake-broker.ts'

const HOST = '127.0.0.1'
const hasKcat = spawnSync('kcat', ['-V']).status === 0

const log = new MemoryLogger()
const world = memoryWorld({ name: 'broker-1', log })
const broker = new FakeBroker(world)
let listener: KafkaListener
let port = 0

beforeAll(async () => {
  const bind = { host: HOST, port: 0 }
  listener = createKafkaListener(broker, { name: 'PLAINTEXT', bind, advertised: bind, securityProtocol: 'PLAINTEXT' })
  port = await new Promise<number>((resolve, reject) => {
    listener.start((error, address) => (error === null ? resolve(address.port) : reject(error)))
  })
  broker.image.addBroker(1, { endpoints: [{ name: 'PLAINTEXT', host: HOST, port, securityProtocol: 'PLAINTEXT' }] })
  broker.controller.controllerId = 1
  broker.controller.answer = (request) => ({ error: 0, body: created(request.apiVersion, request.body) })
})

afterAll(async () => {
  await new Promise<void>((resolve) => listener.stop(() => resolve()))
})

/** A controller that says yes to every new topic. */
function created(version: number, body: Uint8Array): Uint8Array {
  const { topics } = decode(CreateTopicsApi.request, version, body)
  for (const { name, numPartitions } of topics)
    if (broker.image.topicByName(name) === null) broker.topic(name, Math.max(1, numPartitions))
  return encodeToBytes(CreateTopicsApi.response, version, {
    throttleTimeMs: 0,
    topics: topics.map(({ name }) => ({
      name,
      topicId: broker.image.topicByName(name)?.id ?? '',
      errorCode: 0,
      errorMessage: null,
      topicConfigErrorCode: 0,
      numPartitions: 1,
      replicationFactor: 1,
      configs: [],
    })),
  })
}

interface Run {
  readonly code: number
  readonly out: string
  readonly err: string
}

function kcat(args: readonly string[], input = ''): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile('kcat', ['-b', `${HOST}:${port}`, ...args], { timeout: 20_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err })
    })
    child.stdin?.end(input)
  })
}

describe.skipIf(!hasKcat)('kcat', () => {
  test('lists the cluster', async () => {
    broker.topic('listed', 2)
    const { code, out } = await kcat(['-L'])
    expect(code).toBe(0)
    expect(out).toContain(`broker 1 at ${HOST}:${port}`)
    expect(out).toContain('topic "listed" with 2 partitions')
  })

  test.each([
    ['none', '1'],
    ['gzip', 'all'],
    ['snappy', 'all'],
    ['lz4', 'all'],
    ['zstd', 'all'],
  ])('writes with codec %s and acks %s and reads back what it wrote', async (codec, acks) => {
    const topic = `kcat-${codec}`
    broker.topic(topic)
    const lines = Array.from({ length: 2000 }, (_, at) => `key-${at % 7}:${'value '.repeat(at % 50)}${at}`)
    const args = ['-P', '-t', topic, '-K', ':', '-z', codec, '-X', `acks=${acks}`]
    const written = await kcat(args, lines.join('\n'))
    expect(written).toMatchObject({ code: 0 })
    const read = await kcat(['-C', '-t', topic, '-K', ':', '-o', 'beginning', '-e', '-q'])
    expect(read.out.trimEnd().split('\n')).toEqual(lines)
    const timed = await kcat(['-Q', '-t', `${topic}:0:1`])
    expect(timed.out).toContain(`${topic} [0] offset 0`)
  })

  test('with acks=0 gets nothing back, and what it wrote is there', async () => {
    const [replica] = broker.topic('kcat-zero')
    const written = await kcat(['-P', '-t', 'kcat-zero', '-X', 'acks=0'], 'one\ntwo\n')
    expect(written.code).toBe(0)
    await expect.poll(() => replica?.endOffset, { timeout: 5000 }).toBe(2)
  })

  test('waits at the end of a partition and gets what comes', async () => {
    broker.topic('kcat-tail')
    const reading = kcat(['-C', '-t', 'kcat-tail', '-o', 'beginning', '-c', '1', '-q', '-X', 'fetch.wait.max.ms=10000'])
    await new Promise((resolve) => setTimeout(resolve, 700))
    await kcat(['-P', '-t', 'kcat-tail'], 'late\n')
    expect(await reading).toMatchObject({ code: 0, out: 'late\n' })
  })

  test('creates a topic by writing to it', async () => {
    const { code } = await kcat(['-P', '-t', 'kcat-created'], 'hello\n')
    expect(code).toBe(0)
    const read = await kcat(['-C', '-t', 'kcat-created', '-o', 'beginning', '-e', '-q'])
    expect(read.out).toBe('hello\n')
  })
})

describe('kafkajs', () => {
  const client = (): Kafka =>
    new Kafka({ brokers: [`${HOST}:${port}`], clientId: 'kafkajs', logLevel: logLevel.NOTHING, retry: { retries: 3 } })

  test('writes, five requests in flight, and the log has every record once, in order', async () => {
    const [replica] = broker.topic('js')
    const producer = client().producer({ maxInFlightRequests: 5, allowAutoTopicCreation: false })
    await producer.connect()
    const sends = Array.from({ length: 200 }, (_, at) =>
      producer.send({
        topic: 'js',
        acks: at % 2 === 0 ? -1 : 1,
        compression: at % 3 === 0 ? CompressionTypes.GZIP : CompressionTypes.None,
        messages: [{ key: 'k', value: `v${at}` }],
      }),
    )
    const answers = await Promise.all(sends)
    expect(answers.map(([metadata]) => Number(metadata?.baseOffset)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 200 }, (_, at) => at),
    )
    expect(splitBatches(Buffer.concat(replica?.batches ?? []))).toHaveLength(200)
    await producer.disconnect()
  })

  test('administers: topics, offsets, metadata, cluster and configurations', async () => {
    broker.topic('admin', 3)
    const admin: Admin = client().admin()
    await admin.connect()
    expect(await admin.listTopics()).toContain('admin')
    expect((await admin.fetchTopicOffsets('admin')).map(({ high, low }) => [high, low])).toEqual(
      Array.from({ length: 3 }, () => ['0', '0']),
    )
    const metadata = await admin.fetchTopicMetadata({ topics: ['admin'] })
    expect(metadata.topics[0]?.partitions).toHaveLength(3)
    expect(await admin.describeCluster()).toMatchObject({ controller: 1, brokers: [{ nodeId: 1, host: HOST, port }] })
    const configs = await admin.describeConfigs({
      includeSynonyms: true,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: 'admin' }],
    })
    expect(configs.resources[0]?.configEntries.find(({ configName }) => configName === 'cleanup.policy')).toMatchObject(
      {
        configValue: 'delete',
      },
    )
    expect(await admin.createTopics({ topics: [{ topic: 'admin-new', numPartitions: 2 }] })).toBe(true)
    expect(await admin.listTopics()).toContain('admin-new')
    await admin.deleteTopicRecords({ topic: 'admin', partitions: [{ partition: 0, offset: '-1' }] })
    await admin.disconnect()
  })
})

describe('a socket', () => {
  const talk = (bytes: Uint8Array): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ host: HOST, port }, () => socket.write(bytes))
      let received = ''
      socket.on('data', (chunk) => (received += chunk.toString('latin1')))
      socket.on('error', () => {})
      socket.on('close', () => resolve(received))
    })

  test('that speaks HTTP is closed, with a hint in the log', async () => {
    expect(await talk(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toBe('')
    const hint = log.lines.find(({ fields }) => String(fields['reason']).includes('HTTP'))
    expect(hint?.level).toBe('warn')
  })

  test('that sends a huge length is closed', async () => {
    expect(await talk(Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 0]))).toBe('')
  })
})
