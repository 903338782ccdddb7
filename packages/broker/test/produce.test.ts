import { ErrorCode, IoError } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { batchOf, Cluster, eventually, sleep } from './cluster.ts'

const { NONE, NOT_ENOUGH_REPLICAS, NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR } = ErrorCode

describe('a produce', () => {
  it('with acks all is answered once every in-sync replica has it on disk', async () => {
    await using cluster = await Cluster.started('acks-all', 3)
    await cluster.topic('t', [1, 2, 3])
    const leader = cluster.leader('t')
    expect(await leader.produce('t', ['a', 'b'])).toMatchObject({
      error: NONE,
      baseOffset: 0,
      logStart: 0,
      logAppendTimeMs: -1,
    })
    const held = cluster.broker(3)
    held.faults.held = []
    let answered = false
    const late = leader.produce('t', ['c']).finally(() => (answered = true))
    await sleep(100)
    expect(answered).toBe(false)
    expect(await leader.read('t')).toEqual(['a', 'b'])
    const syncs = held.faults.held
    held.faults.held = null
    for (const sync of syncs) sync()
    expect(await late).toMatchObject({ error: NONE, baseOffset: 2 })
    expect(await leader.read('t')).toEqual(['a', 'b', 'c'])
  })

  it('with acks all waits for the own disk, too', async () => {
    await using cluster = await Cluster.started('acks-all-own', 1)
    await cluster.topic('t', [1])
    const leader = cluster.leader('t')
    leader.faults.held = []
    let answered = false
    const late = leader.produce('t', ['a']).finally(() => (answered = true))
    await sleep(50)
    expect(answered).toBe(false)
    const syncs = leader.faults.held
    leader.faults.held = null
    for (const sync of syncs) sync()
    expect(await late).toMatchObject({ error: NONE, baseOffset: 0 })
  })

  it('with acks 1 is answered after the write, and not shown before it is committed', async () => {
    await using cluster = await Cluster.started('acks-1', 2)
    await cluster.topic('t', [1, 2])
    const leader = cluster.leader('t')
    cluster.broker(2).faults.held = []
    leader.faults.held = []
    expect(await leader.produce('t', ['a'], 1)).toMatchObject({ error: NONE, baseOffset: 0 })
    expect(await leader.read('t')).toEqual([])
    for (const broker of [leader, cluster.broker(2)]) {
      const syncs = broker.faults.held ?? []
      broker.faults.held = null
      for (const sync of syncs) sync()
    }
    await eventually(async () => expect(await leader.read('t')).toEqual(['a']))
  })

  it('with acks 0 is written without an answer', async () => {
    await using cluster = await Cluster.started('acks-0', 1)
    await cluster.topic('t', [1])
    const leader = cluster.leader('t')
    let answers = 0
    leader.replica('t').append(batchOf(['a']), 0, () => answers++)
    await eventually(async () => expect(await leader.read('t')).toEqual(['a']))
    expect(answers).toBe(0)
  })

  it('in page-cache mode is committed once every log holds it', async () => {
    await using cluster = await Cluster.started('pagecache', 2, { flushMode: 'pagecache' })
    await cluster.topic('t', [1, 2])
    for (const broker of cluster.brokers) broker.faults.held = []
    expect(await cluster.leader('t').produce('t', ['a'])).toMatchObject({ error: NONE, baseOffset: 0 })
    expect(await cluster.leader('t').read('t')).toEqual(['a'])
  })

  it('of many in one turn is one write whose answers come in order', async () => {
    await using cluster = await Cluster.started('one-turn', 3)
    await cluster.topic('t', [1, 2, 3])
    const leader = cluster.leader('t')
    const before = leader.running.status().counters
    const order: number[] = []
    const all = Array.from({ length: 50 }, (_, at) =>
      leader.produce('t', [`v${at}`]).then(({ baseOffset }) => void order.push(baseOffset)),
    )
    await Promise.all(all)
    expect(order).toEqual(Array.from({ length: 50 }, (_, at) => at))
    const after = leader.running.status().counters
    expect(after.leaderAppends - before.leaderAppends).toBe(1)
    expect(after.producedBatches - before.producedBatches).toBe(50)
    expect(after.catchUpBytes).toBe(0)
  })

  it('carries the append time on a topic of log-append time, also after the setting changed', async () => {
    await using cluster = await Cluster.started('append-time', 1)
    await cluster.topic('t', [1], { 'message.timestamp.type': 'LogAppendTime' })
    const leader = cluster.leader('t')
    const { logAppendTimeMs } = await leader.produce('t', ['a'])
    expect(Math.abs(logAppendTimeMs - leader.clock.wallMs())).toBeLessThan(5_000)
    const operations = [{ name: 'message.timestamp.type', operation: 'set' as const, value: 'CreateTime' }]
    cluster.controller.decide({
      kind: 'incrementalAlterConfigs',
      validateOnly: false,
      resources: [{ kind: 2, name: 't', operations }],
    })
    await eventually(async () => expect((await leader.produce('t', ['b'])).logAppendTimeMs).toBe(-1))
  })

  it('is refused where the partition is not led, and where it is not known', async () => {
    await using cluster = await Cluster.started('refused', 2)
    await cluster.topic('t', [1, 2])
    expect((await cluster.broker(2).produce('t', ['a'])).error).toBe(NOT_LEADER_OR_FOLLOWER)
    expect((await cluster.broker(1).produce('nothing', ['a'])).error).toBe(UNKNOWN_TOPIC_OR_PARTITION)
    expect((await cluster.broker(1).produce('t', ['a'], -1, 7)).error).toBe(UNKNOWN_TOPIC_OR_PARTITION)
    await cluster.topic('elsewhere', [1])
    await eventually(() =>
      expect(cluster.broker(2).running.context.replicas.find('elsewhere', 0)).toBe(NOT_LEADER_OR_FOLLOWER),
    )
  })
})

