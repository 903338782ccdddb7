import { type DirEntry, ErrorCode } from '@millrace/base'
import type { ConsumedRecord, PartitionMetadata } from '@millrace/client'
import { describe, expect, it } from 'vitest'
import { createTestCluster, type TestCluster } from '../src/index.ts'
import { eventually } from './eventually.ts'

const TOPIC = 'orders'

async function partitionOf(cluster: TestCluster, topic = TOPIC, partition = 0): Promise<PartitionMetadata> {
  const found = (await cluster.client.admin.describeTopic(topic)).partitions[partition]
  if (found === undefined) throw new Error(`no partition ${partition} of ${topic}`)
  return found
}

function inSync(cluster: TestCluster, count: number, topic = TOPIC, partition = 0): Promise<PartitionMetadata> {
  return eventually(`${count} replicas in sync`, async () => {
    const found = await partitionOf(cluster, topic, partition).catch(() => null)
    return found !== null && found.leader > 0 && found.isr.length === count ? found : null
  })
}

async function readAll(cluster: TestCluster, topic = TOPIC): Promise<ConsumedRecord[]> {
  const records: ConsumedRecord[] = []
  for await (const record of cluster.client.consumer({ assign: [{ topic }], until: 'end' })) records.push(record)
  return records
}

function text(record: ConsumedRecord): string {
  return Buffer.from(record.value ?? new Uint8Array()).toString()
}

async function write(cluster: TestCluster, from: number, count: number, topic = TOPIC): Promise<void> {
  const producer = cluster.client.producer({ lingerMs: 0 })
  await Promise.all(
    Array.from({ length: count }, (_, at) => producer.send({ topic, partition: 0, value: `r${from + at}` })),
  )
  await producer.close()
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `r${at}`)
}

/** A partition's log as one node's files hold it, joined: segment boundaries do not show. */
async function bytesOn(cluster: TestCluster, id: number, topic = TOPIC): Promise<string> {
  const disk = cluster.disk(id)
  const folder = `/data/${topic}-0`
  const entries = await new Promise<readonly DirEntry[]>((resolve, reject) =>
    disk.list(folder, (error, found) => (error === null ? resolve(found) : reject(error))),
  )
  const parts = entries
    .map(({ name }) => name)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .map((name) => {
      const file = disk.openNow(`${folder}/${name}`, 'read')
      const bytes = Buffer.alloc(file.size)
      file.readNow(0, bytes)
      return bytes
    })
  return Buffer.concat(parts).toString('hex')
}

