import { ErrorCode } from '@millrace/base'
import type { TimestampHit } from '@millrace/storage'
import { describe, expect, it } from 'vitest'
import type { Replica } from '../src/index.ts'
import type { InSyncFollower } from '../src/seams.ts'
import { batchOf, bigBatch, Cluster, eventually, sleep } from './cluster.ts'

const { NONE, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER, OFFSET_OUT_OF_RANGE } = ErrorCode
const LIMITS = { maxBytes: 1 << 20, currentLeaderEpoch: -1, isolation: 0 } as const

function hit(
  ask: (done: (error: ErrorCode, hit: TimestampHit | null) => void) => void,
): Promise<[ErrorCode, TimestampHit | null]> {
  return new Promise((resolve) => ask((error, found) => resolve([error, found])))
}

describe('what a consumer is told', () => {
  it('is fenced by the leader epoch that it expects', async () => {
    await using cluster = await Cluster.started('fences', 2)
    await cluster.topic('t', [1, 2])
    await cluster.broker(1).produce('t', ['a'])
    cluster.controller.force('t', { leader: 1 })
    const replica = cluster.broker(1).replica('t')
    await eventually(() => expect(replica.latestOffset(1, 0)).toEqual({ error: NONE, offset: 1, leaderEpoch: 1 }))
    expect(replica.latestOffset(0, 0).error).toBe(FENCED_LEADER_EPOCH)
    expect(replica.latestOffset(2, 0).error).toBe(UNKNOWN_LEADER_EPOCH)
    expect(replica.earliestOffset(1)).toEqual({ error: NONE, offset: 0, leaderEpoch: 0 })
    expect(replica.earliestOffset(0).error).toBe(FENCED_LEADER_EPOCH)
    expect(replica.fetchState(0, { ...LIMITS, currentLeaderEpoch: 2 }).error).toBe(UNKNOWN_LEADER_EPOCH)
    expect(replica.epochEnd(0, 0)).toEqual({ error: FENCED_LEADER_EPOCH, epoch: -1, endOffset: -1 })
    const follower = cluster.broker(2).replica('t')
    expect(follower.latestOffset(-1, 0).error).toBe(NOT_LEADER_OR_FOLLOWER)
    expect(follower.fetchState(0, LIMITS).error).toBe(NOT_LEADER_OR_FOLLOWER)
    expect(await hit((done) => follower.offsetForTimestamp(0, -1, done))).toEqual([NOT_LEADER_OR_FOLLOWER, null])
  })

  it('of an offset is what lies below the watermark, or that the offset is out of range', async () => {
    await using cluster = await Cluster.started('ranges', 2)
    await cluster.topic('t', [1, 2])
    const replica = cluster.broker(1).replica('t')
    expect(replica.fetchState(0, LIMITS)).toEqual({
      error: NONE,
      highWatermark: 0,
      lastStableOffset: 0,
      logStart: 0,
      availableBytes: 0,
      diverging: null,
      preferredReplica: -1,
    })
    await cluster.broker(1).produce('t', ['a', 'b'])
    for (const { faults } of cluster.brokers) faults.held = []
    await cluster.broker(1).produce('t', ['c'], 1)
    expect(replica.fetchState(1, LIMITS)).toMatchObject({ error: NONE, highWatermark: 2, lastStableOffset: 2 })
    expect(replica.fetchState(1, LIMITS).availableBytes).toBeGreaterThan(0)
    for (const offset of [2, 3])
      expect(replica.fetchState(offset, LIMITS)).toMatchObject({ error: NONE, availableBytes: 0 })
    for (const offset of [-1, 4]) expect(replica.fetchState(offset, LIMITS).error).toBe(OFFSET_OUT_OF_RANGE)
  })

  it('of epochs is where each of them ends', async () => {
    await using cluster = await Cluster.started('epochs', 1)
    await cluster.topic('t', [1])
    const { broker } = { broker: cluster.broker(1) }
    await broker.produce('t', ['a', 'b'])
    cluster.controller.force('t', { leader: 1 })
    await eventually(() => expect(broker.replica('t').epochEnd(1, -1).error).toBe(NONE))
    await eventually(() => expect(broker.replica('t').latestOffset(1, 0).error).toBe(NONE))
    await broker.produce('t', ['c'])
    const replica = broker.replica('t')
    expect(replica.epochEnd(0, -1)).toEqual({ error: NONE, epoch: 0, endOffset: 2 })
    expect(replica.epochEnd(1, -1)).toEqual({ error: NONE, epoch: 1, endOffset: 3 })
    expect(replica.epochEnd(9, -1)).toEqual({ error: NONE, epoch: -1, endOffset: -1 })
  })

  it('of timestamps ends at the watermark', async () => {
    await using cluster = await Cluster.started('timestamps', 1)
    await cluster.topic('t', [1])
    const broker = cluster.broker(1)
    await broker.append('t', batchOf(['a'], 1_000))
    await broker.append('t', batchOf(['b'], 3_000))
    broker.faults.held = []
    await broker.append('t', batchOf(['c'], 5_000), 1)
    const replica = broker.replica('t')
    expect(await hit((done) => replica.offsetForTimestamp(2_000, -1, done))).toMatchObject([
      NONE,
      { offset: 1, timestamp: 3_000 },
    ])
    expect(await hit((done) => replica.offsetForTimestamp(4_000, -1, done))).toEqual([NONE, null])
    expect(await hit((done) => replica.maxTimestamp(-1, done))).toEqual([NONE, null])
  })

  it('by a watch comes once a turn in which something moved, until it is undone', async () => {
    await using cluster = await Cluster.started('watch', 1)
    await cluster.topic('t', [1])
    const replica: Replica = cluster.broker(1).replica('t')
    // Once a record is answered nobody is told of the leadership's beginning any more.
    await cluster.broker(1).produce('t', ['first'])
    let moves = 0
    const undo = replica.watch(() => moves++)
    await Promise.all([cluster.broker(1).produce('t', ['a']), cluster.broker(1).produce('t', ['b'])])
    await eventually(() => expect(moves).toBe(1))
    cluster.controller.force('t', { leader: 1 })
    await eventually(() => expect(moves).toBeGreaterThan(1))
    undo()
    const before = moves
    await cluster.broker(1).produce('t', ['c'])
    await sleep(20)
    expect(moves).toBe(before)
    let over = 0
    replica.watch(() => over++)
    cluster.controller.deleteTopic('t')
    await eventually(() => expect(over).toBe(1))
    expect(replica.fetchState(0, LIMITS).error).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })
})

