import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryLogger } from '@millrace/host'
import { type Admin, type Consumer, type ISocketFactory, Kafka, logLevel } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { createTestCluster, type TestCluster } from '../src/index.ts'
import { eventually } from './eventually.ts'

const TOPIC = 'orders'
const GROUP = 'readers'
const PARTITIONS = 6

/** A process's connections, which can all end at once and for good, as when it is killed. */
class Wires {
  private readonly sockets = new Set<Socket>()
  private isCut = false

  readonly socketFactory: ISocketFactory = ({ host, port, onConnect }) => {
    const socket = this.isCut ? connect({ host: '127.0.0.1', port: 1 }) : connect({ host, port }, onConnect)
    this.sockets.add(socket)
    return socket
  }

  cut(): void {
    this.isCut = true
    for (const socket of this.sockets) socket.destroy()
  }
}

function kafkaOf(cluster: TestCluster, wires?: Wires): Kafka {
  return new Kafka({
    brokers: [...cluster.bootstrap],
    ...(wires === undefined ? {} : { socketFactory: wires.socketFactory }),
    clientId: 'js',
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries: wires === undefined ? 30 : 3 },
  })
}

async function produce(kafka: Kafka, from: number, count: number): Promise<void> {
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  const messages = Array.from({ length: count }, (_, at) => ({ key: `k${from + at}`, value: `v${from + at}` }))
  await producer.send({ topic: TOPIC, acks: -1, messages })
  await producer.disconnect()
}

interface Member {
  readonly consumer: Consumer
  readonly values: string[]
}

/** A consumer of the group that runs; what it read is kept. */
async function member(kafka: Kafka, options: { readonly sessionTimeout?: number } = {}): Promise<Member> {
  const consumer = kafka.consumer({
    groupId: GROUP,
    sessionTimeout: options.sessionTimeout ?? 6000,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 200,
    maxWaitTimeInMs: 50,
  })
  const values: string[] = []
  await consumer.connect()
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  await consumer.run({
    autoCommitInterval: 100,
    eachMessage: ({ message }) => {
      values.push(String(message.value))
      return Promise.resolve()
    },
  })
  return { consumer, values }
}

function read(members: readonly Member[], count: number): Promise<Set<string>> {
  return eventually(
    `${count} values read`,
    () => {
      const values = new Set(members.flatMap((one) => one.values))
      return values.size >= count ? values : null
    },
    40_000,
  )
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `v${at}`)
}

