import { ErrorCode } from '@millrace/base'
import { isReassigning } from '@millrace/metadata'
import { describe, expect, it } from 'vitest'
import { partitionState } from '../src/partition-state.ts'
import type { BrokerReplica } from '../src/replica.ts'
import { bigBatch, Cluster, eventually, sleep, type TestBroker } from './cluster.ts'
import { contents } from './contents.ts'

/** The folders of a broker's disk whose names begin so. */
function folders(broker: TestBroker, prefix = 't-0'): Promise<string[]> {
  return new Promise((resolve, reject) =>
    broker.disk.list('/data', (error, entries) =>
      error === null
        ? resolve(entries.map(({ name }) => name).filter((name) => name.startsWith(prefix)))
        : reject(error),
    ),
  )
}

function reassign(cluster: Cluster, replicas: readonly number[] | null): ErrorCode {
  const [result] = cluster.controller.decide({
    kind: 'alterReassignments',
    partitions: [{ topic: 't', partition: 0, replicas }],
    mayChangeFactor: true,
  })
  return result?.error as ErrorCode
}

const arrived = (cluster: Cluster): Promise<void> =>
  eventually(() => expect(isReassigning(cluster.controller.partition('t'))).toBe(false))

function configure(cluster: Cluster, kind: 2 | 4, name: string, settings: Record<string, string | null>): void {
  const operations = Object.entries(settings).map(([key, value]) => ({
    name: key,
    operation: value === null ? ('delete' as const) : ('set' as const),
    value,
  }))
  const [result] = cluster.controller.decide({
    kind: 'incrementalAlterConfigs',
    validateOnly: false,
    resources: [{ kind, name, operations }],
  })
  expect(result?.error).toBe(ErrorCode.NONE)
}

/** Produces until it is stopped, again where the leader was elsewhere; all that was acknowledged, in order. */
function load(cluster: Cluster): { readonly acked: string[]; readonly failed: ErrorCode[]; stop(): Promise<void> } {
  const acked: string[] = []
  const failed: ErrorCode[] = []
  const state = { over: false }
  const run = async (): Promise<void> => {
    for (let at = 0; !state.over; at++) {
      const value = `v${at}`
      const { error } = await cluster.leader('t').produce('t', [value])
      if (error === ErrorCode.NONE) acked.push(value)
      else failed.push(error)
      if (error !== ErrorCode.NONE) await sleep(2)
    }
  }
  const running = run()
  return {
    acked,
    failed,
    async stop() {
      state.over = true
      await running
    },
  }
}

/** Every replica of the partition holds all of these, in order. */
async function holds(cluster: Cluster, brokers: readonly number[], acked: readonly string[]): Promise<void> {
  await eventually(async () => {
    for (const id of brokers) {
      const held = (await contents(cluster.broker(id), 't')).map((line) => line.slice(line.indexOf(':') + 1))
      expect(held.filter((value) => acked.includes(value))).toEqual(acked)
    }
  })
}

