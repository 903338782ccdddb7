import { ErrorCode, type PeerStream } from '@millrace/base'
import { Hello, LeaderFrame } from '@millrace/rpc'
import { describe, expect, it } from 'vitest'
import type { BrokerReplica } from '../src/replica.ts'
import { bigBatch, Cluster, eventually, sleep, type TestBroker } from './cluster.ts'
import { contents, logOf } from './contents.ts'
import { CLUSTER } from './fake-controller.ts'

async function same(cluster: Cluster, topic: string, brokers: readonly number[]): Promise<string[]> {
  return eventually(async () => {
    const [first, ...others] = await Promise.all(brokers.map((id) => contents(cluster.broker(id), topic)))
    for (const other of others) expect(other).toEqual(first)
    const [highest] = brokers.map((id) => logOf(cluster.broker(id), topic).endOffset).sort((a, b) => b - a)
    for (const id of brokers)
      expect((cluster.broker(id).replica(topic) as BrokerReplica).machine.highWatermark).toBe(highest)
    return first as string[]
  })
}

describe('followers', () => {
  it('hold the same bytes as their leader, and learn the watermark', async () => {
    await using cluster = await Cluster.started('same', 3)
    await cluster.topic('t', [1, 2, 3])
    for (let at = 0; at < 20; at++)
      expect((await cluster.leader('t').produce('t', [`v${at}`])).error).toBe(ErrorCode.NONE)
    expect((await same(cluster, 't', [1, 2, 3])).length).toBe(20)
  })

  it('catch up from the beginning when they start late, and join the ISR', async () => {
    await using cluster = new Cluster('late', 3)
    await Promise.all([1, 2, 3].map((id) => cluster.broker(id).start()))
    await cluster.topic('t', [1, 2, 3])
    cluster.broker(3).kill()
    cluster.controller.fence(3)
    await cluster.isr('t', [1, 2])
    for (let at = 0; at < 40; at++)
      expect((await cluster.broker(1).append('t', bigBatch(1_000_000))).error).toBe(ErrorCode.NONE)
    await cluster.broker(3).start()
    await cluster.isr('t', [1, 2, 3])
    expect((await same(cluster, 't', [1, 2, 3])).length).toBe(40)
    // The tail cache holds 32 MiB: what is older comes from disk, the rest from memory.
    const { counters } = cluster.broker(1).running.status()
    expect(counters.catchUpBytes).toBeGreaterThan(6_000_000)
    expect(counters.tailBytes).toBeGreaterThan(40_000_000 + 20_000_000)
  })

  it('begin from nothing on a wiped disk, without being counted before they hold everything', async () => {
    await using cluster = await Cluster.started('wiped', 3)
    await cluster.topic('t', [1, 2, 3])
    for (let at = 0; at < 10; at++) await cluster.leader('t').produce('t', [`v${at}`])
    cluster.broker(2).kill()
    cluster.broker(2).wipe()
    await cluster.broker(2).start()
    await cluster.isr('t', [1, 2, 3])
    expect((await same(cluster, 't', [1, 2, 3])).length).toBe(10)
  })

  it('lose and repeat nothing when their streams break again and again', async () => {
    await using cluster = await Cluster.started('breaks', 3)
    await cluster.topic('t', [1, 2, 3])
    const leader = cluster.leader('t')
    const acked: string[] = []
    for (let round = 0; round < 25; round++) {
      const values = Array.from({ length: 8 }, (_, at) => `r${round}-${at}`)
      const produces = values.map((value) => leader.produce('t', [value]))
      if (round % 2 === 0) cluster.network.break('b1', 'b2')
      if (round % 3 === 0) cluster.network.break('b1', 'b3')
      await sleep(round % 5)
      for (const [at, produced] of (await Promise.all(produces)).entries()) {
        expect(produced.error).toBe(ErrorCode.NONE)
        acked.push(values[at] as string)
      }
    }
    const found = await same(cluster, 't', [1, 2, 3])
    expect(found).toEqual(acked.map((value, at) => `${at}:${value}`))
    expect(cluster.controller.partition('t').leader).toBe(1)
  })

  it('whose link falls silent are taken out of the ISR, and come back when it is heard again', async () => {
    await using cluster = await Cluster.started('silent', 3)
    await cluster.topic('t', [1, 2, 3])
    cluster.network.cut('b1', 'b3', 'silent')
    const blocked = cluster.leader('t').produce('t', ['a'])
    await cluster.isr('t', [1, 2])
    expect((await blocked).error).toBe(ErrorCode.NONE)
    cluster.network.heal('b1', 'b3')
    await cluster.isr('t', [1, 2, 3])
    await same(cluster, 't', [1, 2, 3])
  })

  it('that stall hold back no more than the window, and the leader keeps serving the others', async () => {
    await using cluster = await Cluster.started('back-pressure', 3, { replicaLagTimeMaxMs: 600 })
    await cluster.topic('t', [1, 2, 3], { 'min.insync.replicas': '1' })
    cluster.network.cut('b1', 'b3', 'silent')
    for (let at = 0; at < 60; at++)
      expect((await cluster.leader('t').append('t', bigBatch(500_000), 1)).error).toBe(ErrorCode.NONE)
    const { inFlightBytes } = cluster.broker(1).running.status().streams
    expect(inFlightBytes).toBeLessThan(2 * 10_000_000)
    await cluster.isr('t', [1, 2])
    cluster.network.heal('b1', 'b3')
    await cluster.isr('t', [1, 2, 3])
    expect((await same(cluster, 't', [1, 2, 3])).length).toBe(60)
    expect(cluster.broker(1).running.status().streams.inFlightBytes).toBe(0)
  })

  it('of many partitions share one stream', async () => {
    await using cluster = await Cluster.started('shared', 3)
    cluster.controller.createTopic(
      't',
      Array.from({ length: 60 }, () => [1, 2, 3]),
    )
    await eventually(() => void [1, 2, 3].map((id) => cluster.broker(id).replica('t', 59)))
    await eventually(() => expect(cluster.broker(1).running.status().partitions.leaders).toBe(60))
    const frames = (): number => cluster.broker(1).running.status().counters.leaderFrames
    await eventually(async () =>
      expect((await cluster.broker(1).produce('t', ['warm'], -1, 59)).error).toBe(ErrorCode.NONE),
    )
    await sleep(300)
    const before = frames()
    const produces = Array.from({ length: 60 }, (_, at) => cluster.broker(1).produce('t', ['a'], -1, at))
    for (const { error } of await Promise.all(produces)) expect(error).toBe(ErrorCode.NONE)
    expect(frames() - before).toBeLessThan(20)
    expect(cluster.broker(1).running.status().streams.ofFollowers).toBe(2)
    expect(cluster.broker(2).running.status().streams.toLeaders).toBe(1)
  })
})