async function committed(admin: Admin): Promise<number> {
  const [topic] = await admin.fetchOffsets({ groupId: GROUP, topics: [TOPIC] })
  return (topic?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
}

function allCommitted(admin: Admin, count: number): Promise<true> {
  return eventually(`${count} committed`, async () => ((await committed(admin)) === count ? true : null), 30_000)
}

async function coordinatorOf(cluster: TestCluster): Promise<number> {
  const admin = kafkaOf(cluster).admin()
  await admin.connect()
  const { brokers } = await admin.describeCluster()
  await admin.disconnect()
  for (const { nodeId } of brokers)
    for (const { groupId } of cluster.node(nodeId).broker?.context.groups.views() ?? [])
      if (groupId === GROUP) return nodeId
  throw new Error('nobody coordinates the group')
}

describe('a consumer group of kafkajs', () => {
  it(
    'divides a topic between two members, and goes on with one when the other leaves',
    { timeout: 60_000 },
    async () => {
      const logs = [1, 2, 3].map(() => new MemoryLogger())
      await using cluster = await createTestCluster({ nodes: 3, log: (node) => logs[node - 1] as MemoryLogger })
      const kafka = kafkaOf(cluster)
      const admin = kafka.admin()
      await admin.connect()
      await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }], waitForLeaders: true })
      const first = await member(kafka)
      const second = await member(kafka)
      await eventually('two members with partitions', async () => {
        const { groups } = await admin.describeGroups([GROUP])
        const stable = groups[0]?.state === 'Stable' && groups[0].members.length === 2
        return stable ? true : null
      })
      await produce(kafka, 0, 300)
      expect([...(await read([first, second], 300))].sort()).toEqual(numbered(300).sort())
      expect(first.values.length).toBeGreaterThan(0)
      expect(second.values.length).toBeGreaterThan(0)
      await second.consumer.disconnect()
      await produce(kafka, 300, 100)
      expect([...(await read([first, second], 400))].sort()).toEqual(numbered(400).sort())
      await first.consumer.disconnect()
      await allCommitted(admin, 400)
      const lines = logs.flatMap(({ lines: all }) => all).filter(({ event }) => event === 'group rebalanced')
      expect(lines.length).toBeGreaterThanOrEqual(3)
      expect(JSON.stringify(lines.map(({ fields }) => fields['causes']))).toContain('left')
      const { groups } = await admin.listGroups()
      expect(groups).toContainEqual({ groupId: GROUP, protocolType: 'consumer' })
      await admin.deleteGroups([GROUP])
      expect((await admin.listGroups()).groups).toEqual([])
      await admin.disconnect()
    },
  )

  it('reads what a member had that is gone without a word, and nothing is skipped', { timeout: 90_000 }, async () => {
    await using cluster = await createTestCluster({
      nodes: 3,
      properties: { 'group.min.session.timeout.ms': '1000' },
    })
    const kafka = kafkaOf(cluster)
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }], waitForLeaders: true })
    const wires = new Wires()
    const first = await member(kafka)
    const killed = await member(kafkaOf(cluster, wires), { sessionTimeout: 2000 })
    await produce(kafka, 0, 120)
    await read([first, killed], 120)
    expect(killed.values.length).toBeGreaterThan(0)
    wires.cut()
    await produce(kafka, 120, 120)
    await read([first, killed], 240)
    await allCommitted(admin, 240)
    await first.consumer.disconnect()
    // It goes on trying for a minute, which nobody needs.
    void killed.consumer.disconnect().catch(() => undefined)
    await admin.disconnect()
  })

  it('resumes from what it committed after the node of its coordinator was killed', { timeout: 90_000 }, async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    const kafka = kafkaOf(cluster)
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }], waitForLeaders: true })
    const before = await member(kafka)
    await produce(kafka, 0, 200)
    await read([before], 200)
    await allCommitted(admin, 200)
    const coordinator = await coordinatorOf(cluster)
    cluster.kill(coordinator)
    await produce(kafka, 200, 100)
    await read([before], 300)
    await before.consumer.disconnect()
    await sleep(100)
    const after = await member(kafka)
    await produce(kafka, 300, 50)
    // What it read while its coordinator changed it may not have committed any more: that comes again, and nothing else.
    const due = numbered(350).slice(300)
    await eventually('all that was not read is read', () => due.every((value) => after.values.includes(value)) || null)
    expect(after.values.filter((value) => Number(value.slice(1)) < 200)).toEqual([])
    await after.consumer.disconnect()
    await cluster.start(coordinator)
    await allCommitted(admin, 350)
    await admin.disconnect()
  })

  it('reads everything through a restart of every node, one after another', { timeout: 120_000 }, async () => {
    await using cluster = await createTestCluster({ nodes: 3 })
    const kafka = kafkaOf(cluster)
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }], waitForLeaders: true })
    const members = [await member(kafka), await member(kafka), await member(kafka)]
    let written = 0
    for (const node of [1, 2, 3]) {
      await produce(kafka, written, 100)
      await cluster.stop(node)
      await produce(kafka, written + 100, 100)
      await cluster.start(node)
      written += 200
    }
    expect([...(await read(members, written))].sort()).toEqual(numbered(written).sort())
    await allCommitted(admin, written)
    await Promise.all(members.map(({ consumer }) => consumer.disconnect()))
    await admin.disconnect()
  })
})