describe('a partition that moves', () => {
  it('loses nothing under load, and its old folders go', async () => {
    await using cluster = await Cluster.started('moves', 5)
    await cluster.topic('t', [1, 2, 3], { 'min.insync.replicas': '2', 'file.delete.delay.ms': '50' })
    const writes = load(cluster)
    await eventually(() => expect(writes.acked.length).toBeGreaterThan(50))
    expect(reassign(cluster, [4, 5, 3])).toBe(ErrorCode.NONE)
    expect(cluster.controller.partition('t')).toMatchObject({ replicas: [4, 5, 3, 1, 2], leader: 1 })
    await arrived(cluster)
    expect(cluster.controller.partition('t')).toMatchObject({ replicas: [4, 5, 3], leader: 4 })
    const before = writes.acked.length
    await eventually(() => expect(writes.acked.length).toBeGreaterThan(before + 50))
    await writes.stop()
    await holds(cluster, [4, 5, 3], writes.acked)
    // Only the hand-over itself is told, once for what was under way.
    expect(writes.failed.every((error) => error === ErrorCode.NOT_LEADER_OR_FOLLOWER)).toBe(true)
    for (const id of [1, 2]) await eventually(async () => expect(await folders(cluster.broker(id))).toEqual([]))
    expect(cluster.broker(1).running.context.replicas.find('t', 0)).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  })

  it('under a leader that stays fails no write', async () => {
    await using cluster = await Cluster.started('stays', 4)
    await cluster.topic('t', [1, 2, 3], { 'min.insync.replicas': '2' })
    const writes = load(cluster)
    for (const [at, other] of [4, 3, 2, 4].entries()) {
      const seen = writes.acked.length
      await eventually(() => expect(writes.acked.length).toBeGreaterThan(seen + 20))
      reassign(
        cluster,
        [1, 2 + (at % 2), other].filter((id, index, all) => all.indexOf(id) === index),
      )
      await arrived(cluster)
    }
    await writes.stop()
    expect(writes.failed).toEqual([])
    expect(cluster.controller.partition('t').leader).toBe(1)
    await holds(cluster, cluster.controller.partition('t').replicas, writes.acked)
  })

  it('under a leader that stays has written what was taken in the same turn before the next epoch begins', async () => {
    await using cluster = await Cluster.started('staged', 2)
    await cluster.topic('t', [1, 2])
    const replica = cluster.broker(1).replica('t') as BrokerReplica
    const answered = cluster.broker(1).produce('t', ['a'])
    expect(replica.log.endOffset).toBe(0)
    const { leaderEpoch, partitionEpoch } = replica.image
    const image = { ...replica.image, leaderEpoch: leaderEpoch + 1, partitionEpoch: partitionEpoch + 1 }
    replica.update(image, partitionState(image, 1), new Map([[2, { epoch: 1, eligible: true }]]))
    expect(replica.machine).toMatchObject({ role: 'leader', leaderEpoch: leaderEpoch + 1, epochStart: 1 })
    cluster.controller.force('t', { leader: 1 })
    expect((await answered).error).toBe(ErrorCode.NONE)
    expect(await cluster.broker(1).read('t')).toEqual(['a'])
  })

  it('from one replica to another takes writes while the new one copies', async () => {
    await using cluster = await Cluster.started('single', 2)
    await cluster.topic('t', [1])
    configure(cluster, 4, '', { 'min.insync.replicas': '2' })
    cluster.network.cut('b1', 'b2', 'silent')
    reassign(cluster, [2])
    expect((await cluster.broker(1).produce('t', ['a'])).error).toBe(ErrorCode.NONE)
    cluster.network.heal('b1', 'b2')
    await arrived(cluster)
    expect(cluster.controller.partition('t')).toMatchObject({ replicas: [2], isr: [2], leader: 2 })
    await eventually(async () => expect(await cluster.broker(2).read('t')).toEqual(['a']))
  })

  it('back before it has arrived leaves the new broker without a folder', async () => {
    await using cluster = await Cluster.started('cancelled', 4)
    await cluster.topic('t', [1, 2, 3], { 'file.delete.delay.ms': '50' })
    for (const value of ['a', 'b']) await cluster.leader('t').produce('t', [value])
    cluster.network.cut('b1', 'b4', 'silent')
    reassign(cluster, [4])
    await eventually(async () => expect(await folders(cluster.broker(4))).toEqual(['t-0']))
    expect(reassign(cluster, null)).toBe(ErrorCode.NONE)
    await eventually(async () => expect(await folders(cluster.broker(4))).toEqual([]))
    expect((await cluster.broker(1).produce('t', ['c'])).error).toBe(ErrorCode.NONE)
    expect(await cluster.broker(1).read('t')).toEqual(['a', 'b', 'c'])
  })

  it('away from a replica and back to it at once counts nothing of what that one held before', async () => {
    await using cluster = await Cluster.started('again', 3)
    await cluster.topic('t', [1, 2, 3])
    for (let at = 0; at < 20; at++) await cluster.leader('t').produce('t', [`v${at}`])
    // The leader hears of both decisions in one breath, broker 3 of one after the other.
    for (let round = 0; round < 3; round++) {
      cluster.network.cut('c0', 'b1', 'broken')
      cluster.network.cut('b1', 'b3', 'silent')
      reassign(cluster, [1, 2])
      await eventually(async () => expect(await folders(cluster.broker(3))).not.toContain('t-0'))
      reassign(cluster, [1, 2, 3])
      cluster.network.heal('c0', 'b1')
      // Broker 3 has an empty log and has not said so yet: the leader must not propose it.
      await sleep(400)
      expect(cluster.controller.partition('t').isr).toEqual([1, 2])
      cluster.network.heal('b1', 'b3')
      await arrived(cluster)
      expect((cluster.broker(3).replica('t') as BrokerReplica).log.endOffset).toBe(20)
    }
    await holds(
      cluster,
      [1, 2, 3],
      Array.from({ length: 20 }, (_, at) => `v${at}`),
    )
  })

  it('away from a broker that is down is moved aside there when it comes back', async () => {
    await using cluster = await Cluster.started('stray', 3)
    await cluster.topic('t', [1, 2], { 'min.insync.replicas': '1' })
    await cluster.leader('t').produce('t', ['a'])
    cluster.broker(2).kill()
    cluster.controller.fence(2)
    reassign(cluster, [1, 3])
    await arrived(cluster)
    await cluster.broker(2).start()
    await eventually(async () => expect(await folders(cluster.broker(2))).not.toContain('t-0'))
    expect(cluster.broker(2).running.context.replicas.find('t', 0)).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  })

  it('goes on after the new broker and the leader restarted', async () => {
    await using cluster = await Cluster.started('restarts', 4)
    await cluster.topic('t', [1, 2, 3])
    for (let at = 0; at < 20; at++) await cluster.leader('t').append('t', bigBatch(500_000))
    reassign(cluster, [4, 3])
    cluster.broker(4).kill()
    cluster.broker(1).kill()
    cluster.controller.fence(1)
    cluster.controller.fence(4)
    await Promise.all([cluster.broker(4).start(), cluster.broker(1).start()])
    await arrived(cluster)
    expect(cluster.controller.partition('t').replicas).toEqual([4, 3])
    await eventually(() => expect((cluster.broker(4).replica('t') as BrokerReplica).machine.highWatermark).toBe(20))
  })

  it('ends when its topic is deleted', async () => {
    await using cluster = await Cluster.started('deleted', 3)
    await cluster.topic('t', [1, 2], { 'file.delete.delay.ms': '50' })
    cluster.network.cut('b1', 'b3', 'silent')
    reassign(cluster, [3])
    cluster.controller.deleteTopic('t')
    for (const id of [1, 2, 3])
      await eventually(async () => expect(await folders(cluster.broker(id))).not.toContain('t-0'))
  })
})