describe('a new leader', () => {
  it('makes the old one cut what it alone had, and every acknowledged record stays', async () => {
    await using cluster = await Cluster.started('truncation', 3)
    await cluster.topic('t', [1, 2, 3])
    const first = cluster.broker(1)
    expect((await first.produce('t', ['kept'])).error).toBe(ErrorCode.NONE)
    cluster.network.cut('b1', 'b2', 'silent')
    cluster.network.cut('b1', 'b3', 'silent')
    expect((await first.produce('t', ['alone-1', 'alone-2'], 1)).error).toBe(ErrorCode.NONE)
    first.kill()
    cluster.controller.fence(1)
    await eventually(() => expect(cluster.controller.partition('t').leader).not.toBe(1))
    cluster.network.heal('b1', 'b2')
    cluster.network.heal('b1', 'b3')
    await eventually(async () => expect((await cluster.leader('t').produce('t', ['after'])).error).toBe(ErrorCode.NONE))
    await first.start()
    await cluster.isr('t', [1, 2, 3])
    expect(await same(cluster, 't', [1, 2, 3])).toEqual(['0:kept', '1:after'])
    expect(first.log.lines.some(({ event }) => event === 'log truncated')).toBe(true)
  })

  it('that began an epoch without writing takes the records of an older epoch when it follows again', async () => {
    await using cluster = await Cluster.started('empty-epoch', 3)
    await cluster.topic('t', [1, 2, 3])
    await cluster.broker(1).produce('t', ['a'])
    await same(cluster, 't', [1, 2, 3])
    // Broker 2 gets a record that broker 3 does not; 3 leads for a moment without writing, then 2 leads.
    cluster.network.cut('b1', 'b3', 'silent')
    expect((await cluster.broker(1).produce('t', ['b'], 1)).error).toBe(ErrorCode.NONE)
    await eventually(() => expect(logOf(cluster.broker(2), 't').endOffset).toBe(2))
    cluster.network.cut('b2', 'b3', 'broken')
    cluster.controller.force('t', { leader: 3 })
    await eventually(() =>
      expect(cluster.broker(3).replica('t').latestOffset(-1, 0).error).not.toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER),
    )
    cluster.controller.force('t', { leader: 2 })
    cluster.network.heal('b1', 'b3')
    cluster.network.heal('b2', 'b3')
    expect(await same(cluster, 't', [1, 2, 3])).toEqual(['0:a', '1:b'])
    for (const { fatal } of cluster.brokers) expect(fatal).toBeNull()
  })

  it('does not answer for the end of the log before its watermark reached its epoch', async () => {
    await using cluster = await Cluster.started('latest', 2)
    await cluster.topic('t', [1, 2], { 'min.insync.replicas': '1' })
    await cluster.broker(1).produce('t', ['a'])
    cluster.broker(1).faults.held = []
    const late = cluster.broker(1).produce('t', ['b'])
    await eventually(() => expect(logOf(cluster.broker(2), 't').endOffset).toBe(2))
    cluster.broker(2).faults.held = []
    cluster.controller.force('t', { leader: 2 })
    expect((await late).error).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    const now = cluster.broker(2).replica('t')
    await eventually(() => expect(now.latestOffset(-1, 0).error).toBe(ErrorCode.OFFSET_NOT_AVAILABLE))
    for (const broker of cluster.brokers) {
      const syncs = broker.faults.held ?? []
      broker.faults.held = null
      for (const sync of syncs) sync()
    }
    await eventually(() => expect(now.latestOffset(-1, 0)).toMatchObject({ error: 0, offset: 2 }))
  })

  it('is elected over and over under load, and nothing acknowledged is lost', async () => {
    await using cluster = await Cluster.started('elections', 3)
    await cluster.topic('t', [1, 2, 3], { 'min.insync.replicas': '2' })
    const acked: string[] = []
    const until = new AbortController()
    const producer = async (name: string): Promise<void> => {
      for (let at = 0; !until.signal.aborted; at++) {
        const value = `${name}-${at}`
        const { error } = await cluster.leader('t').produce('t', [value])
        if (error === ErrorCode.NONE) acked.push(value)
        else await sleep(2)
      }
    }
    const producers = ['p', 'q', 'r'].map(producer)
    for (let round = 0; round < 12; round++) {
      await sleep(60)
      const { isr, leader } = cluster.controller.partition('t')
      const next = isr.find((id) => id !== leader)
      if (next !== undefined) cluster.controller.force('t', { leader: next })
    }
    until.abort()
    await Promise.all(producers)
    const found = await same(cluster, 't', [1, 2, 3])
    const values = new Set(found.map((entry) => entry.slice(entry.indexOf(':') + 1)))
    for (const value of acked) expect(values.has(value)).toBe(true)
    expect(acked.length).toBeGreaterThan(50)
    for (const { fatal } of cluster.brokers) expect(fatal).toBeNull()
  })
})

