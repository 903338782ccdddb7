import { createTestCluster, freePorts, type TestCluster } from '@millrace/testing'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ended, jsonLines, run } from './command.ts'

const TOPIC = 'orders'
let cluster: TestCluster

const group = (...args: string[]): Promise<Ended> => run(['group', ...args, '-b', cluster.bootstrap.join(',')])

/** Ten records in partition 0, four of them read by `late`; `done` has read everything. */
beforeAll(async () => {
  cluster = await createTestCluster({ nodes: 3, http: true, properties: { 'group.lag.interval.ms': '50' } })
  const { admin } = cluster.client
  await admin.createTopic({ name: TOPIC, partitions: 1, configs: { 'retention.ms': '86400000' } })
  const producer = cluster.client.producer()
  for (let at = 0; at < 10; at++)
    await producer.send({ topic: TOPIC, partition: 0, value: `${at}`, timestamp: Date.now() - 7_200_000 })
  await admin.groups.alterOffsets('late', [{ topic: TOPIC, partition: 0, offset: 4 }])
  await admin.groups.alterOffsets('done', [{ topic: TOPIC, partition: 0, offset: 10 }])
  for (let tries = 0; ; tries++) {
    const lags = jsonLines<{ maxLagSeconds: number | null }>(await group('lag', '--json'))
    if (lags.some(({ maxLagSeconds }) => (maxLagSeconds ?? 0) > 3600)) return
    if (tries > 50) throw new Error('the lag is not known')
  }
}, 60_000)

afterAll(async () => {
  await cluster?.close()
})

describe('millrace group lag', { timeout: 30_000 }, () => {
  it('shows all groups with how far they are behind, and what retention will take', async () => {
    const { code, stdout } = await group('lag')
    expect(code).toBe(0)
    const [titles = '', done = '', late = '', ...rest] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/\s{2,}/))
    expect(titles).toEqual([
      'GROUP',
      'STATE',
      'MEMBERS',
      'STATUS',
      'LAG',
      'MAX-LAG',
      'BEHIND',
      'RETENTION-IN',
      'REBALANCES',
    ])
    expect(done).toEqual(['done', 'Empty', '0', 'OK', '0', '0', '0s', 'never', '0'])
    expect(late.slice(0, 6)).toEqual(['late', 'Empty', '0', 'OK', '6', '6'])
    expect(late.slice(6)).toEqual([expect.stringMatching(/^2h( 1m)?$/), expect.stringMatching(/^2[12]h( \d+m)?$/), '0'])
    expect(rest).toEqual([])
  })

  it('shows the partitions of a group, from whichever node coordinates it, in text and as JSON', async () => {
    const { code, stdout } = await group('lag', 'late', 'done')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^orders +0 +OK +4 +10 +6 +2h.* +- +-$/m)
    expect(stdout).toMatch(/^orders +0 +OK +10 +10 +0 +0s +never +- +-$/m)
    const [late] = jsonLines(await group('lag', 'late', '--json'))
    expect(late).toMatchObject({
      group: 'late',
      partitions: [{ topic: TOPIC, partition: 0, lag: 6, losesRecords: true }],
    })
  })

  it('asks the endpoints that are named instead of those that the brokers tell of', async () => {
    const http = cluster.http.map((url) => url.replace('http://', '')).join(',')
    const { code, stdout } = await run(['group', 'lag', 'late', '--http', http, '-b', '127.0.0.1:1'])
    expect([code, /orders/.test(stdout)]).toEqual([0, true])
  })

  it('says what is wrong with a name or an endpoint', async () => {
    const unknown = await group('lag', 'nobody')
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringMatching(/no group "nobody"[^]*group list/)])
    const [port] = await freePorts(1)
    const closed = await run(['group', 'lag', '--http', `127.0.0.1:${port}`])
    expect([closed.code, closed.stderr]).toEqual([
      1,
      expect.stringMatching(/^The endpoint[^]*ECONNREFUSED[^]*http\.listener/),
    ])
    const odd = await run(['group', 'lag', '--http', ''])
    expect([odd.code, odd.stderr]).toEqual([2, expect.stringContaining('host:port')])
    await using without = await createTestCluster()
    const none = await run(['group', 'lag', '-b', without.bootstrap.join(',')])
    expect([none.code, none.stderr]).toEqual([
      1,
      expect.stringMatching(/Node 1 has no HTTP endpoint[^]*http\.listener/),
    ])
  })
})

describe('millrace group rebalances', { timeout: 60_000 }, () => {
  it('tells who was the cause, how long it took and what moved', async () => {
    const client = new Kafka({ brokers: cluster.bootstrap, clientId: 'billing-7', logLevel: logLevel.NOTHING })
    const consumer = client.consumer({ groupId: 'billing' })
    await consumer.connect()
    await consumer.subscribe({ topic: TOPIC })
    const joined = new Promise<void>((resolve) => void consumer.on(consumer.events.GROUP_JOIN, () => resolve()))
    await consumer.run({ eachMessage: async () => {} })
    await joined
    await consumer.disconnect()
    const { code, stdout } = await group('rebalances', 'billing')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^billing is Empty; 2 rebalances, .* in all since .*: joined 1, left 1$/m)
    expect(stdout).toMatch(/^STARTED +GENERATION +TOOK +MEMBERS +MOVED +CAUSE$/m)
    expect(stdout).toMatch(/^\S+Z +1 +\S+ +1 +1 +billing-7 joined/m)
    expect(stdout).toMatch(/^\S+Z +2 +\S+ +0 +0 +billing-7 left/m)
    const [told] = jsonLines(await group('rebalances', 'billing', '--json'))
    expect(told).toMatchObject({ group: 'billing', count: 2, reasons: { joined: 1, left: 1 } })
    const moves = await group('rebalances', 'billing', '--moves')
    expect(moves.stdout).toMatch(/^Generation 1 moved\n {2}orders:0 from nobody to billing-7-/m)
    expect((await group('rebalances', 'late')).stdout).toMatch(/^late is Empty; no rebalances since /)
  })
})
