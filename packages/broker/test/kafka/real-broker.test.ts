import { execFile, spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { Kafka, logLevel } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { createKafkaListener } from '../../src/index.ts'
import type { BrokerConfig, BrokerListenerConfig, KafkaListener } from '../../src/index.ts'
import { Cluster, eventually } from '../cluster.ts'
import type { TestBroker } from '../cluster.ts'

const HOST = '127.0.0.1'
const hasKcat = spawnSync('kcat', ['-V']).status === 0

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, HOST, () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

interface Door {
  readonly port: number
  readonly listener: KafkaListener
}

/** Starts a broker behind a real port. */
async function open(broker: TestBroker, change: Partial<BrokerConfig> = {}): Promise<Door> {
  const port = await freePort()
  const at = { host: HOST, port }
  const config: BrokerListenerConfig = { name: 'PLAINTEXT', bind: at, advertised: at, securityProtocol: 'PLAINTEXT' }
  await broker.start({ listeners: [config], ...change })
  const listener = createKafkaListener(broker.running.context, config)
  await new Promise<void>((resolve, reject) => {
    listener.start((error) => (error === null ? resolve() : reject(error)))
  })
  return { port, listener }
}

const shut = ({ listener }: Door): Promise<void> => new Promise((resolve) => listener.stop(() => resolve()))

function kafkaOf(doors: readonly Door[]): Kafka {
  const brokers = doors.map(({ port }) => `${HOST}:${port}`)
  return new Kafka({
    brokers,
    clientId: 'js',
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 20 },
  })
}

describe('over a real broker', () => {
  test('kafkajs writes to three replicas and goes on at another when the leader hands over and stops', async () => {
    await using cluster = new Cluster('kafkajs-failover', 3)
    const doors = await Promise.all(cluster.brokers.map((broker) => open(broker)))
    await cluster.topic('t', [1, 2, 3])
    const producer = kafkaOf(doors).producer({ allowAutoTopicCreation: false })
    await producer.connect()
    const send = (value: string): Promise<unknown> =>
      producer.send({ topic: 't', acks: -1, messages: [{ value }], timeout: 5000 })
    for (let i = 0; i < 50; i++) await send(`before ${i}`)
    const first = cluster.leader('t')
    await Promise.all([first.stop(), shut(doors[first.id - 1] as Door)])
    for (let i = 0; i < 50; i++) await send(`after ${i}`)
    await producer.disconnect()
    const second = cluster.leader('t')
    expect(second.id).not.toBe(first.id)
    const values = await eventually(async () => {
      const read = await second.read('t')
      expect(read.length).toBeGreaterThanOrEqual(100)
      return read
    })
    // A send that was answered is there; one that was cut off may be there twice.
    const wanted = ['before', 'after'].flatMap((when) => Array.from({ length: 50 }, (_, i) => `${when} ${i}`))
    expect([...new Set(values)]).toEqual(wanted)
    await Promise.all(doors.filter((_, at) => at !== first.id - 1).map(shut))
  })

  test.skipIf(!hasKcat)('kcat writes to and reads from partitions that three brokers lead', async () => {
    await using cluster = new Cluster('kcat-three', 3)
    const doors = await Promise.all(cluster.brokers.map((broker) => open(broker)))
    cluster.controller.createTopic('spread', [[1], [2], [3]], {})
    await eventually(() => {
      for (const id of [1, 2, 3]) cluster.broker(id).replica('spread', id - 1)
    })
    const kcat = (args: readonly string[], input = ''): Promise<string> =>
      new Promise((resolve, reject) => {
        const list = ['-b', `${HOST}:${doors[0]?.port ?? 0}`, ...args]
        const child = execFile('kcat', list, { timeout: 20_000 }, (error, out) =>
          error === null ? resolve(out) : reject(error),
        )
        child.stdin?.end(input)
      })
    const lines = Array.from({ length: 3000 }, (_, at) => `line ${at}`)
    await kcat(['-P', '-t', 'spread', '-X', 'acks=all'], lines.join('\n'))
    const read = await kcat(['-C', '-t', 'spread', '-o', 'beginning', '-e', '-q'])
    const order = (texts: readonly string[]): string[] => [...texts].sort()
    expect(order(read.trimEnd().split('\n'))).toEqual(order(lines))
    await Promise.all(doors.map(shut))
  })

  test.skipIf(!hasKcat)('kcat in the rack of a follower reads from that follower', async () => {
    await using cluster = new Cluster('kcat-rack', 2)
    const properties = new Map([['replica.selector.class', 'org.apache.kafka.common.replica.RackAwareReplicaSelector']])
    const doors = await Promise.all(cluster.brokers.map((one) => open(one, { rack: `rack-${one.id}`, properties })))
    await cluster.topic('t', [1, 2])
    await cluster.isr('t', [1, 2])
    const lines = Array.from({ length: 500 }, (_, at) => `line ${at}`)
    for (const line of lines) await cluster.broker(1).produce('t', [line])
    const read = (rack: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const args = ['-C', '-b', `${HOST}:${doors[0]?.port ?? 0}`, '-t', 't', '-o', 'beginning', '-e', '-q']
        execFile('kcat', [...args, '-X', `client.rack=${rack}`], { timeout: 20_000 }, (error, out) =>
          error === null ? resolve(out) : reject(error),
        )
      })
    const served = (id: number): number => cluster.broker(id).running.status().counters.fetchedBytes
    expect((await read('rack-1')).trimEnd().split('\n')).toEqual(lines)
    expect([served(1) > 0, served(2)]).toEqual([true, 0])
    const before = served(1)
    expect((await read('rack-2')).trimEnd().split('\n')).toEqual(lines)
    expect([served(1), served(2) > 0]).toEqual([before, true])
    await Promise.all(doors.map(shut))
  })
})
