import { createTestCluster, type TestCluster } from '@millrace/testing'
import { type Consumer, Kafka, logLevel } from 'kafkajs'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ended, jsonLines, run } from './command.ts'

const ORDERS = 'orders'
const OLD = Date.UTC(2026, 10, 20)
const folder = mkdtempSync(join(tmpdir(), 'millrace-group-'))
let cluster: TestCluster
let consumer: Consumer
let memberId: string

const group = (...args: string[]): Promise<Ended> => run(['group', ...args, '-b', cluster.bootstrap.join(',')])
const committed = async (name: string): Promise<(string | number)[][]> =>
  (await cluster.client.admin.groups.offsets(name)).map(({ topic, partition, offset }) => [topic, partition, offset])

/** Three partitions of `orders`; 0 has ten records, a second apart from OLD on, and 1 five of now. */
beforeAll(async () => {
  cluster = await createTestCluster({ nodes: 3 })
  const { admin } = cluster.client
  await admin.createTopic({ name: ORDERS, partitions: 3, configs: { 'retention.ms': '-1' } })
  await admin.createTopic({ name: 'other', partitions: 1 })
  const producer = cluster.client.producer()
  for (let at = 0; at < 10; at++)
    await producer.send({ topic: ORDERS, partition: 0, value: `${at}`, timestamp: OLD + at * 1_000 })
  for (let at = 0; at < 5; at++) await producer.send({ topic: ORDERS, partition: 1, value: `${at}` })
  const client = new Kafka({ brokers: cluster.bootstrap, clientId: 'app', logLevel: logLevel.NOTHING })
  consumer = client.consumer({ groupId: 'active' })
  await consumer.connect()
  await consumer.subscribe({ topic: 'other' })
  const joined = new Promise<string>((resolve) =>
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => resolve(payload.memberId)),
  )
  await consumer.run({ eachMessage: async () => {} })
  memberId = await joined
})

afterAll(async () => {
  await consumer?.disconnect()
  await cluster?.close()
  rmSync(folder, { recursive: true })
})

async function newGroup(name: string): Promise<void> {
  await cluster.client.admin.groups.alterOffsets(name, [
    { topic: ORDERS, partition: 0, offset: 4 },
    { topic: ORDERS, partition: 1, offset: 5 },
  ])
}

describe('millrace group describe', () => {
  it('shows offsets and lag, members and states in the layout of Kafka’s tool', async () => {
    await newGroup('empty')
    const described = await group('describe', 'empty')
    expect(described).toEqual({
      code: 0,
      stdout: [
        '',
        'GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID',
        'empty           orders          0          4               10              6               -               -               -',
        'empty           orders          1          5               5               0               -               -               -',
        '',
      ].join('\n'),
      stderr: "\nConsumer group 'empty' has no active members.\n",
    })
    const pad = ' '.repeat(Math.max(0, memberId.length - 11))
    expect((await group('describe', 'active')).stdout).toBe(
      [
        '',
        `GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID${pad} HOST            CLIENT-ID`,
        `active          other           0          -               0               -               ${memberId} /127.0.0.1      app`,
        '',
      ].join('\n'),
    )
    expect((await group('describe', 'active', '--members', '--verbose')).stdout).toBe(
      [
        '',
        `GROUP           CONSUMER-ID${pad} HOST            CLIENT-ID       #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   `,
        `active          ${memberId} /127.0.0.1      app             1               -               other:0              -               -                   `,
        '',
      ].join('\n'),
    )
    expect((await group('describe', 'active', '--state')).stdout).toMatch(
      /^\nGROUP {11}COORDINATOR \(ID\) {10}ASSIGNMENT-STRATEGY {2}STATE {16}#MEMBERS\nactive {10}127\.0\.0\.1:\d+ {2}\([123]\) +RoundRobinAssigner {3}Stable {15}1\n$/,
    )
  })

  it('prints JSON with everything, one group a line', async () => {
    await newGroup('json')
    const described = jsonLines(await group('describe', 'json', 'active', '--json'))
    expect(described).toMatchObject([
      {
        group: 'active',
        state: 'Stable',
        type: 'classic',
        members: [{ memberId, clientId: 'app' }],
        offsets: [{ currentOffset: null, lag: null, memberId }],
      },
      {
        group: 'json',
        state: 'Empty',
        members: [],
        offsets: [{ topic: ORDERS, currentOffset: 4, logEndOffset: 10, lag: 6, memberId: null }, {}],
      },
    ])
  })

  it('fails for names of no group, after it showed the others', async () => {
    await newGroup('there')
    const { code, stdout, stderr } = await group('describe', 'nowhere', 'there')
    expect(code).toBe(1)
    expect(stdout).toContain('there           orders')
    expect(stderr).toContain('There is no group nowhere.\nLook at the names of the groups: millrace group list.\n')
  })
})

describe('millrace group list', () => {
  it('lists names, or those of certain states and types', async () => {
    await newGroup('listed')
    const names = (await group('list')).stdout.trim().split('\n')
    expect(names).toEqual(names.toSorted())
    expect(names).toEqual(expect.arrayContaining(['active', 'listed']))
    expect((await group('list', '--state', 'stable', '--type')).stdout).toBe(
      `GROUP${' '.repeat(21)}TYPE${' '.repeat(17)}STATE${' '.repeat(15)}\nactive${' '.repeat(20)}Classic${' '.repeat(14)}Stable${' '.repeat(14)}\n`,
    )
    expect(jsonLines(await group('list', '--json'))).toContainEqual({
      group: 'listed',
      protocolType: '',
      state: 'Empty',
      type: 'classic',
    })
    expect(await group('list', '--type', 'consumer')).toEqual({
      code: 0,
      stdout: '',
      stderr: 'There are no such groups.\n',
    })
  })
})

