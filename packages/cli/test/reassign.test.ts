import { createTestCluster, type TestCluster } from '@millrace/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ended, jsonLines, run } from './command.ts'

let cluster: TestCluster
let at: string[]

beforeAll(async () => {
  cluster = await createTestCluster({ nodes: 3, properties: { 'min.insync.replicas': '1' } })
  at = ['-b', cluster.bootstrap.join(',')]
})

afterAll(() => cluster.close())

const reassign = (...args: string[]): Promise<Ended> => run(['topic', 'reassign', ...args, ...at])

async function replicas(topic: string): Promise<readonly (readonly number[])[]> {
  return (await cluster.client.admin.describeTopic(topic)).partitions.map((partition) => partition.replicas)
}

/** A topic whose copies stand still, because nobody may be sent anything. */
async function held(name: string): Promise<void> {
  const { admin } = cluster.client
  await admin.createTopic({ name, partitions: 1, replicationFactor: 1 })
  await admin.reassign(name, [{ partition: 0, replicas: [1] }])
  await moved(name)
  const producer = cluster.client.producer()
  await producer.send({ topic: name, value: 'x' })
  await producer.close()
  // Node 2 is known and does not answer any more.
  cluster.network.cut('node1', 'node2', 'silent')
}

async function moved(topic: string): Promise<void> {
  while ((await cluster.client.admin.reassignments(topic)).length > 0) await new Promise((done) => setTimeout(done, 20))
}

describe('millrace topic reassign', () => {
  it('moves partitions to where they are told, and waits for it', async () => {
    await cluster.client.admin.createTopic({ name: 'exact', partitions: 2, replicationFactor: 1 })
    const answer = await reassign('exact', '--partition', '0=3,1', '--partition', '1=2', '--wait')
    expect(answer).toEqual({ code: 0, stdout: 'Moved exact-0 to 3, 1.\nMoved exact-1 to 2.\n', stderr: '' })
    expect(await replicas('exact')).toEqual([[3, 1], [2]])
    expect(await reassign('exact')).toEqual({ code: 0, stdout: '', stderr: 'No partition is being moved.\n' })
  })

  it('spreads partitions over brokers, each with as many replicas as it has', async () => {
    await cluster.client.admin.createTopic({ name: 'spread', partitions: 3, replicationFactor: 2 })
    const answer = await reassign('spread', '--brokers', '1,2,3', '--wait', '--json')
    expect(jsonLines(answer)).toEqual([
      { topic: 'spread', partition: 0, replicas: [1, 2], arrived: true },
      { topic: 'spread', partition: 1, replicas: [2, 3], arrived: true },
      { topic: 'spread', partition: 2, replicas: [3, 1], arrived: true },
    ])
    expect((await reassign('spread', '--brokers', '3,2', '--partition', '2', '--wait')).stdout).toBe(
      'Moved spread-2 to 3, 2.\n',
    )
    expect(await replicas('spread')).toEqual([
      [1, 2],
      [2, 3],
      [3, 2],
    ])
  })

  it('lists what is under way, and takes it back', async () => {
    await held('held')
    try {
      expect((await reassign('held', '--partition', '0=1,2')).stdout).toBe('Moving held-0 to 1, 2.\n')
      expect((await reassign()).stdout).toMatch(/^TOPIC +PARTITION +REPLICAS +ADDING +REMOVING\nheld +0 +1,2 +2 +-\n$/)
      expect(jsonLines(await reassign('held', '--json'))).toEqual([
        { topic: 'held', partition: 0, replicas: [1, 2], adding: [2], removing: [] },
      ])
      expect((await reassign('held', '--cancel')).stdout).toBe('Moving held-0 back.\n')
      expect(await replicas('held')).toEqual([[1]])
      expect((await reassign('held', '--cancel')).stderr).toBe('No partition of held is being moved.\n')
    } finally {
      cluster.network.heal('node1', 'node2')
    }
  })

  it.each([
    [['--brokers', '1'], 'Which topic?'],
    [['t', '--partition', '0'], null],
    [['t', '--partition', '0=1', '--cancel'], 'Only one of these'],
    [['t', '--partition', '0=1,1'], 'names a broker twice'],
    [['t', '--partition', '0=x'], '"x" is not a number'],
    [['t', '--brokers', '1;2'], '"1;2" is not a number'],
  ])('says what is wrong with %j', async (args, problem) => {
    const { code, stderr } = await reassign(...args)
    expect(code).toBe(problem === null ? 0 : 2)
    expect(stderr).toContain(problem ?? 'No partition is being moved.')
  })

  it.each([
    [['nothing', '--partition', '0=1'], /there is no such topic/],
    [['some', '--partition', '7=1'], /partition 7/],
    [['some', '--partition', '0=9'], /broker 9 is not registered/],
    [['some', '--brokers', '1,2', '--partition', '9'], /partition 9/],
    [['some', '--cancel', '--partition', '0'], /no reassignment/i],
  ])('fails with 1 where the cluster refuses %j', async (args, problem) => {
    await cluster.client.admin.createTopic({ name: 'some', partitions: 1, replicationFactor: 1 }).catch(() => undefined)
    const { code, stderr } = await reassign(...args)
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(problem) as string })
  })
})
