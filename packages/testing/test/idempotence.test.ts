import type { Client } from '@millrace/client'
import { Kafka, logLevel } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { createTestCluster } from '../src/index.ts'

const TOPIC = 'orders'

async function values(client: Client): Promise<string[]> {
  const found: string[] = []
  for await (const record of client.consumer({ assign: [{ topic: TOPIC }], until: 'end' }))
    found.push(Buffer.from(record.value ?? new Uint8Array()).toString())
  return found
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `v${at}`)
}

describe('idempotent producers on a cluster of three', () => {
  it('write each record once, in order, while leaders are killed under our own', { timeout: 60_000 }, async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    const { client } = cluster
    await client.admin.createTopic({ name: TOPIC, partitions: 1, replicationFactor: 3 })
    const producer = client.producer({ lingerMs: 0 })
    const sent: Promise<unknown>[] = []
    for (let at = 0; at < 300; at++) {
      sent.push(producer.send({ topic: TOPIC, value: `v${at}` }))
      if (at % 5 === 0) await Promise.all(sent.slice(-50, -40))
      if (at % 100 !== 50) continue
      const { leader } = (await client.admin.describeTopic(TOPIC)).partitions[0]!
      cluster.kill(leader)
      await Promise.all(sent)
      await cluster.start(leader)
    }
    await Promise.all(sent)
    expect(await values(client)).toEqual(numbered(300))
  })

  it('that are kafkajs are served', { timeout: 30_000 }, async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: 1, replicationFactor: 3 })
    const kafka = new Kafka({ brokers: [...cluster.bootstrap], logLevel: logLevel.NOTHING })
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    for (const value of numbered(20)) await producer.send({ topic: TOPIC, acks: -1, messages: [{ value }] })
    await producer.disconnect()
    expect(await values(cluster.client)).toEqual(numbered(20))
  })
})
