import { connect } from 'node:net'
import { MemoryLogger } from '@millrace/host'
import { type Consumer, Kafka, logLevel } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { createTestCluster, type TestCluster } from '../src/index.ts'
import { eventually } from './eventually.ts'
import { parseExposition, type Sample } from './exposition.ts'

const TOPIC = 'orders'
const GROUP = 'readers'
/** Ten commits fill a window, so this is how long a trend takes, times ten. */
const INTERVAL_MS = 50

interface GroupAnswer {
  readonly status: string
  readonly state: string
  readonly sumLag: number | null
  readonly partitions: readonly Readonly<Record<string, unknown>>[]
  readonly roster: readonly Readonly<Record<string, unknown>>[]
}

interface RebalancesAnswer {
  readonly count: number
  readonly rebalances: readonly {
    readonly generation: number
    readonly durationMs: number
    readonly members: number
    readonly moved: number | null
    readonly moves: readonly object[]
    readonly causes: readonly { readonly reason: string; readonly clientId: string; readonly detail: string }[]
  }[]
}

async function started(log?: (node: number) => MemoryLogger): Promise<TestCluster> {
  const properties = { 'group.lag.interval.ms': String(INTERVAL_MS), 'num.partitions': '2' }
  const cluster = await createTestCluster({ nodes: 3, http: true, properties, ...(log === undefined ? {} : { log }) })
  await cluster.client.admin.createTopic({ name: TOPIC, partitions: 2 })
  return cluster
}

function kafkaOf(cluster: TestCluster, clientId = 'js'): Kafka {
  const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 30 }
  return new Kafka({ brokers: [...cluster.bootstrap], clientId, logLevel: logLevel.NOTHING, retry })
}

async function produce(cluster: TestCluster, count: number): Promise<void> {
  const producer = kafkaOf(cluster).producer({ allowAutoTopicCreation: false })
  await producer.connect()
  const messages = Array.from({ length: count }, (_, at) => ({ partition: at % 2, value: `v${at}` }))
  await producer.send({ topic: TOPIC, acks: -1, messages })
  await producer.disconnect()
}

/** The coordinator's answer; asked by way of a node that sends it there. */
async function ask<T>(cluster: TestCluster, path: string): Promise<T | null> {
  for (const url of cluster.http) {
    const response = await fetch(`${url}${path}`).catch(() => null)
    if (response === null) continue
    const body = (await response.json()) as T & { coordinator?: { url: string | null } | null }
    if (response.ok) return body
    const elsewhere = body.coordinator?.url ?? null
    if (elsewhere === null) continue
    const second = await fetch(`${elsewhere}${path}`).catch(() => null)
    if (second?.ok === true) return (await second.json()) as T
  }
  return null
}

function group(cluster: TestCluster, holds: (answer: GroupAnswer) => boolean, what: string): Promise<GroupAnswer> {
  const path = `/groups/${GROUP}`
  return eventually(what, async () => {
    const answer = await ask<GroupAnswer>(cluster, path)
    return answer !== null && holds(answer) ? answer : null
  })
}

async function consumer(cluster: TestCluster, clientId: string): Promise<Consumer> {
  const consumer = kafkaOf(cluster, clientId).consumer({
    groupId: GROUP,
    sessionTimeout: 6000,
    heartbeatInterval: 200,
    maxWaitTimeInMs: 50,
  })
  await consumer.connect()
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  await consumer.run({ autoCommitInterval: 100, eachMessage: () => Promise.resolve() })
  return consumer
}

async function metrics(url: string): Promise<Sample[]> {
  const response = await fetch(`${url}/metrics`)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  return parseExposition(await response.text())
}