describe('a replica in doubt', () => {
  it('that parts from its leader below the watermark leaves ISR and ELR, and refetches', async () => {
    await using cluster = await Cluster.started('quarantine', 3)
    await cluster.topic('t', [1, 2, 3])
    for (const value of ['a', 'b', 'c']) await cluster.broker(1).produce('t', [value])
    await same(cluster, 't', [1, 2, 3])
    // A leader that lost committed records: what must never happen, and must not spread when it does.
    cluster.broker(3).kill()
    cluster.broker(3).wipe()
    cluster.network.cut('b1', 'b3', 'broken')
    cluster.network.cut('b2', 'b3', 'broken')
    await cluster.broker(3).start()
    cluster.controller.force('t', { leader: 3, isr: [3] })
    const wiped = cluster.broker(3)
    await eventually(async () => expect((await wiped.produce('t', ['other'])).error).toBe(ErrorCode.NONE))
    cluster.network.heal('b1', 'b3')
    cluster.network.heal('b2', 'b3')
    const quarantined = (broker: TestBroker): boolean =>
      broker.log.lines.some(({ event }) => event === 'replica quarantined')
    await eventually(() =>
      expect([quarantined(cluster.broker(1)), quarantined(cluster.broker(2))]).toEqual([true, true]),
    )
    await cluster.isr('t', [1, 2, 3])
    await same(cluster, 't', [1, 2, 3])
  })

  it('follows a leader that was elected uncleanly without a quarantine', async () => {
    await using cluster = await Cluster.started('unclean', 2)
    await cluster.topic('t', [1, 2])
    for (const value of ['a', 'b']) await cluster.broker(1).produce('t', [value])
    await same(cluster, 't', [1, 2])
    cluster.broker(2).kill()
    cluster.broker(2).wipe()
    cluster.network.cut('b1', 'b2', 'broken')
    await cluster.broker(2).start()
    cluster.controller.force('t', { leader: 2, isr: [2], elr: [], recovering: true })
    await eventually(async () => expect((await cluster.broker(2).produce('t', ['x'])).error).toBe(ErrorCode.NONE))
    cluster.network.heal('b1', 'b2')
    expect(await same(cluster, 't', [1, 2])).toEqual(['0:x'])
    expect(cluster.broker(1).running.status().counters.quarantines).toBe(0)
  })
})

