import { ErrorCode, isUuid, ZERO_UUID } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { type NewTopic, type NewTopicResult, UNASSIGNED } from '../src/index.ts'
import { directory, Harness } from './harness.ts'

function create(cluster: Harness, topic: Partial<NewTopic>, validateOnly = false): NewTopicResult {
  const wanted = { name: 't', partitions: 1, replicationFactor: 1, assignments: [], configs: [], ...topic }
  return cluster.ask({ kind: 'createTopics', validateOnly, topics: [wanted] })[0] as NewTopicResult
}

const assigned = (...replicas: readonly (readonly number[])[]): Partial<NewTopic> => ({
  partitions: -1,
  replicationFactor: -1,
  assignments: replicas.map((ids, partition) => ({ partition, replicas: ids })),
})

describe('creating a topic', () => {
  test('gives it an id, partitions that are led and the settings asked for', () => {
    const cluster = new Harness().start(1, 2, 3)
    const configs = [{ name: 'retention.ms', value: '1000' }]
    const result = create(cluster, { partitions: 6, replicationFactor: 3, configs })
    expect(result).toMatchObject({ error: 0, partitions: 6, replicationFactor: 3 })
    expect(isUuid(result.topicId)).toBe(true)
    const topic = cluster.image.topicByName('t')
    expect(topic?.partitions.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 4, 5])
    for (const one of topic?.partitions ?? []) {
      expect(one).toMatchObject({ leader: one.replicas[0], leaderEpoch: 0, partitionEpoch: 0, isr: one.replicas })
      expect(one.directories).toEqual(one.replicas.map((id) => directory(id)))
    }
    expect([...cluster.image.configs({ kind: 'topic', name: 't' })]).toEqual([['retention.ms', '1000']])
  })

  test('takes -1 as the numbers of the file', () => {
    const cluster = new Harness({ 'num.partitions': '4', 'default.replication.factor': '2' }).start(1, 2)
    expect(create(cluster, { partitions: -1, replicationFactor: -1 })).toMatchObject({
      partitions: 4,
      replicationFactor: 2,
    })
  })

  test('that is only validated changes nothing and gives no id', () => {
    const cluster = new Harness().start(1)
    expect(create(cluster, { partitions: 3 }, true)).toMatchObject({ error: 0, partitions: 3, topicId: ZERO_UUID })
    expect(cluster.image.topics.size).toBe(0)
    expect(create(cluster, { name: '' }, true).error).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
  })

  test.each([
    ['', ErrorCode.INVALID_TOPIC_EXCEPTION],
    ['.', ErrorCode.INVALID_TOPIC_EXCEPTION],
    ['..', ErrorCode.INVALID_TOPIC_EXCEPTION],
    ['a/b', ErrorCode.INVALID_TOPIC_EXCEPTION],
    ['a\0b', ErrorCode.INVALID_TOPIC_EXCEPTION],
    ['x'.repeat(250), ErrorCode.INVALID_TOPIC_EXCEPTION],
    ['there', ErrorCode.TOPIC_ALREADY_EXISTS],
    ['__proto__', ErrorCode.NONE],
    ['x'.repeat(249), ErrorCode.NONE],
  ])('named %j', (name, error) => {
    const cluster = new Harness().start(1)
    cluster.topic('there', [[1]])
    expect(create(cluster, { name }).error).toBe(error)
    expect(cluster.image.topicByName(name) !== null).toBe(error !== ErrorCode.INVALID_TOPIC_EXCEPTION)
  })

  test('whose name differs from another only in "." and "_" is refused, also within one request', () => {
    const cluster = new Harness().start(1)
    cluster.topic('a.b_c', [[1]])
    expect(create(cluster, { name: 'a_b.c' })).toMatchObject({ error: ErrorCode.INVALID_TOPIC_EXCEPTION })
    cluster.ask({ kind: 'deleteTopics', topics: [{ name: 'a.b_c', topicId: ZERO_UUID }] })
    expect(create(cluster, { name: 'a_b.c' }).error).toBe(0)
    const topic = { partitions: 1, replicationFactor: 1, assignments: [], configs: [] }
    const both = cluster.ask({
      kind: 'createTopics',
      validateOnly: false,
      topics: ['x.y', 'x_y'].map((name) => ({ ...topic, name })),
    })
    expect(both.map(({ error }) => error)).toEqual([0, ErrorCode.INVALID_TOPIC_EXCEPTION])
  })

  test('named twice in a request is refused every time, the others are created', () => {
    const cluster = new Harness().start(1)
    const topics = ['a', 'b', 'a'].map((name) => ({
      name,
      partitions: 1,
      replicationFactor: 1,
      assignments: [],
      configs: [],
    }))
    const results = cluster.ask({ kind: 'createTopics', validateOnly: false, topics })
    expect(results.map(({ error }) => error)).toEqual([ErrorCode.INVALID_REQUEST, 0, ErrorCode.INVALID_REQUEST])
    expect([...cluster.image.topics.values()].map(({ name }) => name)).toEqual(['b'])
  })

  test.each([
    [0, ErrorCode.INVALID_PARTITIONS],
    [-2, ErrorCode.INVALID_PARTITIONS],
    [1_000_000, ErrorCode.INVALID_PARTITIONS],
    [2 ** 31 - 1, ErrorCode.INVALID_PARTITIONS],
    [10_000, ErrorCode.NONE],
  ])('with %i partitions', (partitions, error) => {
    expect(create(new Harness().start(1), { partitions }).error).toBe(error)
  })

  test('counts the partitions of a whole request, and of the whole cluster', () => {
    const cluster = new Harness({}, { maxPartitions: 15_000 }).start(1)
    const topics = ['a', 'b'].map((name) => ({
      name,
      partitions: 6000,
      replicationFactor: 1,
      assignments: [],
      configs: [],
    }))
    const results = cluster.ask({ kind: 'createTopics', validateOnly: false, topics })
    expect(results.map(({ error }) => error)).toEqual([0, ErrorCode.INVALID_PARTITIONS])
    expect(create(cluster, { name: 'c', partitions: 9001 }).error).toBe(ErrorCode.INVALID_PARTITIONS)
    expect(create(cluster, { name: 'c', partitions: 9000 }).error).toBe(0)
    cluster.ask({ kind: 'deleteTopics', topics: [{ name: 'c', topicId: ZERO_UUID }] })
    expect(create(cluster, { name: 'd', partitions: 9000 }).error).toBe(0)
  })

  test.each([0, -2, 3])('with %i replicas on two brokers is refused', (replicationFactor) => {
    const cluster = new Harness().start(1, 2)
    expect(create(cluster, { replicationFactor }).error).toBe(ErrorCode.INVALID_REPLICATION_FACTOR)
  })

  test('is followed by fenced brokers where too few others are there', () => {
    const cluster = new Harness().start(1, 2, 3)
    cluster.fence(2)
    create(cluster, { name: 'two', partitions: 4, replicationFactor: 2 })
    for (let at = 0; at < 4; at++) expect(cluster.partition('two', at).replicas).not.toContain(2)
    expect(create(cluster, { name: 'three', partitions: 4, replicationFactor: 3 }).error).toBe(0)
    for (let at = 0; at < 4; at++) {
      const { replicas, isr, leader } = cluster.partition('three', at)
      expect(replicas[2]).toBe(2)
      expect(isr).toEqual(replicas.slice(0, 2))
      expect(leader).toBe(replicas[0])
    }
    expect(create(cluster, { name: 'four', replicationFactor: 4 }).message).toContain('3 are registered')
  })

  test.each(['comes back', 'is started anew'])('gives a fenced replica its directory once its broker %s', (how) => {
    const cluster = new Harness().start(1, 2)
    cluster.fence(2)
    create(cluster, { replicationFactor: 2 })
    expect(cluster.partition('t')).toMatchObject({
      replicas: [1, 2],
      isr: [1],
      directories: [directory(1), UNASSIGNED],
    })
    if (how === 'is started anew') cluster.register(2)
    else cluster.heartbeat(2)
    expect(cluster.partition('t').directories).toEqual([directory(1), directory(2)])
    cluster.heartbeat(2)
    expect(cluster.propose('t', [1, 2])).toBe(0)
  })

  test('is refused while no broker is alive, and gives nothing to one that shuts down', () => {
    const cluster = new Harness().start(1, 2)
    create(cluster, { name: 'busy', replicationFactor: 2 })
    cluster.heartbeat(1, { wantShutdown: true })
    expect(create(cluster, { replicationFactor: 2 }).message).toContain('1 is registered')
    cluster.fence(1)
    cluster.fence(2)
    expect(create(cluster, { replicationFactor: 1 }).message).toContain('no broker is alive')
  })

  test('with replicas that the client assigned keeps their order', () => {
    const cluster = new Harness().start(1, 2, 3)
    expect(create(cluster, assigned([3, 1], [2, 3]))).toMatchObject({ error: 0, partitions: 2, replicationFactor: 2 })
    expect(cluster.partition('t', 0)).toMatchObject({ replicas: [3, 1], leader: 3 })
    expect(cluster.partition('t', 1)).toMatchObject({ replicas: [2, 3], leader: 2 })
  })

  test('with an assigned replica that is fenced is led by the first that is alive', () => {
    const cluster = new Harness().start(1, 2)
    cluster.fence(1)
    create(cluster, assigned([1, 2]))
    expect(cluster.partition('t')).toMatchObject({ replicas: [1, 2], isr: [2], leader: 2 })
  })

  test.each([
    ['a partition count as well', { ...assigned([1]), partitions: 1 }, ErrorCode.INVALID_REQUEST],
    ['a replication factor as well', { ...assigned([1]), replicationFactor: 1 }, ErrorCode.INVALID_REQUEST],
    ['no broker', assigned([]), ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ['a broker twice', assigned([1, 1]), ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ['an unknown broker', assigned([9]), ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ['only fenced brokers', assigned([3]), ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ['unequal numbers of replicas', assigned([1, 2], [1]), ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    [
      'a gap in the numbers',
      { ...assigned(), assignments: [0, 2].map((partition) => ({ partition, replicas: [1] })) },
      ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    ],
    [
      'a number twice',
      { ...assigned(), assignments: [0, 0].map((partition) => ({ partition, replicas: [1] })) },
      ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    ],
  ])('with an assignment of %s is refused', (_, topic, error) => {
    const cluster = new Harness().start(1, 2, 3)
    cluster.fence(3)
    expect(create(cluster, topic).error).toBe(error)
    expect(cluster.image.topics.size).toBe(0)
  })

  test.each([
    ['no.such.key', '1', ErrorCode.INVALID_CONFIG],
    ['segment.bytes', '-1', ErrorCode.INVALID_CONFIG],
    ['retention.ms', null, ErrorCode.INVALID_CONFIG],
    ['remote.storage.enable', 'true', ErrorCode.INVALID_CONFIG],
    ['message.format.version', '3.0', ErrorCode.NONE],
  ])('with the setting %s=%s', (name, value, error) => {
    const cluster = new Harness().start(1)
    expect(create(cluster, { configs: [{ name, value }] }).error).toBe(error)
    expect(cluster.image.configs({ kind: 'topic', name: 't' }).size).toBe(0)
  })

  test('with a setting given twice is refused', () => {
    const configs = ['1', '2'].map((value) => ({ name: 'retention.ms', value }))
    expect(create(new Harness().start(1), { configs }).error).toBe(ErrorCode.INVALID_REQUEST)
  })
})

describe('the placement of replicas', () => {
  const racks = (sizes: readonly number[]): Harness => {
    const cluster = new Harness()
    let id = 0
    for (const [rack, size] of sizes.entries())
      for (let i = 0; i < size; i++) {
        id++
        cluster.register(id, { rack: `rack${rack}` })
        cluster.heartbeat(id)
      }
    return cluster
  }

  test('gives every broker the same number of leaderships and of replicas', () => {
    const cluster = new Harness().start(1, 2, 3, 4, 5)
    create(cluster, { partitions: 50, replicationFactor: 3 })
    const all = cluster.image.topicByName('t')?.partitions ?? []
    for (let id = 1; id <= 5; id++) {
      expect(all.filter(({ leader }) => leader === id).length).toBe(10)
      expect(Math.abs(all.filter(({ replicas }) => replicas.includes(id)).length - 30)).toBeLessThanOrEqual(1)
    }
  })

  test('never puts two replicas of a partition into one rack while there are racks enough', () => {
    const cluster = racks([4, 4, 4])
    create(cluster, { partitions: 60, replicationFactor: 3 })
    for (const { replicas } of cluster.image.topicByName('t')?.partitions ?? [])
      expect(new Set(replicas.map((id) => Math.floor((id - 1) / 4))).size).toBe(3)
  })

  test('spreads over racks as evenly as it goes when there are too few', () => {
    const cluster = racks([2, 2])
    create(cluster, { partitions: 20, replicationFactor: 4 })
    for (const { replicas } of cluster.image.topicByName('t')?.partitions ?? []) expect(new Set(replicas).size).toBe(4)
    create(cluster, { name: 'u', partitions: 20, replicationFactor: 2 })
    for (const { replicas } of cluster.image.topicByName('u')?.partitions ?? [])
      expect(new Set(replicas.map((id) => Math.ceil(id / 2))).size).toBe(2)
  })

  test('of many small topics balances the whole cluster', () => {
    const cluster = new Harness().start(1, 2, 3)
    for (let i = 0; i < 30; i++) create(cluster, { name: `t${i}`, partitions: 1, replicationFactor: 2 })
    for (let id = 1; id <= 3; id++) {
      const mine = [...cluster.image.partitionsOf(id)]
      expect(mine.filter(({ leader }) => leader === id).length).toBe(10)
      expect(mine.length).toBe(20)
    }
  })

  test('lets a new broker take its share of a topic and no more', () => {
    const cluster = new Harness().start(1, 2)
    create(cluster, { name: 'old', partitions: 40, replicationFactor: 1 })
    cluster.start(3)
    create(cluster, { name: 'new', partitions: 30, replicationFactor: 1 })
    expect([...cluster.image.partitionsOf(3)].length).toBe(10)
  })
})

describe('deleting topics', () => {
  const remove = (cluster: Harness, ...topics: readonly { name: string | null; topicId?: string }[]) =>
    cluster.ask({ kind: 'deleteTopics', topics: topics.map((topic) => ({ topicId: ZERO_UUID, ...topic })) })

  test('by name or by id takes partitions and settings with them, and frees the name', () => {
    const cluster = new Harness().start(1)
    const first = cluster.topic('a', [[1], [1]], { 'retention.ms': '5' })
    const second = cluster.topic('b', [[1]])
    const results = remove(cluster, { name: 'a' }, { name: null, topicId: second.id })
    expect(results).toMatchObject([
      { error: 0, name: 'a', topicId: first.id },
      { error: 0, name: 'b', topicId: second.id },
    ])
    expect([cluster.image.topics.size, [...cluster.image.partitionsOf(1)].length]).toEqual([0, 0])
    expect(cluster.topic('a', [[1]]).id).not.toBe(first.id)
    expect(cluster.image.configs({ kind: 'topic', name: 'a' }).size).toBe(0)
  })

  test('answers each unknown one by itself', () => {
    const cluster = new Harness().start(1)
    cluster.topic('a', [[1]])
    const unknown = 'AAAAAAAAAAAAAAAAAAAABQ'
    const results = remove(
      cluster,
      { name: 'x' },
      { name: null, topicId: unknown },
      { name: 'a', topicId: unknown },
      { name: 'a' },
      { name: 'a' },
    )
    expect(results.map(({ error }) => error)).toEqual([
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      ErrorCode.UNKNOWN_TOPIC_ID,
      ErrorCode.INVALID_REQUEST,
      ErrorCode.NONE,
      ErrorCode.INVALID_REQUEST,
    ])
  })

  test('is refused where the file says so', () => {
    const cluster = new Harness({ 'delete.topic.enable': 'false' }).start(1)
    cluster.topic('a', [[1]])
    expect(remove(cluster, { name: 'a' })[0]?.error).toBe(ErrorCode.TOPIC_DELETION_DISABLED)
    expect(cluster.image.topics.size).toBe(1)
  })
})

describe('adding partitions', () => {
  const grow = (
    cluster: Harness,
    count: number,
    assignments: readonly (readonly number[])[] | null = null,
    validateOnly = false,
  ) => cluster.ask({ kind: 'createPartitions', validateOnly, topics: [{ topic: 't', count, assignments }] })[0]

  test('continues the numbers, with as many replicas as the others, spread with them', () => {
    const cluster = new Harness().start(1, 2)
    cluster.topic('t', [[1, 2]])
    expect(grow(cluster, 4)?.error).toBe(0)
    const all = cluster.image.topicByName('t')?.partitions ?? []
    expect(all.map(({ partition }) => partition)).toEqual([0, 1, 2, 3])
    expect(all.filter(({ leader }) => leader === 1).length).toBe(2)
    expect(all.every(({ replicas }) => replicas.length === 2)).toBe(true)
  })

  test('takes an assignment for each new one', () => {
    const cluster = new Harness().start(1, 2)
    cluster.topic('t', [[1]])
    expect(grow(cluster, 3, [[2], [1]])?.error).toBe(0)
    expect(cluster.partition('t', 1).replicas).toEqual([2])
  })

  test('that is only validated changes nothing', () => {
    const cluster = new Harness().start(1)
    cluster.topic('t', [[1]])
    expect(grow(cluster, 3, null, true)?.error).toBe(0)
    expect(cluster.records).toEqual([])
  })

  test.each([
    [1, null, ErrorCode.INVALID_PARTITIONS],
    [0, null, ErrorCode.INVALID_PARTITIONS],
    [1_000_000, null, ErrorCode.INVALID_PARTITIONS],
    [3, [[1]], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    [2, [[1, 2]], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    [2, [[9]], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ])('to %i with %j is refused', (count, assignments, error) => {
    const cluster = new Harness().start(1, 2)
    cluster.topic('t', [[1]])
    expect(grow(cluster, count, assignments)?.error).toBe(error)
    expect(cluster.records).toEqual([])
  })

  test('of an unknown topic, or of one twice, is refused', () => {
    const cluster = new Harness().start(1)
    expect(grow(cluster, 2)?.error).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    const topics = [2, 3].map((count) => ({ topic: 't', count, assignments: null }))
    const results = cluster.ask({ kind: 'createPartitions', validateOnly: false, topics })
    expect(results.map(({ error }) => error)).toEqual([ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_REQUEST])
  })
})
