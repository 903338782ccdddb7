import { describe, expect, it } from 'vitest'
import { createTestCluster, type TestCluster } from '../src/index.ts'
import { eventually } from './eventually.ts'

const OFFSETS = '__consumer_offsets'
const PROPERTIES = {
  'offsets.topic.num.partitions': '1',
  'offsets.topic.replication.factor': '1',
  'min.insync.replicas': '1',
}

async function moved(cluster: TestCluster, topic: string, replicas: readonly number[]): Promise<void> {
  const { admin } = cluster.client
  await admin.reassign(topic, [{ partition: 0, replicas }])
  await eventually(`the move of ${topic} to ${replicas.join()}`, async () => {
    if ((await admin.reassignments(topic)).length > 0) return null
    const [partition] = (await admin.describeTopic(topic)).partitions
    return partition?.replicas.join() === replicas.join() && replicas.includes(partition.leader) ? true : null
  })
}

describe('a coordinator whose partition moves', () => {
  it('takes what groups committed along, and goes on under the next epoch where it stays', async () => {
    await using cluster = await createTestCluster({ nodes: 3, properties: PROPERTIES })
    const { admin } = cluster.client
    await admin.createTopic({ name: 't', partitions: 1 })
    const commit = (offset: number): Promise<void> =>
      admin.groups.alterOffsets('readers', [{ topic: 't', partition: 0, offset }])
    const committed = async (): Promise<number | undefined> => (await admin.groups.offsets('readers'))[0]?.offset
    let offset = 0
    // To each broker alone, to two of which the first was there already, and away from the second.
    for (const replicas of [[1], [2], [3], [3, 1], [3], [1, 2]]) {
      await commit(++offset)
      const commits = (async () => {
        for (let at = 0; at < 20; at++) await commit(++offset)
      })()
      await Promise.all([moved(cluster, OFFSETS, replicas), commits])
      expect(await committed()).toBe(offset)
    }
  })
})

describe('a producer and a consumer', () => {
  it('do not notice that their partition goes round the cluster, but for its leader', async () => {
    await using cluster = await createTestCluster({ nodes: 3, properties: PROPERTIES })
    const { client } = cluster
    await client.admin.createTopic({ name: 't', partitions: 1, replicationFactor: 1 })
    const state = { over: false }
    const sent: string[] = []
    const writing = (async () => {
      await using producer = client.producer()
      while (!state.over) {
        const value = `v${sent.length}`
        await producer.send({ topic: 't', value })
        sent.push(value)
      }
    })()
    for (const replicas of [[1], [2, 3], [3], [1, 2, 3], [2]]) {
      const before = sent.length
      await moved(cluster, 't', replicas)
      await eventually('more writes', () => (sent.length > before + 10 ? true : null))
    }
    state.over = true
    await writing
    const read: string[] = []
    for await (const { value } of client.consumer({ assign: [{ topic: 't' }], until: 'end' }))
      read.push(Buffer.from(value ?? []).toString())
    // The producer is idempotent: nothing is lost, and nothing twice.
    expect(read).toEqual(sent)
    expect(sent.length).toBeGreaterThan(20)
  })
})