describe('millrace group reset-offsets', () => {
  it.each([
    [['--to-earliest', '--all-topics'], [0, 0], null],
    [['--to-latest', '--topic', ORDERS], [10, 5], 0],
    [['--to-latest', '--topic', `${ORDERS}:1,0,1`], [10, 5], null],
    [['--to-current', '--topic', ORDERS], [4, 5], 0],
    [['--to-offset', '7', '--all-topics'], [7, 5], null],
    [['--shift-by', '-3', '--all-topics'], [1, 2], null],
    [['--shift-by', '100', '--topic', `${ORDERS}:0`], [10, 5], null],
    [['--to-datetime', '2026-11-20T00:00:07.500', '--topic', `${ORDERS}:0`], [8, 5], null],
    [['--by-duration', 'PT1H', '--all-topics'], [10, 0], null],
  ] as const)('%j goes where it says', async (args, [first, second], third) => {
    const name = `reset-${args.join('')}`
    await newGroup(name)
    const { code, stdout } = await group('reset-offsets', name, ...args)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\nGROUP +TOPIC +PARTITION {2}NEW-OFFSET\n/)
    expect(await committed(name)).toEqual([
      [ORDERS, 0, first],
      [ORDERS, 1, second],
      ...(third === null ? [] : [[ORDERS, 2, third]]),
    ])
  })

  it('only shows the plan with --dry-run', async () => {
    await newGroup('planned')
    const { code, stdout, stderr } = await group(
      'reset-offsets',
      'planned',
      '--to-earliest',
      '--all-topics',
      '--dry-run',
    )
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout:
        '\nGROUP           TOPIC           PARTITION  NEW-OFFSET\nplanned         orders          0          0\nplanned         orders          1          0\n',
    })
    expect(stderr).toBe('Nothing was changed, because of --dry-run.\n')
    const json = await group('reset-offsets', 'planned', '--to-latest', '--topic', `${ORDERS}:2`, '--dry-run', '--json')
    expect(jsonLines(json)).toEqual([{ group: 'planned', topic: ORDERS, partition: 2, newOffset: 0, done: false }])
    expect(await committed('planned')).toEqual([
      [ORDERS, 0, 4],
      [ORDERS, 1, 5],
    ])
  })

  it('carries out the plan that --export wrote, also where several groups are in the file', async () => {
    await newGroup('from')
    const exported = await group('reset-offsets', 'from', '--to-offset', '3', '--all-topics', '--dry-run', '--export')
    expect(exported.stdout).toBe('orders,0,3\norders,1,3\n')
    const file = join(folder, 'plan.csv')
    writeFileSync(file, exported.stdout)
    expect((await group('reset-offsets', 'from', '--from-file', file)).code).toBe(0)
    expect(await committed('from')).toEqual([
      [ORDERS, 0, 3],
      [ORDERS, 1, 3],
    ])
    writeFileSync(file, '"a ""b"", c",orders,0,1\nfrom,orders,1,99\n\n"from",orders,0,2\n')
    const { stderr } = await group('reset-offsets', 'from', '--from-file', file)
    expect(stderr).toContain('99 is outside of topic orders partition 1, which has 0 to 5: 5 is taken')
    expect(await committed('from')).toEqual([
      [ORDERS, 0, 2],
      [ORDERS, 1, 5],
    ])
    await group('reset-offsets', 'a "b", c', '--from-file', file)
    expect(await committed('a "b", c')).toEqual([[ORDERS, 0, 1]])
  })

  it.each([
    ['orders,0', /line 1 of .* is "orders,0"[^]*Write topic,partition,offset/],
    ['orders,0,1\norders,0,2', /line 2 of .* is the second for topic orders partition 0/],
    ['elsewhere,orders,0,1', /says nothing of group from/],
  ])('refuses the file %j with 2', async (content, problem) => {
    const file = join(folder, 'bad.csv')
    writeFileSync(file, content)
    const { code, stdout, stderr } = await group('reset-offsets', 'from', '--from-file', file)
    expect(stderr).toMatch(problem)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  it.each([
    [['active', '--to-earliest', '--topic', 'other'], /Group active is in use: it has 1 members[^]*Stop its consumers/],
    [['nowhere', '--to-earliest', '--all-topics'], /has committed nothing[^]*--topic/],
    [['new', '--to-latest', '--topic', 'nowhere'], /no such topic/],
    [['new', '--to-latest', '--topic', 'orders:7'], /no topic orders partition 7, or it has no leader/],
    [['new', '--shift-by', '1', '--topic', 'orders'], /nothing to shift[^]*--all-topics takes those/],
  ])('%j fails with 1, changes nothing and says what to do', async (args, problem) => {
    const { code, stdout, stderr } = await group('reset-offsets', ...args)
    expect(stderr).toMatch(problem)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(await committed(args[0] as string)).toEqual([])
  })
})

describe('millrace group delete', () => {
  it('deletes those that it can, and says what is with the others', async () => {
    await newGroup('unwanted')
    const { code, stdout, stderr } = await group('delete', 'unwanted', 'active', 'nowhere')
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: "Deletion of requested consumer groups ('unwanted') was successful.\n",
    })
    expect(stderr).toMatch(/group active: [^]*group nowhere: [^]*Stop its consumers first/)
    expect(await committed('unwanted')).toEqual([])
    await newGroup('unwanted')
    expect(jsonLines(await group('delete', 'unwanted', '--json'))).toEqual([
      { group: 'unwanted', deleted: true, error: null },
    ])
  })
})
