import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { DirEntry } from '@millrace/base'
import { Kafka, logLevel } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { createTestCluster, type TestCluster } from '../src/index.ts'
import { eventually } from './eventually.ts'

const TOPIC = 'profiles'
const KEYS = 50
const run = promisify(execFile)
const kcat = await run('kcat', ['-V']).then(
  () => true,
  () => false,
)
/** Compaction at once; a segment of a topic holds a megabyte at least. */
const PROPERTIES = { 'log.cleaner.backoff.ms': '100', 'offsets.topic.num.partitions': '1' }
const CONFIGS = { 'cleanup.policy': 'compact', 'segment.bytes': '1048576', 'min.cleanable.dirty.ratio': '0.01' }

/** What a folder's files of this kind take on a node. */
async function bytesOn(cluster: TestCluster, id: number, folder: string): Promise<number> {
  const entries = await new Promise<readonly DirEntry[]>((resolve, reject) =>
    cluster.disk(id).list(`/data/${folder}`, (error, found) => (error === null ? resolve(found) : reject(error))),
  )
  return entries.filter(({ name }) => name.endsWith('.log')).reduce((sum, { size }) => sum + size, 0)
}

/** Values of a kilobyte, the keys in turn; every tenth is a tombstone. */
async function write(cluster: TestCluster, from: number, count: number): Promise<void> {
  const producer = cluster.client.producer({ lingerMs: 1 })
  const records = Array.from({ length: count }, (_, i) => {
    const at = from + i
    const value = at % 10 === 0 ? null : `${at}-${'x'.repeat(1000)}`
    return { topic: TOPIC, partition: 0, key: `k${(at * 7) % KEYS}`, value }
  })
  await producer.sendAll(records)
  await producer.close()
}

function wanted(count: number): Map<string, string> {
  const latest = new Map<string, string>()
  for (let at = 0; at < count; at++)
    if (at % 10 === 0) latest.delete(`k${(at * 7) % KEYS}`)
    else latest.set(`k${(at * 7) % KEYS}`, String(at))
  return latest
}

interface Line {
  readonly key: string
  readonly value: string | null
}

function latest(lines: readonly Line[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const { key, value } of lines)
    if (value === null) found.delete(key)
    else found.set(key, value.split('-')[0] as string)
  return found
}

const OUTPUT = { maxBuffer: 1 << 26, timeout: 20_000 }

/** What kcat wrote. */
function linesOf(output: string): Line[] {
  return output
    .trim()
    .split('\n')
    .map((line) => line.split('=') as [string, string])
    .map(([key, value]) => ({ key, value: value === 'NULL' ? null : value }))
}

async function readAll(cluster: TestCluster): Promise<Line[]> {
  const lines: Line[] = []
  const consumer = cluster.client.consumer({ assign: [{ topic: TOPIC }], until: 'end' })
  for await (const { key, value } of consumer)
    lines.push({ key: Buffer.from(key ?? []).toString(), value: value === null ? null : Buffer.from(value).toString() })
  return lines
}

function compacted(cluster: TestCluster, id: number, below: number): Promise<true> {
  return eventually(
    `less than ${below} bytes on node ${id}`,
    async () => ((await bytesOn(cluster, id, `${TOPIC}-0`)) < below ? true : null),
    20_000,
  )
}

function inSync(cluster: TestCluster, count: number): Promise<true> {
  return eventually(`${count} replicas in sync`, async () => {
    const found = await cluster.client.admin.describeTopic(TOPIC).catch(() => null)
    return found?.partitions[0]?.isr.length === count ? true : null
  })
}