describe('a throttle', () => {
  const BATCHES = 40
  const BATCH = 100_000

  /** Two brokers, of which the first has 4 MB that the second copies, under these settings. */
  async function copying(
    seed: string,
    topic: Record<string, string>,
    rates: Record<string, Record<string, string>>,
  ): Promise<Cluster> {
    const cluster = await Cluster.started(seed, 2, { replicaLagTimeMaxMs: 30_000 })
    await cluster.topic('t', [1], topic)
    for (let at = 0; at < BATCHES; at++) await cluster.broker(1).append('t', bigBatch(BATCH))
    for (const [broker, settings] of Object.entries(rates)) configure(cluster, 4, broker, settings)
    reassign(cluster, [1, 2])
    return cluster
  }

  const copied = (cluster: Cluster): number => (cluster.broker(2).replica('t') as BrokerReplica).log.endOffset
  const throttled = (cluster: Cluster): number => cluster.broker(1).running.status().counters.throttledBytes

  it.each([
    [
      'leader',
      { 'leader.replication.throttled.replicas': '0:1' },
      { '1': { 'leader.replication.throttled.rate': '500000' } },
    ],
    [
      'follower',
      { 'follower.replication.throttled.replicas': '*' },
      { '2': { 'follower.replication.throttled.rate': '500000' } },
    ],
    [
      'follower, for all brokers',
      { 'follower.replication.throttled.replicas': '0:2' },
      { '': { 'follower.replication.throttled.rate': '500000' } },
    ],
  ])('of the %s slows a copy down, until it is taken away', async (_whose, topic, rates) => {
    await using cluster = await copying('slow', topic, rates)
    await eventually(() => expect(copied(cluster)).toBeGreaterThan(0))
    await sleep(1_000)
    // A second's worth at first, then as much in each second, and what a read brings too much.
    expect(copied(cluster)).toBeLessThan(BATCHES / 2)
    expect(throttled(cluster)).toBeGreaterThan(0)
    expect(isReassigning(cluster.controller.partition('t'))).toBe(true)
    for (const [broker, settings] of Object.entries(rates))
      configure(cluster, 4, broker, Object.fromEntries(Object.keys(settings).map((key) => [key, null])))
    await arrived(cluster)
    expect(cluster.controller.partition('t').isr).toEqual([1, 2])
  })

  it('of 0 stops a copy, and the partition can be moved back', async () => {
    await using cluster = await copying(
      'none',
      { 'leader.replication.throttled.replicas': '*' },
      { '1': { 'leader.replication.throttled.rate': '0' } },
    )
    await eventually(() => copied(cluster))
    await sleep(300)
    expect(copied(cluster)).toBe(0)
    expect(reassign(cluster, null)).toBe(ErrorCode.NONE)
    expect((await cluster.broker(1).produce('t', ['a'])).error).toBe(ErrorCode.NONE)
  })

  it.each([
    ['no topic names', {}],
    ['names another replica', { 'leader.replication.throttled.replicas': '0:2,1:1' }],
  ])('that %s slows nobody down', async (_what, topic) => {
    await using cluster = await copying('free', topic, {
      '1': { 'leader.replication.throttled.rate': '10', 'follower.replication.throttled.rate': '10' },
      '2': { 'follower.replication.throttled.rate': '10' },
    })
    await arrived(cluster)
    expect(throttled(cluster)).toBe(0)
  })

  it('does not slow down replicas that are in sync', async () => {
    await using cluster = await Cluster.started('in-sync', 2)
    const all = { 'leader.replication.throttled.replicas': '*', 'follower.replication.throttled.replicas': '*' }
    await cluster.topic('t', [1, 2], { ...all, 'min.insync.replicas': '2' })
    configure(cluster, 4, '', { 'leader.replication.throttled.rate': '1', 'follower.replication.throttled.rate': '1' })
    for (let at = 0; at < 20; at++)
      expect((await cluster.leader('t').append('t', bigBatch(BATCH))).error).toBe(ErrorCode.NONE)
    expect(throttled(cluster)).toBe(0)
  })
})