describe('the lag of a group of kafkajs', { timeout: 60_000 }, () => {
  it('is OK while it reads, STOP once its consumer is gone, REWIND when it goes back, and outlasts its coordinator', async () => {
    await using cluster = await started()
    const reader = await consumer(cluster, 'reader-1')
    await produce(cluster, 20)
    const reading = await group(
      cluster,
      ({ partitions }) => partitions.length === 2 && partitions.every(({ lag }) => lag === 0),
      'all read',
    )
    expect(reading).toMatchObject({ status: 'OK', state: 'Stable', roster: [{ clientId: 'reader-1' }] })
    expect(reading.partitions).toMatchObject([
      { topic: TOPIC, partition: 0, offset: 10, lag: 0, lagSeconds: 0, clientId: 'reader-1' },
      { topic: TOPIC, partition: 1, offset: 10, lag: 0 },
    ])

    const labels = (await Promise.all(cluster.http.map(metrics)))
      .flat()
      .filter(({ name }) => name === 'kafka_consumergroup_group_lag')
      .map((sample) => sample.labels)
    const owner = {
      client_id: 'reader-1',
      member_host: '/127.0.0.1',
      consumer_id: expect.stringMatching(/^reader-1-/) as string,
    }
    expect(labels).toEqual(labels.map((one) => ({ ...one, ...owner })))
    expect(labels).toHaveLength(2)

    // It read several times, so that its pace is known.
    for (let round = 0; round < 4; round++) {
      await produce(cluster, 2)
      const end = 10 + round + 1
      await group(cluster, ({ partitions }) => partitions.every(({ offset }) => offset === end), 'read again')
    }
    await reader.disconnect()
    await produce(cluster, 100)
    const stopped = await group(
      cluster,
      ({ partitions }) => partitions.every(({ status }) => status === 'STOP'),
      'STOP',
    )
    expect(stopped).toMatchObject({ state: 'Empty', sumLag: 100, roster: [] })
    expect(stopped.partitions[0]).toMatchObject({ status: 'STOP', lag: 50, losesRecords: true, clientId: null })
    expect(stopped.partitions[0]?.['lagSeconds']).toBeGreaterThan(0)

    // Commits by hand that never reach the end, then one that goes back.
    const { admin } = cluster.client
    for (let offset = 15; offset < 30; offset++) {
      await admin.groups.alterOffsets(
        GROUP,
        [0, 1].map((partition) => ({ topic: TOPIC, partition, offset })),
      )
      await new Promise((resolve) => setTimeout(resolve, 2 * INTERVAL_MS))
    }
    await admin.groups.alterOffsets(
      GROUP,
      [0, 1].map((partition) => ({ topic: TOPIC, partition, offset: 3 })),
    )
    const back = await group(cluster, ({ status }) => status === 'REWIND', 'REWIND')
    expect(back.sumLag).toBe(2 * (64 - 3))

    const node = (await ask<{ node: number }>(cluster, `/groups/${GROUP}`))?.node as number
    cluster.kill(node)
    const again = await group(cluster, ({ sumLag }) => sumLag === 122, 'told by another coordinator')
    expect(again.partitions).toMatchObject([{ offset: 3 }, { offset: 3 }])
    expect(again.partitions[0]?.['lagSeconds']).toBeGreaterThan(0)
    expect((await ask<{ node: number }>(cluster, `/groups/${GROUP}`))?.node).not.toBe(node)
  })

  it('has a cause for each of its rebalances, over HTTP, in the metrics and in the log', async () => {
    const logs = [1, 2, 3].map(() => new MemoryLogger())
    await using cluster = await started((node) => logs[node - 1] as MemoryLogger)
    const first = await consumer(cluster, 'reader-1')
    await group(cluster, ({ state }) => state === 'Stable', 'the first joined')
    const second = await consumer(cluster, 'reader-2')
    await group(cluster, ({ state, roster }) => state === 'Stable' && roster.length === 2, 'the second joined')
    await second.disconnect()
    await group(cluster, ({ state, roster }) => state === 'Stable' && roster.length === 1, 'the second left')
    await first.disconnect()

    const told = await eventually('all rebalances', async () => {
      const answer = await ask<RebalancesAnswer>(cluster, `/groups/${GROUP}/rebalances`)
      return (answer?.count ?? 0) >= 4 ? answer : null
    })
    const causes = told?.rebalances.map((one) => one.causes.map(({ reason, clientId }) => `${clientId} ${reason}`))
    expect(causes).toEqual([['reader-1 joined'], ['reader-2 joined'], ['reader-2 left'], ['reader-1 left']])
    expect(told?.rebalances.map(({ moved }) => moved)).toEqual([2, 1, 1, 0])
    const [, taken] = told?.rebalances ?? []
    expect(taken?.moves).toEqual([
      {
        topic: TOPIC,
        partitions: [expect.any(Number)],
        from: expect.stringMatching(/^reader-1-/),
        to: expect.stringMatching(/^reader-2-/),
      },
    ])
    for (const { durationMs } of told?.rebalances ?? []) expect(durationMs).toBeGreaterThanOrEqual(0)

    const lines = logs.flatMap(({ lines }) => lines).filter(({ event }) => event === 'group rebalanced')
    expect(lines).toHaveLength(4)
    expect(lines[1]?.fields).toMatchObject({ group: GROUP, causes: [{ clientId: 'reader-2', reason: 'joined' }] })

    const samples = (await Promise.all(cluster.http.map(metrics))).flat()
    const counted = samples.filter(({ name }) => name === 'millrace_consumergroup_rebalances_total')
    expect(counted.map(({ labels, value }) => [labels['reason'], value])).toEqual([
      ['joined', 2],
      ['left', 2],
    ])
  })
})

