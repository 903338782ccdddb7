import { ErrorCode, OFFSETS_TOPIC } from '@millrace/base'
import { CreateTopicsApi } from '@millrace/protocol'
import { encodeBatch, encodeMarker, setBaseOffset } from '@millrace/records'
import { decode, DecodeError } from '@millrace/schema'
import { describe, expect, test } from 'vitest'
import { GroupFixture, GroupReplica, logRecord } from './fixture.ts'

/** Puts a batch at the end of the log, as an earlier leader left it. */
function leave(
  replica: GroupReplica,
  records: readonly [key: string | null, value: string | null][],
  codec: 'none' | 'gzip' | 'snappy' = 'none',
): void {
  const batch = encodeBatch(
    records.map(([key, value]) => {
      const record = logRecord(key ?? '', value)
      return { timestamp: 1, key: key === null ? null : record.key, value: record.value }
    }),
    { codec },
  )
  setBaseOffset(batch, 0, replica.endOffset)
  replica.batches.push(batch)
  replica.highWatermark = replica.endOffset
}

const inLoad = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS

describe('a partition that loads', () => {
  test('answers everything with COORDINATOR_LOAD_IN_PROGRESS until its whole log is replayed', () => {
    const fixture = new GroupFixture()
    leave(fixture.replica, [['g1', '5']])
    fixture.replica.cold = true
    fixture.coordinator.replicaChanged(fixture.replica)
    expect(fixture.commit('g1', 6).outcome).toBe(inLoad)
    expect(fixture.heartbeat('g2').outcome).toBe(inLoad)
    expect(fixture.coordinator.list([], [])).toBe(inLoad)
    fixture.world.time.advance(20)
    expect(fixture.shard.replayed).toEqual(['g1=5'])
    expect(fixture.heartbeat('g1').outcome).toEqual({ error: ErrorCode.NONE })
    expect(fixture.coordinator.list([], [])).toHaveLength(1)
  })

  test('replays records in the order of the log, tombstones too, out of every codec', () => {
    const fixture = new GroupFixture()
    leave(fixture.replica, [
      ['a', '1'],
      ['b', '2'],
    ])
    leave(fixture.replica, [['a', '3']], 'gzip')
    leave(
      fixture.replica,
      [
        ['b', null],
        ['c', '4'],
      ],
      'snappy',
    )
    leave(fixture.replica, [['c', '5']])
    fixture.lead()
    expect(fixture.shard.replayed).toEqual(['a=1', 'b=2', 'a=3', 'b=null', 'c=4', 'c=5'])
  })

  test('skips control batches, and records without a key', () => {
    const fixture = new GroupFixture()
    leave(fixture.replica, [
      ['a', '1'],
      [null, 'x'],
    ])
    const marker = encodeMarker({
      type: 'commit',
      offset: fixture.replica.endOffset,
      leaderEpoch: 5,
      producerId: 1,
      producerEpoch: 0,
      coordinatorEpoch: 0,
      timestamp: 1,
    })
    fixture.replica.batches.push(marker)
    leave(fixture.replica, [['b', '2']])
    fixture.lead()
    expect(fixture.shard.replayed).toEqual(['a=1', 'b=2'])
  })

  test('counts and logs records that it can not read, and serves the groups of all others', () => {
    const fixture = new GroupFixture()
    leave(fixture.replica, [
      ['good', '1'],
      ['bad', '2'],
      ['fine', '3'],
      ['bad', null],
    ])
    fixture.coordinator.replicaChanged(fixture.replica)
    const { shard } = fixture
    const replay = shard.replay.bind(shard)
    shard.replay = (key, value) => {
      if (new TextDecoder().decode(key) === 'bad')
        throw value === null ? new TypeError('a bug') : new DecodeError('no such record')
      replay(key, value)
    }
    fixture.world.time.advance(10)
    expect(shard.replayed).toEqual(['good=1', 'fine=3'])
    const lines = fixture.world.log.lines.filter(({ level }) => level === 'error')
    expect(lines).toHaveLength(1)
    expect(lines[0]?.fields).toMatchObject({ records: 2, skipped: 2, firstSkipped: { offset: 1 } })
    expect(fixture.heartbeat('good').outcome).toEqual({ error: ErrorCode.NONE })
  })

  test('reads a large log in pieces, between which others have their turn', () => {
    const fixture = new GroupFixture()
    for (let at = 0; at < 40; at++) leave(fixture.replica, [[`g${at}`, 'x'.repeat(60_000)]])
    fixture.coordinator.replicaChanged(fixture.replica)
    let most = 0
    for (let turn = 0; fixture.shard.replayed.length < 40 && turn < 100; turn++) {
      const before = fixture.shard.replayed.length
      fixture.world.time.step()
      most = Math.max(most, fixture.shard.replayed.length - before)
    }
    expect(fixture.shard.replayed).toHaveLength(40)
    expect(most).toBeLessThanOrEqual(5)
  })

  test('is loading as long as what it read is not committed, because it may still be lost', () => {
    const fixture = new GroupFixture()
    leave(fixture.replica, [['g', '5']])
    fixture.replica.highWatermark = 0
    fixture.lead()
    fixture.world.time.advance(10_000)
    expect(fixture.heartbeat('g').outcome).toBe(inLoad)
    fixture.replica.replicate()
    expect(fixture.heartbeat('g').outcome).toEqual({ error: ErrorCode.NONE })
    expect(fixture.replica.watchers.size).toBe(0)
  })

  test('tries again, and stays in load, when its log can not be read', () => {
    const fixture = new GroupFixture()
    leave(fixture.replica, [['g', '5']])
    fixture.replica.readErrors = 2
    fixture.lead()
    expect(fixture.heartbeat('g').outcome).toBe(inLoad)
    fixture.world.time.advance(1000)
    expect(fixture.heartbeat('g').outcome).toEqual({ error: ErrorCode.NONE })
    expect(fixture.shard.replayed).toEqual(['g=5'])
  })

  test('stops reading when another broker leads, and never becomes active', () => {
    const fixture = new GroupFixture()
    leave(fixture.replica, [['g', '5']])
    fixture.replica.cold = true
    fixture.coordinator.replicaChanged(fixture.replica)
    fixture.replica.role = 'follower'
    fixture.partition({ leader: 2 })
    fixture.coordinator.replicaChanged(fixture.replica)
    fixture.world.time.advance(100)
    expect(fixture.shard.loadedAtMs).toBe(-1)
    expect(fixture.heartbeat('g').outcome).toBe(ErrorCode.NOT_COORDINATOR)
  })

  test('forgets the offsets of topics that were deleted while nobody coordinated the group', () => {
    const fixture = new GroupFixture()
    fixture.broker.topic('still')
    leave(fixture.replica, [
      ['still', '1'],
      ['gone', '2'],
    ])
    fixture.lead()
    expect(fixture.shard.deleted).toEqual(['gone'])
  })

  test('begins anew under another leader epoch of the same broker', () => {
    const fixture = new GroupFixture().lead()
    const join = fixture.join('g')
    fixture.replica.leaderEpoch++
    fixture.coordinator.replicaChanged(fixture.replica)
    expect(join.outcome).toBe(ErrorCode.NOT_COORDINATOR)
    expect(fixture.heartbeat('g').outcome).toBe(inLoad)
    fixture.world.time.advance(10)
    expect(fixture.shards).toHaveLength(2)
    expect(fixture.heartbeat('g').outcome).toEqual({ error: ErrorCode.NONE })
  })

  test('takes no notice of a change that leaves its leadership as it is', () => {
    const fixture = new GroupFixture().lead()
    const join = fixture.join('g')
    fixture.coordinator.replicaChanged(fixture.replica)
    expect(join.outcome).toBe(null)
    expect(fixture.shards).toHaveLength(1)
  })
})