describe('below min.insync.replicas', () => {
  it('acks all is refused before the write, acks 1 is taken, and the watermark stands still', async () => {
    await using cluster = await Cluster.started('min-isr', 3)
    await cluster.topic('t', [1, 2, 3], { 'min.insync.replicas': '2' })
    const leader = cluster.leader('t')
    expect((await leader.produce('t', ['a'])).error).toBe(NONE)
    cluster.broker(2).kill()
    cluster.broker(3).kill()
    cluster.controller.fence(2)
    cluster.controller.fence(3)
    await cluster.isr('t', [1])
    await eventually(() => expect(leader.running.status().partitions.underMinIsr).toBe(1))
    expect((await leader.produce('t', ['b'])).error).toBe(NOT_ENOUGH_REPLICAS)
    expect(await leader.produce('t', ['c'], 1)).toMatchObject({ error: NONE })
    await sleep(100)
    expect(await leader.read('t')).toEqual(['a'])
    await cluster.broker(2).start()
    await eventually(async () => expect(await leader.read('t')).toEqual(['a', 'c']))
    expect((await leader.produce('t', ['d'])).error).toBe(NONE)
  })

  it('follows the setting when it changes', async () => {
    await using cluster = await Cluster.started('min-isr-change', 1)
    await cluster.topic('t', [1], { 'min.insync.replicas': '3' })
    const leader = cluster.leader('t')
    expect((await leader.produce('t', ['a'])).error).toBe(NONE)
    expect(await leader.read('t')).toEqual(['a'])
  })
})

describe('a parked produce', () => {
  it('is answered NOT_LEADER when its leader stops leading, and goes on waiting where that leads in the next epoch, too', async () => {
    await using cluster = await Cluster.started('parked', 3)
    await cluster.topic('t', [1, 2, 3])
    cluster.broker(2).faults.held = []
    const parked = cluster.broker(1).produce('t', ['a'])
    await sleep(50)
    cluster.controller.force('t', { leader: 3 })
    expect((await parked).error).toBe(NOT_LEADER_OR_FOLLOWER)
    const again = cluster.broker(3).produce('t', ['b'])
    await sleep(50)
    cluster.controller.force('t', { leader: 3 })
    for (const write of cluster.broker(2).faults.held ?? []) write()
    cluster.broker(2).faults.held = null
    expect((await again).error).toBe(NONE)
    expect((await cluster.broker(3).read('t')).at(-1)).toBe('b')
  })

  it('is answered when the topic is deleted', async () => {
    await using cluster = await Cluster.started('parked-deleted', 2)
    await cluster.topic('t', [1, 2])
    cluster.broker(2).faults.held = []
    const parked = cluster.broker(1).produce('t', ['a'])
    await sleep(50)
    cluster.controller.deleteTopic('t')
    expect((await parked).error).toBe(UNKNOWN_TOPIC_OR_PARTITION)
  })

  it('is answered when its broker stops', async () => {
    await using cluster = await Cluster.started('parked-stop', 2, { controlledShutdownTimeoutMs: 100 })
    await cluster.topic('t', [1, 2])
    cluster.broker(2).faults.held = []
    const parked = cluster.broker(1).produce('t', ['a'])
    await sleep(50)
    await cluster.broker(1).stop()
    expect((await parked).error).toBe(NOT_LEADER_OR_FOLLOWER)
  })
})

describe('a disk', () => {
  it('that is full refuses writes with KAFKA_STORAGE_ERROR and takes them again once there is room', async () => {
    await using cluster = await Cluster.started('disk-full', 1)
    await cluster.topic('t', [1])
    const leader = cluster.leader('t')
    expect((await leader.produce('t', ['a'])).error).toBe(NONE)
    leader.faults.append = new IoError('ENOSPC', '/data', 'no space left')
    expect((await leader.produce('t', ['b'], 1)).error).toBe(KAFKA_STORAGE_ERROR)
    expect((await leader.produce('t', ['c'])).error).toBe(KAFKA_STORAGE_ERROR)
    leader.faults.append = null
    await eventually(async () => expect((await leader.produce('t', ['d'])).error).toBe(NONE))
    expect(await leader.read('t')).toEqual(['a', 'd'])
    expect(leader.fatal).toBeNull()
  })

  it('of a leader that is full gives the leadership away where somebody else is in sync', async () => {
    await using cluster = await Cluster.started('disk-full-3', 3)
    await cluster.topic('t', [1, 2, 3])
    const { faults } = cluster.broker(1)
    faults.append = new IoError('ENOSPC', '/data', 'no space left')
    // What the leader's own copy must have at once is refused at once.
    expect((await cluster.broker(1).produce('t', ['a'], 1)).error).toBe(KAFKA_STORAGE_ERROR)
    // What a leader proposes without itself the controller decides: here it may stay and refuse.
    await sleep(100)
    faults.append = null
    await eventually(async () => expect((await cluster.leader('t').produce('t', ['b'])).error).toBe(NONE))
  })

  it('that fails ends a node that has no other', async () => {
    await using cluster = await Cluster.started('disk-failed', 1)
    await cluster.topic('t', [1])
    const leader = cluster.leader('t')
    const errors: unknown[] = []
    const caught = (error: unknown): void => void errors.push(error)
    process.on('uncaughtException', caught)
    leader.faults.append = new IoError('EIO', '/data', 'the disk is gone')
    leader.replica('t').append(batchOf(['a']), 1, () => {})
    await eventually(() => expect(leader.fatal).toBe('disk-failed'))
    process.off('uncaughtException', caught)
  })
})