describe('deleting records', () => {
  it('is done once every in-sync replica has moved its log start', async () => {
    await using cluster = await Cluster.started('delete-records', 3)
    await cluster.topic('t', [1, 2, 3])
    for (let at = 0; at < 10; at++) await cluster.leader('t').produce('t', [`v${at}`])
    const deleted = await new Promise<[number, number]>((resolve) =>
      cluster
        .leader('t')
        .replica('t')
        .deleteRecords(6, (error, low) => resolve([error, low])),
    )
    expect(deleted).toEqual([ErrorCode.NONE, 6])
    for (const broker of cluster.brokers) expect(logOf(broker, 't').logStart).toBe(6)
    expect(cluster.leader('t').replica('t').earliestOffset(-1)).toMatchObject({ error: 0, offset: 6 })
    const limits = { maxBytes: 100, currentLeaderEpoch: -1, isolation: 0 } as const
    expect(cluster.leader('t').replica('t').fetchState(5, limits).error).toBe(ErrorCode.OFFSET_OUT_OF_RANGE)
    const beyond = await new Promise((resolve) => cluster.leader('t').replica('t').deleteRecords(11, resolve))
    expect(beyond).toBe(ErrorCode.OFFSET_OUT_OF_RANGE)
  })

  it('below which a follower ends makes that follower begin at the new log start', async () => {
    await using cluster = await Cluster.started('below-log', 2, { replicaLagTimeMaxMs: 500 })
    await cluster.topic('t', [1, 2], { 'min.insync.replicas': '1' })
    await cluster.broker(1).produce('t', ['a'])
    cluster.network.cut('b1', 'b2', 'broken')
    await cluster.broker(1).produce('t', ['b'], 1)
    await cluster.isr('t', [1])
    for (let at = 0; at < 5; at++) await cluster.broker(1).produce('t', [`v${at}`])
    await new Promise<void>((resolve) =>
      cluster
        .broker(1)
        .replica('t')
        .deleteRecords(5, () => resolve()),
    )
    cluster.network.heal('b1', 'b2')
    await cluster.isr('t', [1, 2])
    expect(await same(cluster, 't', [1, 2])).toEqual(['5:v3', '6:v4'])
    expect(logOf(cluster.broker(2), 't').logStart).toBe(5)
  })

  it('within a batch lets a follower that ends below begin with that batch', async () => {
    await using cluster = await Cluster.started('within-batch', 2, { replicaLagTimeMaxMs: 500 })
    await cluster.topic('t', [1, 2], { 'min.insync.replicas': '1' })
    await cluster.broker(1).produce('t', ['a'])
    cluster.network.cut('b1', 'b2', 'broken')
    await cluster.broker(1).produce('t', ['b'], 1)
    await cluster.isr('t', [1])
    await cluster.broker(1).produce('t', ['c', 'd', 'e', 'f'])
    await cluster.broker(1).produce('t', ['g'])
    await new Promise<void>((resolve) =>
      cluster
        .broker(1)
        .replica('t')
        .deleteRecords(4, () => resolve()),
    )
    cluster.network.heal('b1', 'b2')
    await cluster.isr('t', [1, 2])
    await cluster.broker(1).produce('t', ['h'])
    // Batches are kept and served whole; clients skip what lies below the start.
    expect(await same(cluster, 't', [1, 2])).toEqual(['2:c', '3:d', '4:e', '5:f', '6:g', '7:h'])
    expect(logOf(cluster.broker(2), 't').logStart).toBe(4)
  })
})