describe('what a consumer reads from a follower', () => {
  it('lies below the follower’s own watermark, under the epoch that the follower knows', async () => {
    await using cluster = await Cluster.started('nearby', 2)
    await cluster.topic('t', [1, 2])
    const anywhere = { ...LIMITS, leaderOnly: false }
    const follower = cluster.broker(2).replica('t')
    await cluster.broker(1).produce('t', ['a', 'b'])
    await eventually(() => expect(follower.fetchState(0, anywhere)).toMatchObject({ error: NONE, highWatermark: 2 }))
    expect(follower.fetchState(0, anywhere).availableBytes).toBeGreaterThan(0)
    expect(follower.fetchState(2, anywhere)).toMatchObject({ error: NONE, availableBytes: 0 })
    expect(follower.fetchState(9, anywhere).error).toBe(OFFSET_OUT_OF_RANGE)
    expect(follower.fetchState(0, { ...anywhere, currentLeaderEpoch: 1 }).error).toBe(UNKNOWN_LEADER_EPOCH)
    expect(follower.fetchState(0, LIMITS).error).toBe(NOT_LEADER_OR_FOLLOWER)
    // The epoch is looked at first: who knows an older one is told so, wherever the leader is.
    cluster.controller.force('t', { leader: 1 })
    await eventually(() =>
      expect(follower.fetchState(0, { ...LIMITS, currentLeaderEpoch: 0 }).error).toBe(FENCED_LEADER_EPOCH),
    )
  })

  it('is nothing while nobody leads the partition: the copy may be a blank one', async () => {
    await using cluster = await Cluster.started('nearby-orphan', 2)
    await cluster.topic('t', [1, 2])
    const anywhere = { ...LIMITS, leaderOnly: false }
    const follower = cluster.broker(2).replica('t')
    await cluster.broker(1).produce('t', ['a'])
    await eventually(() => expect(follower.fetchState(0, anywhere)).toMatchObject({ error: NONE, highWatermark: 1 }))
    cluster.controller.force('t', { leader: -1 })
    await eventually(() => expect(follower.fetchState(0, anywhere).error).toBe(NOT_LEADER_OR_FOLLOWER))
  })

  it('is looked at again when the watermark or the leader epoch of the follower moves', async () => {
    await using cluster = await Cluster.started('nearby-watch', 2)
    await cluster.topic('t', [1, 2])
    const follower = cluster.broker(2).replica('t')
    let moves = 0
    follower.watch(() => moves++)
    await cluster.broker(1).produce('t', ['a'])
    await eventually(() => expect(moves).toBeGreaterThan(0))
    await sleep(50)
    const before = moves
    cluster.controller.force('t', { leader: 1 })
    await eventually(() => expect(moves).toBeGreaterThan(before))
  })

  it('is offered by the leader once the follower is in sync and has the offset', async () => {
    await using cluster = await Cluster.started('offered', 3)
    await cluster.topic('t', [1, 2, 3])
    const leader = cluster.broker(1).replica('t')
    await cluster.broker(1).produce('t', ['a', 'b'])
    let offered: readonly number[] = []
    const selector = {
      choose(followers: readonly InSyncFollower[]): number {
        offered = followers.map(({ brokerId }) => brokerId).sort((a, b) => a - b)
        return followers[0]?.brokerId ?? -1
      },
    }
    const state = leader.fetchState(2, { ...LIMITS, leaderOnly: false, selector })
    expect(offered).toEqual([2, 3])
    expect(state).toMatchObject({ error: NONE, highWatermark: 2, availableBytes: 0 })
    expect(state.preferredReplica).toBeGreaterThan(1)
    expect(leader.fetchState(3, { ...LIMITS, selector }).error).toBe(OFFSET_OUT_OF_RANGE)
    expect(offered).toEqual([])
    cluster.broker(3).kill()
    cluster.controller.force('t', { isr: [1, 2] })
    await eventually(() => {
      leader.fetchState(0, { ...LIMITS, selector })
      expect(offered).toEqual([2])
    })
    // A follower chooses nobody: it serves.
    expect(
      cluster
        .broker(2)
        .replica('t')
        .fetchState(0, { ...LIMITS, leaderOnly: false, selector }),
    ).toMatchObject({
      error: NONE,
      preferredReplica: -1,
    })
  })
})