describe('who is asked although it can not know', () => {
  test('is in load while the image says that it leads and its replica is not there yet', () => {
    expect(new GroupFixture().heartbeat('g').outcome).toBe(inLoad)
  })

  test('is not the coordinator where another broker leads', () => {
    const fixture = new GroupFixture()
    fixture.partition({ leader: 2 })
    expect(fixture.heartbeat('g').outcome).toBe(ErrorCode.NOT_COORDINATOR)
  })

  test('is not available while it sleeps or has not applied its registration', () => {
    const fixture = new GroupFixture().lead()
    fixture.awake = false
    expect(fixture.heartbeat('g').outcome).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(fixture.coordinator.homeOf('g')).toBe(null)
    expect(fixture.controller.requests).toHaveLength(0)
  })
})

describe('the topic of offsets', () => {
  function without(brokers: number, controllers = 1): GroupFixture {
    const fixture = new GroupFixture()
    fixture.image.topics.clear()
    for (let id = 2; id <= brokers; id++) fixture.image.addBroker(id)
    Object.assign(fixture.config, { controllers: Array.from({ length: controllers }, (_, id) => ({ id })) })
    return fixture
  }

  function made(fixture: GroupFixture) {
    return fixture.controller.requests.flatMap(
      ({ body, apiVersion }) => decode(CreateTopicsApi.request, apiVersion, body).topics,
    )
  }

  test('is made when it is first needed, compacted, with as many replicas as there are brokers up to three', () => {
    for (const [brokers, replicas] of [
      [1, 1],
      [2, 2],
      [3, 3],
      [5, 3],
    ] as const) {
      const fixture = without(brokers)
      expect(fixture.commit('g', 1).outcome).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
      expect(made(fixture)).toMatchObject([{ name: OFFSETS_TOPIC, numPartitions: 50, replicationFactor: replicas }])
      expect(made(fixture)[0]?.configs).toContainEqual({ name: 'cleanup.policy', value: 'compact' })
      expect(made(fixture)[0]?.configs).toContainEqual({ name: 'segment.bytes', value: '104857600' })
    }
  })

  test('is asked for once at a time, and again when the controller did not make it', () => {
    const fixture = without(1)
    fixture.coordinator.homeOf('g')
    fixture.coordinator.homeOf('h')
    expect(made(fixture)).toHaveLength(1)
    fixture.world.time.advance(10)
    fixture.coordinator.homeOf('g')
    expect(made(fixture)).toHaveLength(2)
    expect(fixture.world.log.lines.some(({ event }) => event === 'topic of group offsets not made')).toBe(true)
  })

  test('waits for the brokers of a cluster that starts, but not for ever', () => {
    const fixture = without(1, 3)
    fixture.coordinator.homeOf('g')
    expect(made(fixture)).toHaveLength(0)
    fixture.world.time.advance(11_000)
    fixture.coordinator.homeOf('g')
    expect(made(fixture)).toMatchObject([{ replicationFactor: 1 }])
  })
})
