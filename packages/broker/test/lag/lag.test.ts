import { ErrorCode, OFFSETS_TOPIC } from '@millrace/base'
import { Hello, OffsetsAnswer, OffsetsQuestion } from '@millrace/rpc'
import { describe, expect, it } from 'vitest'
import type { GroupLag, PartitionLag } from '../../src/index.ts'
import { batchOf, Cluster, eventually, sleep, type TestBroker } from '../cluster.ts'
import { CLUSTER } from '../fake-controller.ts'
import { commit as commitOnce } from '../groups/questions.ts'

const INTERVAL_MS = 20
const settings = { properties: new Map([['group.lag.interval.ms', String(INTERVAL_MS)]]) }

/** Broker 1 coordinates all groups; the topic `t` lies where `replicas` says. */
async function started(
  seed: string,
  replicas: readonly number[],
  configs: Record<string, string> = {},
): Promise<Cluster> {
  const cluster = await Cluster.started(seed, 2, settings)
  await cluster.topic(OFFSETS_TOPIC, [1], { 'cleanup.policy': 'compact' })
  await cluster.topic('t', replicas, configs)
  return cluster
}

function commit(
  broker: TestBroker,
  offset: number,
  place: { groupId?: string; partition?: number } = {},
): Promise<void> {
  return eventually(async () => expect(await commitOnce(broker, offset, place)).toBe(ErrorCode.NONE))
}

function groupLag(broker: TestBroker, groupId = 'g'): GroupLag {
  const view = broker.running.context.groups.view(groupId)
  if (typeof view === 'number') throw new Error(`no group: ${view}`)
  return broker.running.lags.of(view)
}

/** The only partition's, as of a survey that began after the call. */
async function lagOf(broker: TestBroker): Promise<PartitionLag> {
  await surveyed(broker)
  const [first] = groupLag(broker).partitions
  if (first === undefined) throw new Error('nothing is committed')
  return first
}

async function surveyed(broker: TestBroker): Promise<void> {
  const { lags } = broker.running
  for (let rounds = 0; rounds < 2; rounds++) {
    const before = lags.surveyedMs
    await eventually(() => expect(lags.surveyedMs).not.toBe(before))
  }
}

const values = (count: number): string[] => Array.from({ length: count }, (_, at) => String(at))

