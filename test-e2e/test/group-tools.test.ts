// Kafka's own kafka-consumer-groups and `millrace group` say the same, byte for byte, of groups at rest.
import { createTestCluster, type TestCluster } from '@millrace/testing'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type Consumer, Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasKafka, kafkaTool } from '../src/kafka-tools.ts'
import { MAIN } from '../src/process-cluster.ts'

const EMPTY_GROUPS = 20
const execute = promisify(execFile)

describe.skipIf(!hasKafka)('kafka-consumer-groups and millrace group', () => {
  let cluster: TestCluster
  const consumers: Consumer[] = []

  beforeAll(async () => {
    cluster = await createTestCluster({ nodes: 3 })
    const { admin } = cluster.client
    for (const [name, partitions] of [
      ['orders', 6],
      ['payments', 3],
    ] as const)
      await admin.createTopic({ name, partitions })
    const producer = cluster.client.producer()
    for (let at = 0; at < 60; at++)
      await producer.send({ topic: at % 3 === 0 ? 'payments' : 'orders', key: `${at}`, value: 'x' })
    for (let at = 0; at < EMPTY_GROUPS; at++)
      await admin.groups.alterOffsets(`empty-${at}`, [
        { topic: 'orders', partition: at % 6, offset: at % 4 },
        { topic: 'payments', partition: at % 3, offset: 1 },
      ])
    for (const [groupId, topics] of [
      ['both', ['orders', 'payments']],
      ['both', ['orders']],
      ['few', ['payments']],
      ['few', ['payments']],
      ['few', ['payments']],
      ['few', ['payments']],
    ] as const)
      await join(groupId, [...topics])
    await settled()
  })

  afterAll(async () => {
    await Promise.all(consumers.map((consumer) => consumer.disconnect()))
    await cluster?.close()
  })

  async function join(groupId: string, topics: string[]): Promise<void> {
    const clientId = `app-${consumers.length}`
    const kafka = new Kafka({ brokers: cluster.bootstrap, clientId, logLevel: logLevel.NOTHING })
    const consumer = kafka.consumer({ groupId, heartbeatInterval: 500 })
    consumers.push(consumer)
    await consumer.connect()
    await consumer.subscribe({ topics, fromBeginning: true })
    await consumer.run({ autoCommitInterval: 100, eachMessage: async () => {} })
  }

  /** Everybody has joined, and nothing was committed for a second. */
  async function settled(): Promise<void> {
    let before = ''
    for (let quiet = 0, tries = 0; tries < 120; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 250))
      const groups = await cluster.client.admin.groups.describe(['both', 'few'])
      const offsets = await Promise.all(['both', 'few'].map((name) => cluster.client.admin.groups.offsets(name)))
      const now = JSON.stringify([groups, offsets])
      const isStable =
        groups.every(({ state }) => state === 'Stable') &&
        groups[0]?.members.length === 2 &&
        groups[1]?.members.length === 4
      quiet = isStable && now === before ? quiet + 1 : 0
      if (quiet === 4) return
      before = now
    }
    throw new Error('the groups did not settle')
  }

  /** What ours and theirs print for the same question, asked at the same time. */
  async function said(ours: readonly string[], theirs: readonly string[]): Promise<{ ours: string; theirs: string }> {
    const bootstrap = cluster.bootstrap.join(',')
    const [{ stdout }, { out }] = await Promise.all([
      execute(process.execPath, [MAIN, 'group', ...ours, '-b', bootstrap]),
      kafkaTool('consumer-groups', ['--bootstrap-server', bootstrap, ...theirs]),
    ])
    return { ours: stdout, theirs: out }
  }

  it('describe all groups alike: twenty without members and two with', async () => {
    for (const how of [[], ['--verbose']]) {
      const { ours, theirs } = await said(['describe', '--all', ...how], ['--describe', '--all-groups', ...how])
      expect(ours).toBe(theirs)
      expect(ours.match(/^GROUP /gm)).toHaveLength(EMPTY_GROUPS + 2)
      expect(ours).toMatch(/^both +orders +\d .* \/127\.0\.0\.1 +app-[01]$/m)
    }
  })

  it('describe members and states alike', async () => {
    for (const name of ['both', 'few', 'empty-3'])
      for (const what of [['--members'], ['--members', '--verbose'], ['--state'], ['--state', '--verbose']]) {
        const { ours, theirs } = await said(['describe', name, ...what], ['--describe', '--group', name, ...what])
        expect(ours).toBe(theirs)
      }
  })

  it('list the same groups, in whatever order', async () => {
    for (const what of [[], ['--state', '--type'], ['--state', 'stable']]) {
      const { ours, theirs } = await said(['list', ...what], ['--list', ...what])
      expect(lines(ours)).toEqual(lines(theirs))
    }
  })

  it('plan the same resets, in whatever order', async () => {
    for (const to of [
      ['--to-earliest'],
      ['--to-latest'],
      ['--to-offset', '2'],
      ['--shift-by', '-1'],
      ['--to-current'],
    ]) {
      const how = [...to, '--all-topics', '--dry-run']
      const { ours, theirs } = await said(
        ['reset-offsets', 'empty-3', ...how],
        ['--reset-offsets', '--group', 'empty-3', ...how],
      )
      expect(lines(ours)).toEqual(lines(theirs))
      expect(lines(ours).filter((line) => line.startsWith('empty-3'))).toHaveLength(2)
    }
  })
})

function lines(text: string): readonly string[] {
  return text.split('\n').toSorted()
}