describe('the metrics', { timeout: 60_000 }, () => {
  it('tell each group and each partition once in the cluster, by the names of kafka-lag-exporter', async () => {
    await using cluster = await started()
    await produce(cluster, 20)
    const groups = ['a', 'b', 'c', 'd', 'odd "name"\\ with \n lines']
    for (const name of groups)
      await cluster.client.admin.groups.alterOffsets(name, [
        { topic: TOPIC, partition: 0, offset: 4 },
        { topic: TOPIC, partition: 1, offset: 7 },
      ])
    const samples = await eventually('lag of all groups', async () => {
      const found = (await Promise.all(cluster.http.map(metrics))).flat()
      return found.filter(({ name }) => name === 'kafka_consumergroup_group_sum_lag').length === groups.length
        ? found
        : null
    })
    const of = (name: string): Sample[] => samples.filter((sample) => sample.name === name)
    const cluster_name = of('kafka_consumergroup_group_sum_lag')[0]?.labels['cluster_name'] as string
    expect(cluster_name).toMatch(/^[\w-]{22}$/)
    expect(of('kafka_consumergroup_group_lag')).toHaveLength(2 * groups.length)
    expect(samples).toContainEqual({
      name: 'kafka_consumergroup_group_lag',
      labels: {
        cluster_name,
        group: groups.at(-1),
        topic: TOPIC,
        partition: '1',
        member_host: '',
        consumer_id: '',
        client_id: '',
      },
      value: 3,
    })
    for (const [name, value] of [
      ['kafka_consumergroup_group_sum_lag', 9],
      ['kafka_consumergroup_group_max_lag', 6],
      ['kafka_consumergroup_group_topic_sum_lag', 9],
    ] as const)
      expect(of(name).map((sample) => sample.value)).toEqual(groups.map(() => value))
    for (const name of ['kafka_consumergroup_group_max_lag_seconds', 'millrace_consumergroup_seconds_to_retention'])
      for (const { value } of of(name)) expect(value).toBeGreaterThan(0)
    const ends = of('kafka_partition_latest_offset').filter(({ labels }) => labels['topic'] === TOPIC)
    expect(new Map(ends.map(({ labels, value }) => [labels['partition'], value]))).toEqual(
      new Map([
        ['0', 10],
        ['1', 10],
      ]),
    )
    expect(ends).toHaveLength(2)
  })
})