describe('a cluster of three nodes', () => {
  it('gives back what was acknowledged, in order', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1 })
    await write(cluster, 0, 1_000)
    expect((await readAll(cluster)).map(text)).toEqual(numbered(1_000))
    expect((await inSync(cluster, 3)).replicas).toHaveLength(3)
  })

  it('loses nothing acknowledged when the leader is killed, and goes on writing', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1 })
    await write(cluster, 0, 200)
    const { leader } = await inSync(cluster, 3)
    cluster.kill(leader)
    await write(cluster, 200, 200)
    expect([...new Set((await readAll(cluster)).map(text))]).toEqual(numbered(400))
    await cluster.start(leader)
    await inSync(cluster, 3)
  })

  it('moves leaderships away from a node before it stops', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1 })
    await write(cluster, 0, 50)
    const { leader } = await inSync(cluster, 3)
    await cluster.stop(leader)
    const after = await inSync(cluster, 2)
    expect(after.leader).not.toBe(leader)
    await write(cluster, 50, 50)
    expect((await readAll(cluster)).map(text)).toEqual(numbered(100))
  })

  it('holds the same bytes on every replica after kills and restarts', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1 })
    let written = 0
    for (let round = 0; round < 3; round++) {
      await write(cluster, written, 100)
      written += 100
      const { leader } = await inSync(cluster, 3)
      cluster.kill(leader)
      await write(cluster, written, 50)
      written += 50
      await cluster.start(leader)
      await inSync(cluster, 3)
    }
    await write(cluster, written, 1)
    const one = await eventually('equal bytes', async () => {
      const all = await Promise.all([1, 2, 3].map((id) => bytesOn(cluster, id)))
      return all[0] === all[1] && all[1] === all[2] ? all[0]! : null
    })
    expect(one.length).toBeGreaterThan(0)
  })

  it('refuses acks=all below min.insync.replicas and serves again when the replica is back', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({
      name: TOPIC,
      partitions: 1,
      replicationFactor: 2,
      configs: { 'min.insync.replicas': '2' },
    })
    await write(cluster, 0, 10)
    const { leader, replicas } = await inSync(cluster, 2)
    const follower = replicas.find((id) => id !== leader) as number
    cluster.kill(follower)
    await inSync(cluster, 1)
    // The leader may not have heard of the smaller ISR yet: then it appends, and the broker's own wait ends the send.
    await using producer = cluster.client.producer({ deliveryTimeoutMs: 300, requestTimeoutMs: 300, lingerMs: 0 })
    await expect(producer.send({ topic: TOPIC, partition: 0, value: 'refused' })).rejects.toThrow(
      /not acknowledged|NOT_ENOUGH|not enough/i,
    )
    await cluster.start(follower)
    await inSync(cluster, 2)
    await write(cluster, 10, 10)
    expect((await readAll(cluster)).map(text).filter((value) => value !== 'refused')).toEqual(numbered(20))
  })

  it('never elects a wiped replica with an empty log', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1, replicationFactor: 1 })
    await write(cluster, 0, 20)
    const { leader } = await inSync(cluster, 1)
    cluster.kill(leader)
    await cluster.start(leader, { wipe: true })
    const after = await partitionOf(cluster)
    expect(after.leader).toBe(-1)
  })

  it('takes a wiped node back: it copies everything and joins the in-sync replicas', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1 })
    await write(cluster, 0, 100)
    const { leader } = await inSync(cluster, 3)
    const other = leader === 1 ? 2 : 1
    cluster.kill(other)
    await write(cluster, 100, 20)
    await cluster.start(other, { wipe: true })
    await inSync(cluster, 3)
    cluster.kill(leader)
    await inSync(cluster, 2)
    expect((await readAll(cluster)).map(text)).toEqual(numbered(120))
  })

  it('starts a recreated topic empty and under a new id', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    const { admin } = cluster.client
    await admin.createTopic({ name: TOPIC, partitions: 1 })
    await write(cluster, 0, 10)
    const before = (await admin.describeTopic(TOPIC)).topicId
    await admin.deleteTopic(TOPIC)
    await eventually('the topic is gone', async () =>
      (await admin.listTopics()).some(({ name }) => name === TOPIC) ? null : true,
    )
    await admin.createTopic({ name: TOPIC, partitions: 1 })
    await inSync(cluster, 3)
    expect((await admin.describeTopic(TOPIC)).topicId).not.toBe(before)
    expect(await readAll(cluster)).toEqual([])
  })

  it('stops node by node, the last ones although nobody is left to take over', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1 })
    await write(cluster, 0, 10)
    for (const id of [1, 2, 3]) await cluster.stop(id)
    await Promise.all([1, 2, 3].map((id) => cluster.start(id)))
    await inSync(cluster, 3)
    expect((await readAll(cluster)).map(text)).toEqual(numbered(10))
  })

  it('survives the loss of the active controller', async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1 })
    const leader = cluster.node(1).controller?.status.leader ?? -1
    cluster.kill(leader)
    await cluster.client.admin.createTopic({ name: 'second', partitions: 1, replicationFactor: 2 })
    await write(cluster, 0, 10, 'second')
    expect((await readAll(cluster, 'second')).map(text)).toEqual(numbered(10))
  })
})

describe('a cluster of one node', () => {
  it('serves at once and keeps its records over a restart', async () => {
    await using cluster = await createTestCluster()
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1 })
    await write(cluster, 0, 100)
    await cluster.stop(1)
    await cluster.start(1)
    await write(cluster, 100, 10)
    cluster.kill(1)
    await cluster.start(1)
    await inSync(cluster, 1)
    expect((await readAll(cluster)).map(text)).toEqual(numbered(110))
  })

  it('tells what is wrong with a request', async () => {
    await using cluster = await createTestCluster()
    const { admin } = cluster.client
    await admin.createTopic({ name: TOPIC, partitions: 1 })
    await expect(admin.createTopic({ name: TOPIC })).rejects.toMatchObject({ code: ErrorCode.TOPIC_ALREADY_EXISTS })
    await expect(admin.createTopic({ name: '..' })).rejects.toMatchObject({ code: ErrorCode.INVALID_TOPIC_EXCEPTION })
    await expect(admin.createTopic({ name: 'a/b' })).rejects.toMatchObject({ code: ErrorCode.INVALID_TOPIC_EXCEPTION })
    await expect(admin.createTopic({ name: 'wide', replicationFactor: 9 })).rejects.toMatchObject({
      code: ErrorCode.INVALID_REPLICATION_FACTOR,
    })
    await expect(admin.createTopic({ name: 'odd', configs: { 'retention.mss': '1' } })).rejects.toMatchObject({
      code: ErrorCode.INVALID_CONFIG,
    })
    await expect(admin.deleteTopic('nobody')).rejects.toMatchObject({ code: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION })
  })
})