describe('a replication stream', () => {
  const hello = (over: Partial<Hello>): Hello => ({
    purpose: 'replication',
    clusterId: CLUSTER,
    nodeId: 2,
    incarnationId: '',
    brokerEpoch: 0,
    version: 1,
    blank: false,
    voters: [],
    leaderId: null,
    term: 0,
    ...over,
  })

  function dial(cluster: Cluster, as: Hello): Promise<{ why: string; stream: PeerStream; frames: LeaderFrame[] }> {
    const frames: LeaderFrame[] = []
    return new Promise((resolve) => {
      const stream: PeerStream = cluster.network
        .peers('stranger')
        .open({ host: 'b1', port: 1 }, 'replication', Hello.encode(as), {
          opened: () => resolve({ why: 'opened', stream, frames }),
          frame: (bytes) => void frames.push(LeaderFrame.decode(bytes)),
          drained: () => {},
          closed: (why, detail) => resolve({ why: `${why}: ${detail}`, stream, frames }),
        })
    })
  }

  it('of another cluster, of an old incarnation, or of this node itself is refused', async () => {
    await using cluster = await Cluster.started('refusals', 2)
    const { epoch, incarnationId } = cluster.controller.image.brokers.get(2) ?? { epoch: -1, incarnationId: '' }
    const why = async (over: Partial<Hello>): Promise<string> =>
      (await dial(cluster, hello({ brokerEpoch: epoch, incarnationId, ...over }))).why
    expect(await why({ clusterId: 'AAAAAAAAAAAAAAAAAAAABA' })).toMatch('refused: another cluster')
    expect(await why({ brokerEpoch: epoch - 1 })).toMatch('is over')
    expect(await why({ brokerEpoch: -1 })).toMatch('is over')
    expect(await why({ nodeId: 1 })).toMatch('itself')
    expect(await why({ incarnationId: 'AAAAAAAAAAAAAAAAAAAABA' })).toMatch('another incarnation')
    expect(await why({})).toBe('opened')
  })

  it('with hostile frames is closed, and the partition goes on', async () => {
    await using cluster = await Cluster.started('hostile', 2)
    await cluster.topic('t', [1, 2])
    const { epoch, incarnationId } = cluster.controller.image.brokers.get(2) ?? { epoch: -1, incarnationId: '' }
    for (const bytes of [Uint8Array.of(255), Uint8Array.of(18, 200, 1), new Uint8Array(1000).fill(0x1a)]) {
      const { stream, why } = await dial(cluster, hello({ brokerEpoch: epoch, incarnationId }))
      expect(why).toBe('opened')
      stream.send(bytes)
      await eventually(() =>
        expect(cluster.broker(1).log.lines.some(({ event }) => event === 'follower sent a frame that is none')).toBe(
          true,
        ),
      )
    }
    await eventually(async () => expect((await cluster.leader('t').produce('t', ['a'])).error).toBe(ErrorCode.NONE))
  })
})

describe('a batch that is too large for a frame', () => {
  it('reaches the followers in pieces, from the tail and from the log', async () => {
    await using cluster = await Cluster.started('large', 3)
    await cluster.topic('t', [1, 2, 3], { 'max.message.bytes': '60000000' })
    cluster.broker(3).kill()
    cluster.controller.fence(3)
    await cluster.isr('t', [1, 2])
    for (const bytes of [1_000, 20_000_000, 1_000])
      expect((await cluster.leader('t').append('t', bigBatch(bytes))).error).toBe(ErrorCode.NONE)
    await cluster.broker(3).start()
    await cluster.isr('t', [1, 2, 3])
    for (const { log } of [1, 2, 3].map((id) => cluster.broker(id).replica('t') as BrokerReplica)) {
      expect(log.endOffset).toBe(3)
      expect(log.sizeBytes).toBe(logOf(cluster.leader('t'), 't').sizeBytes)
    }
  })
})
