// The image and the compose file, as a user runs them: three containers, a write, the leader's container killed, everything read back.
import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Kafka, logLevel } from 'kafkajs'
import { DockerComposeEnvironment, type StartedDockerComposeEnvironment, Wait } from 'testcontainers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePorts } from '@millrace/testing'
import { readBack } from '../src/read-back.ts'

const deploy = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'deploy')
const TOPIC = 'containers'
const RECORDS_BEFORE = 500
const RECORDS_AFTER = 500

let environment: StartedDockerComposeEnvironment
let bootstrap: string[]

function containerOf(node: number): string {
  return environment.getContainer(`n${node}-1`).getId()
}

beforeAll(async () => {
  const [ports, httpPorts] = [await freePorts(3), await freePorts(3)]
  bootstrap = ports.map((port) => `127.0.0.1:${port}`)
  const variables = Object.fromEntries([
    ...ports.map((port, at) => [`MILLRACE_PORT_${at + 1}`, String(port)]),
    ...httpPorts.map((port, at) => [`MILLRACE_HTTP_${at + 1}`, String(port)]),
  ])
  environment = await new DockerComposeEnvironment(deploy, 'compose.yaml')
    .withProjectName(`millrace-e2e-${process.pid}`)
    .withEnvironment(variables)
    .withBuild()
    .withWaitStrategy('n1-1', Wait.forHealthCheck())
    .withWaitStrategy('n2-1', Wait.forHealthCheck())
    .withWaitStrategy('n3-1', Wait.forHealthCheck())
    .up()
})

afterAll(async () => {
  await environment?.down({ removeVolumes: true })
})

describe('three containers', () => {
  it('run as a user without privileges', () => {
    const uid = execFileSync('docker', ['exec', containerOf(1), 'id', '-u'], { encoding: 'utf8' })
    expect(uid.trim()).toBe('1000')
  })

  it('lose nothing acknowledged when the leader’s container is killed', async () => {
    const retry = { initialRetryTime: 100, maxRetryTime: 200, retries: 200 }
    const kafka = new Kafka({
      clientId: 'containers',
      brokers: bootstrap,
      logLevel: logLevel.NOTHING,
      retry,
      connectionTimeout: 1_000,
    })
    const admin = kafka.admin()
    const producer = kafka.producer({ maxInFlightRequests: 1, retry })
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 1, replicationFactor: 3 }] })
    await producer.connect()
    const acknowledged: string[] = []
    const write = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at++) {
        const value = `record-${acknowledged.length}`
        await producer.send({ topic: TOPIC, acks: -1, messages: [{ value }] })
        acknowledged.push(value)
      }
    }
    await write(RECORDS_BEFORE)
    const leader = (await admin.fetchTopicMetadata({ topics: [TOPIC] })).topics[0]?.partitions[0]?.leader ?? -1
    execFileSync('docker', ['kill', '--signal', 'KILL', containerOf(leader)])
    await write(RECORDS_AFTER)
    await producer.disconnect()
    await admin.disconnect()

    const { values } = await readBack(bootstrap, TOPIC, 0)
    const firstSeen = [...new Set(values)]
    expect(firstSeen).toEqual(acknowledged)
  })

  it('take the killed node back into the in-sync replicas', async () => {
    const kafka = new Kafka({ clientId: 'containers', brokers: bootstrap, logLevel: logLevel.NOTHING })
    const admin = kafka.admin()
    await admin.connect()
    const isr = async (): Promise<number> =>
      (await admin.fetchTopicMetadata({ topics: [TOPIC] })).topics[0]?.partitions[0]?.isr.length ?? 0
    for (const node of [1, 2, 3]) execFileSync('docker', ['start', containerOf(node)])
    for (let waited = 0; (await isr()) < 3 && waited < 60_000; waited += 250) await sleep(250)
    expect(await isr()).toBe(3)
    await admin.disconnect()
  })
})