describe('the lag of a group', () => {
  it('is told in records and in seconds by the coordinator that leads the partition', async () => {
    await using cluster = await started('lag-own', [1])
    const broker = cluster.broker(1)
    await broker.produce('t', values(10))
    await commit(broker, 10)
    expect(await lagOf(broker)).toMatchObject({ lag: 0, lagSeconds: 0, logStart: 0, logEnd: 10, status: 'OK' })
    expect((await lagOf(broker)).secondsToRetention).toBe(Number.POSITIVE_INFINITY)
    await broker.produce('t', values(5))
    await sleep(300)
    const late = await lagOf(broker)
    expect(late).toMatchObject({ lag: 5, offset: 10, logEnd: 15, member: null })
    expect(late.lagSeconds).toBeGreaterThan(0.25)
    expect(late.lagSeconds).toBeLessThan(10)
  })

  it.each([
    ['as a follower in sync', [2, 1]],
    ['from a leader that it asks, where it has no copy', [2]],
  ])('is known to the coordinator %s', async (_, replicas) => {
    await using cluster = await started(`lag-${replicas.length}`, replicas)
    await cluster.isr('t', replicas)
    await cluster.broker(2).produce('t', values(10))
    await commit(cluster.broker(1), 4)
    await eventually(async () => expect(await lagOf(cluster.broker(1))).toMatchObject({ lag: 6, logEnd: 10 }))
    expect([...cluster.broker(2).running.lags.all()]).toEqual([])
  })

  it('stays what it was while the leader cannot be asked', async () => {
    await using cluster = await started('lag-cut', [2])
    await cluster.broker(2).produce('t', values(10))
    await commit(cluster.broker(1), 4)
    await eventually(async () => expect(await lagOf(cluster.broker(1))).toMatchObject({ lag: 6 }))
    cluster.network.cut('b1', 'b2', 'broken')
    await cluster.broker(2).produce('t', values(10))
    expect(await lagOf(cluster.broker(1))).toMatchObject({ lag: 6 })
    cluster.network.heal('b1', 'b2')
    await eventually(async () => expect(await lagOf(cluster.broker(1))).toMatchObject({ lag: 16 }))
  })

  it('in seconds is of the record itself where the coordinator came after it, and retention counts from there', async () => {
    await using cluster = await started('lag-times', [1], { 'retention.ms': '100000' })
    const broker = cluster.broker(1)
    const written = Date.now() - 60_000
    await broker.append('t', batchOf(values(5), written))
    await broker.append('t', batchOf(values(5), written + 20_000))
    await commit(broker, 0)
    await eventually(async () => expect((await lagOf(broker)).lagSeconds).toBeGreaterThan(59))
    const first = await lagOf(broker)
    expect(first.lagSeconds).toBeLessThan(75)
    expect((first.secondsToRetention ?? 0) + (first.lagSeconds ?? 0)).toBeCloseTo(100, 3)
    await commit(broker, 5)
    await eventually(async () => expect((await lagOf(broker)).lagSeconds).toBeLessThan(55))
    expect((await lagOf(broker)).lagSeconds).toBeGreaterThan(39)
  })

  it('tells when retention has overtaken the group', async () => {
    await using cluster = await started('lag-lost', [1])
    const broker = cluster.broker(1)
    await broker.produce('t', values(10))
    await commit(broker, 2)
    await new Promise<void>((resolve) => broker.replica('t').deleteRecords(6, () => resolve()))
    expect(await lagOf(broker)).toMatchObject({ lag: 4, logStart: 6, secondsToRetention: 0 })
    expect(groupLag(broker)).toMatchObject({ secondsToRetention: 0, sumLag: 4, maxLag: 4 })
  })

  it('has a status by what the group commits: STALL, REWIND, STOP, and OK again', async () => {
    await using cluster = await started('lag-status', [1])
    const broker = cluster.broker(1)
    await broker.produce('t', values(100))
    for (let round = 0; round < 12; round++) {
      await commit(broker, 50)
      await surveyed(broker)
      await broker.produce('t', ['more'])
    }
    expect(groupLag(broker).status).toBe('STALL')
    await commit(broker, 20)
    await surveyed(broker)
    expect(groupLag(broker).status).toBe('REWIND')
    await eventually(() => expect(groupLag(broker).status).toBe('STOP'))
    await commit(broker, broker.replica('t').latestOffset(-1, 0).offset)
    await surveyed(broker)
    expect(groupLag(broker)).toMatchObject({ status: 'OK', sumLag: 0 })
  })

  it('of a topic that is gone, or made anew, says nothing of the old one', async () => {
    await using cluster = await started('lag-anew', [1])
    const broker = cluster.broker(1)
    await broker.produce('t', values(10))
    await commit(broker, 2)
    expect(await lagOf(broker)).toMatchObject({ lag: 8 })
    cluster.controller.deleteTopic('t')
    await eventually(() => expect(broker.running.context.groups.view('g')).toBe(ErrorCode.GROUP_ID_NOT_FOUND))
    await surveyed(broker)
    expect([...broker.running.lags.all()]).toEqual([])
    await cluster.topic('t', [1])
    await commit(broker, 0)
    expect(await lagOf(broker)).toMatchObject({ lag: 0, logEnd: 0 })
  })

  it('is known again after the coordinator came back, from what is in the logs', async () => {
    await using cluster = await started('lag-restart', [1])
    const written = Date.now() - 60_000
    await cluster.broker(1).append('t', batchOf(values(10), written))
    await commit(cluster.broker(1), 3)
    await eventually(async () => expect((await lagOf(cluster.broker(1))).lagSeconds).toBeGreaterThan(59))
    await cluster.broker(1).stop()
    await cluster.broker(1).start()
    await eventually(async () => {
      const lag = await lagOf(cluster.broker(1))
      expect(lag).toMatchObject({ offset: 3, lag: 7 })
      expect(lag.lagSeconds).toBeGreaterThan(59)
    })
  })

  it('is not looked for when the interval is 0', async () => {
    await using cluster = await Cluster.started('lag-never', 1, {
      properties: new Map([['group.lag.interval.ms', '0']]),
    })
    await sleep(100)
    expect(cluster.broker(1).running.lags.surveyedMs).toBeNull()
  })
})

describe('questions for offsets', () => {
  async function answer(cluster: Cluster, hello: Partial<Hello>, frame: Uint8Array): Promise<OffsetsAnswer | string> {
    return new Promise((resolve) => {
      const own: Hello = {
        purpose: 'offsets',
        clusterId: CLUSTER,
        nodeId: 9,
        incarnationId: '',
        brokerEpoch: 1,
        version: 1,
        blank: false,
        voters: [],
        leaderId: null,
        term: 0,
        ...hello,
      }
      const stream = cluster.network.peers('stranger').open({ host: 'b1', port: 1 }, 'control', Hello.encode(own), {
        opened: () => {},
        frame: (bytes) => resolve(OffsetsAnswer.decode(bytes)),
        drained: () => {},
        closed: (why, detail) => resolve(`${why}: ${detail}`),
      })
      stream.send(frame)
    })
  }

  it('are answered for what the broker leads, and for nothing else', async () => {
    await using cluster = await started('ask', [1])
    await cluster.broker(1).produce('t', values(3))
    const topicId = cluster.controller.partition('t', 0).topicId
    const partitions = [
      { topicId, partition: 0 },
      { topicId, partition: 7 },
      { topicId: 'AAAAAAAAAAAAAAAAAAAABA', partition: 0 },
    ]
    expect(await answer(cluster, {}, OffsetsQuestion.encode({ partitions }))).toEqual({
      partitions: [{ topicId, partition: 0, logStart: 0, highWatermark: 3 }],
    })
  })

  it('of another cluster, or that are none, are refused', async () => {
    await using cluster = await started('ask-hostile', [1])
    const empty = OffsetsQuestion.encode({ partitions: [] })
    expect(await answer(cluster, { clusterId: 'AAAAAAAAAAAAAAAAAAAABA' }, empty)).toMatch('another cluster')
    expect(await answer(cluster, {}, Uint8Array.of(255))).toMatch('protocol violation')
  })
})