describe('the epoch of the last record that a reader has', () => {
  it('is held against the log: where they part is told, without records', async () => {
    await using cluster = await Cluster.started('diverging', 1)
    await cluster.topic('t', [1])
    const broker = cluster.broker(1)
    await broker.produce('t', ['a', 'b'])
    for (const epoch of [1, 2]) {
      cluster.controller.force('t', { leader: 1 })
      await eventually(() => expect(broker.replica('t').latestOffset(epoch, 0).error).toBe(NONE))
      if (epoch === 2) await broker.produce('t', ['c'])
    }
    const at = (offset: number, lastFetchedEpoch: number) =>
      broker.replica('t').fetchState(offset, { ...LIMITS, lastFetchedEpoch })
    expect(at(2, 0)).toMatchObject({ error: NONE, diverging: null })
    expect(at(2, 0).availableBytes).toBeGreaterThan(0)
    expect(at(3, 2)).toMatchObject({ error: NONE, diverging: null, availableBytes: 0 })
    expect(at(3, 0)).toMatchObject({
      error: NONE,
      diverging: { epoch: 0, endOffset: 2 },
      highWatermark: 3,
      availableBytes: 0,
    })
    // Epoch 1 wrote nothing.
    expect(at(2, 1)).toMatchObject({ error: NONE, diverging: { epoch: 0, endOffset: 2 } })
    expect(at(2, 3).error).toBe(OFFSET_OUT_OF_RANGE)
    expect(at(-1, 0).error).toBe(OFFSET_OUT_OF_RANGE)
  })

  it('ends at the start of the log when all that it wrote is gone, so that a reader there has lost nothing', async () => {
    await using cluster = await Cluster.started('gone', 1)
    await cluster.topic('t', [1])
    const broker = cluster.broker(1)
    await broker.produce('t', ['a', 'b'])
    cluster.controller.force('t', { leader: 1 })
    await eventually(() => expect(broker.replica('t').latestOffset(1, 0).error).toBe(NONE))
    await broker.produce('t', ['c'])
    const replica = broker.replica('t')
    await new Promise<void>((resolve) => replica.deleteRecords(2, () => resolve()))
    expect(replica.epochEnd(0, -1)).toEqual({ error: NONE, epoch: 0, endOffset: 2 })
    expect(replica.epochEnd(1, -1)).toEqual({ error: NONE, epoch: 1, endOffset: 3 })
    expect(replica.epochEnd(-1, -1)).toEqual({ error: NONE, epoch: -1, endOffset: -1 })
  })
})

describe('retention', () => {
  it('removes old segments on every replica, and the log start follows', async () => {
    await using cluster = await Cluster.started('retention', 2, {
      properties: new Map([['log.retention.check.interval.ms', '40']]),
    })
    await cluster.topic('t', [1, 2], { 'segment.bytes': '1048576', 'retention.bytes': '1500000' })
    for (let at = 0; at < 8; at++) expect((await cluster.broker(1).append('t', bigBatch(700_000))).error).toBe(NONE)
    await eventually(() => expect(cluster.broker(1).replica('t').earliestOffset(-1).offset).toBeGreaterThan(3))
    await eventually(() => expect(cluster.broker(2).replica('t').sizeBytes).toBeLessThan(3_000_000))
    expect(cluster.broker(1).replica('t').sizeBytes).toBeLessThan(3_000_000)
    expect(cluster.broker(1).replica('t').fetchState(0, LIMITS).error).toBe(OFFSET_OUT_OF_RANGE)
    expect((await cluster.broker(1).append('t', bigBatch(1_000))).error).toBe(NONE)
  })
})