describe('the HTTP endpoint', { timeout: 60_000 }, () => {
  it('lists groups, and says who knows of those that it does not', async () => {
    await using cluster = await started()
    await cluster.client.admin.groups.alterOffsets('a/b', [{ topic: TOPIC, partition: 0, offset: 0 }])
    const answers = await Promise.all(
      cluster.http.map(async (url) => {
        const response = await fetch(`${url}/groups/a%2Fb`)
        return { status: response.status, body: (await response.json()) as Record<string, unknown> }
      }),
    )
    const [owner] = answers.filter(({ status }) => status === 200)
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 404, 404])
    const node = owner?.body['node'] as number
    for (const { body } of answers.filter(({ status }) => status === 404))
      expect(body).toMatchObject({ error: 'NOT_COORDINATOR', coordinator: { node, url: cluster.http[node - 1] } })
    const list = (await (await fetch(`${cluster.http[node - 1]}/groups`)).json()) as Record<string, unknown>
    expect(list).toMatchObject({ node, groups: [{ group: 'a/b', members: 0 }] })
    expect(list['otherNodes']).toHaveLength(2)
    const gone = await fetch(`${cluster.http[node - 1]}/groups/a%2Fb/rebalances`)
    expect(await gone.json()).toMatchObject({ count: 0, rebalances: [] })
  })

  it('answers what makes no sense with a status and a sentence, and goes on', async () => {
    await using cluster = await createTestCluster({ http: true })
    const [url = ''] = cluster.http
    await eventually('a coordinator', async () => ((await fetch(`${url}/groups/none`)).status === 404 ? true : null))
    const told = async (path: string, init?: RequestInit): Promise<unknown> => {
      const response = await fetch(`${url}${path}`, init)
      return [response.status, ((await response.json()) as { error?: string }).error]
    }
    expect(await told('/groups/none')).toEqual([404, 'GROUP_ID_NOT_FOUND'])
    expect(await told('/groups/%zz')).toEqual([400, 'BAD_PATH'])
    expect(await told('/nothing')).toEqual([404, 'NO_SUCH_PATH'])
    expect(await told('/groups/a/b/c')).toEqual([404, 'NO_SUCH_PATH'])
    expect(await told('/groups', { method: 'DELETE' })).toEqual([405, 'METHOD_NOT_ALLOWED'])
    expect(await told('/?x=1')).toEqual([200, undefined])
    const head = await fetch(`${url}/metrics`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
  })

  it('closes connections that speak something else, or too much, or are too many', async () => {
    await using cluster = await createTestCluster({ http: true })
    const port = Number(new URL(cluster.http[0] as string).port)
    const talk = (bytes: string): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
        let heard = ''
        socket.on('data', (data) => (heard += String(data)))
        socket.on('error', () => {})
        socket.on('close', () => resolve(heard))
      })
    expect(await talk('\u0000\u0000\u0000\u0012hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/)
    expect(await talk(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431/)
    const sockets = Array.from({ length: 80 }, () => connect(port, '127.0.0.1'))
    for (const socket of sockets) socket.on('error', () => {})
    await eventually('some are closed', () => (sockets.filter(({ closed }) => closed).length >= 16 ? true : null))
    for (const socket of sockets) socket.destroy()
    await eventually('there is room again', async () => {
      const response = await fetch(`${cluster.http[0]}/groups`).catch(() => null)
      return response?.ok === true ? true : null
    })
  })

  it('that cannot be bound is told by its key', async () => {
    const taken = await createTestCluster({ http: true })
    const port = new URL(taken.http[0] as string).port
    await expect(createTestCluster({ properties: { 'http.listener': `127.0.0.1:${port}` } })).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      fix: expect.stringContaining('http.listener') as string,
    })
    await taken.close()
  })
})