describe('a compacted topic', () => {
  it('is read by clients as the last value of each key, and caught up with by followers from any offset', async () => {
    await using cluster = await createTestCluster({ nodes: 3, properties: PROPERTIES })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1, replicationFactor: 3, configs: CONFIGS })
    await inSync(cluster, 3)
    await write(cluster, 0, 1500)
    const { leader } = (await cluster.client.admin.describeTopic(TOPIC)).partitions[0]!
    const [behind, wiped] = [1, 2, 3].filter((id) => id !== leader) as [number, number]
    // It will come back to a leader whose gaps begin below its end.
    cluster.kill(behind)
    await write(cluster, 1500, 3500)
    for (const id of [leader, wiped]) await compacted(cluster, id, 1_800_000)
    expect(latest(await readAll(cluster))).toEqual(wanted(5000))
    await cluster.start(behind)
    await inSync(cluster, 3)
    cluster.kill(leader)
    expect(latest(await readAll(cluster))).toEqual(wanted(5000))
    await cluster.start(leader)
    await inSync(cluster, 3)
    cluster.kill(wiped)
    await cluster.start(wiped, { wipe: true })
    await inSync(cluster, 3)
  }, 60_000)

  it.skipIf(!kcat)(
    'is read to its end by librdkafka and by kafkajs',
    async () => {
      await using cluster = await createTestCluster({ nodes: 1, properties: PROPERTIES })
      await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1, configs: CONFIGS })
      await write(cluster, 0, 4000)
      await compacted(cluster, 1, 1_800_000)
      const args = [
        '-C',
        '-b',
        cluster.bootstrap.join(','),
        '-t',
        TOPIC,
        '-o',
        'beginning',
        '-e',
        '-q',
        '-Z',
        '-K',
        '=',
      ]
      const { stdout } = await run('kcat', args, OUTPUT)
      const lines = linesOf(stdout)
      expect(latest(lines)).toEqual(wanted(4000))
      // From within a gap, too.
      const { stdout: rest } = await run('kcat', args.with(6, '1000'), OUTPUT)
      expect(latest(linesOf(rest))).toEqual(wanted(4000))

      const kafka = new Kafka({ brokers: [...cluster.bootstrap], logLevel: logLevel.NOTHING })
      const consumer = kafka.consumer({ groupId: 'readers' })
      await consumer.connect()
      await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
      const read: Line[] = []
      await consumer.run({
        eachMessage: ({ message: { key, value } }) => {
          read.push({ key: String(key), value: value === null ? null : value.toString() })
          return Promise.resolve()
        },
      })
      await eventually('all of it', () => (read.length >= lines.length ? true : null))
      await consumer.disconnect()
      expect(latest(read)).toEqual(wanted(4000))
    },
    60_000,
  )

  it('of committed offsets stays small, and the next coordinator finds what was committed last', async () => {
    const properties = {
      ...PROPERTIES,
      'offsets.topic.segment.bytes': '1048576',
      'log.cleaner.min.cleanable.ratio': '0.01',
    }
    await using cluster = await createTestCluster({ nodes: 3, properties })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1, replicationFactor: 3 })
    const kafka = new Kafka({ brokers: [...cluster.bootstrap], logLevel: logLevel.NOTHING })
    const consumer = kafka.consumer({ groupId: 'readers' })
    const joined = new Promise((resolve) => consumer.on('consumer.group_join', resolve))
    await consumer.connect()
    await consumer.subscribe({ topic: TOPIC })
    await consumer.run({ autoCommit: false, eachMessage: () => Promise.resolve() })
    await joined
    const metadata = 'x'.repeat(4000)
    for (let at = 0; at < 600; at++)
      await consumer.commitOffsets([{ topic: TOPIC, partition: 0, offset: String(at), metadata }])
    await consumer.disconnect()
    for (const id of [1, 2, 3])
      await eventually(`offsets compacted on node ${id}`, async () =>
        (await bytesOn(cluster, id, '__consumer_offsets-0')) < 1_200_000 ? true : null,
      )
    const { partitions } = await cluster.client.admin.describeTopic('__consumer_offsets')
    cluster.kill(partitions[0]!.leader)
    const admin = kafka.admin()
    await admin.connect()
    const found = await eventually('the offsets', () =>
      admin.fetchOffsets({ groupId: 'readers', topics: [TOPIC] }).catch(() => null),
    )
    expect(found[0]?.partitions[0]?.offset).toBe('599')
    await admin.disconnect()
  }, 60_000)
})
