import { ErrorCode, ZERO_UUID } from '@millrace/base'
import { encodeResponse, FetchApi, ProduceApi } from '@millrace/protocol'
import type { FetchResponse } from '@millrace/protocol'
import { splitBatches } from '@millrace/records'
import { describe, expect, test } from 'vitest'
import { encodeFetchAnswer } from '../../src/kafka/fetch-response.ts'
import type { FetchedPartition } from '../../src/kafka/fetch-response.ts'
import { idOf } from './fake-broker.ts'
import { batch, fetchRequest, harness, produceRequest } from './harness.ts'
import type { FetchChange, FetchPlace, TestClient } from './harness.ts'

type Fetched = FetchResponse['responses'][number]['partitions'][number]

function fetched(answer: FetchResponse): Fetched[] {
  return answer.responses.flatMap(({ partitions }) => partitions)
}

function fetch(
  client: TestClient,
  places: readonly FetchPlace[],
  change: FetchChange & { version?: number } = {},
): Fetched[] {
  const { version = 11, ...rest } = change
  return fetched(client.ask(FetchApi, version, fetchRequest(places, rest), 5000))
}

function fill(client: TestClient, topic: string, count: number, bytes = 10): void {
  for (let i = 0; i < count; i++) client.ask(ProduceApi, 9, produceRequest(topic, batch(['v'.repeat(bytes)])))
}

describe('the written fetch response', () => {
  test.each([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18])(
    'is in version %i what the declaration writes',
    (version) => {
      for (const readCommitted of [false, true]) {
        const records = [batch(['a'.repeat(3000)]), batch(['b'])]
        const bytes = records.reduce((sum, { length }) => sum + length, 0)
        const endings = version >= 12 ? [null, { epoch: 3, endOffset: 2 ** 40 }] : [null, null]
        const preferred = version >= 11 ? 7 : -1
        const whole: FetchedPartition = {
          index: 3,
          error: ErrorCode.NONE,
          highWatermark: 12,
          lastStableOffset: 11,
          logStart: 2,
          diverging: null,
          preferredReplica: preferred,
          parts: records,
          bytes,
        }
        const failed: FetchedPartition = {
          index: 4,
          error: ErrorCode.NOT_LEADER_OR_FOLLOWER,
          highWatermark: -1,
          lastStableOffset: -1,
          logStart: -1,
          diverging: endings[1] ?? null,
          preferredReplica: -1,
          parts: [],
          bytes: 0,
        }
        const leader = { leaderId: 2, leaderEpoch: 77 }
        const told = version >= 16
        const endpoints = [
          { nodeId: 2, host: 'größer'.repeat(30), port: 9092, rack: 'r' },
          { nodeId: 3, host: 'h', port: 1, rack: null },
        ]
        const written = encodeFetchAnswer({
          version,
          correlationId: -7,
          error: ErrorCode.NONE,
          sessionId: 99,
          readCommitted,
          topics: [
            { name: 'größe', id: idOf('x'), partitions: [whole, failed] },
            { name: 'empty', id: ZERO_UUID, partitions: [] },
          ],
          leaders: new Map(told ? [[failed, leader]] : []),
          endpoints: told ? endpoints : [],
        })
        const declared = (one: FetchedPartition, content: Uint8Array): Fetched => ({
          partitionIndex: one.index,
          errorCode: one.error,
          highWatermark: one.highWatermark,
          lastStableOffset: one.lastStableOffset,
          logStartOffset: one.logStart,
          divergingEpoch: one.diverging ?? { epoch: -1, endOffset: -1 },
          currentLeader: told && one === failed ? leader : { leaderId: -1, leaderEpoch: -1 },
          snapshotId: { endOffset: -1, epoch: -1 },
          abortedTransactions: readCommitted ? [] : null,
          preferredReadReplica: one.preferredReplica,
          records: content,
        })
        const expected = encodeResponse(FetchApi, version, -7, {
          throttleTimeMs: 0,
          errorCode: ErrorCode.NONE,
          sessionId: version >= 7 ? 99 : 0,
          responses: [
            {
              topic: 'größe',
              topicId: idOf('x'),
              partitions: [declared(whole, Buffer.concat(records)), declared(failed, new Uint8Array(0))],
            },
            { topic: 'empty', topicId: ZERO_UUID, partitions: [] },
          ],
          nodeEndpoints: told ? endpoints : [],
        })
        expect(Buffer.concat(written)).toEqual(Buffer.concat(expected))
        expect(written.some((part) => part === records[0])).toBe(true)
      }
    },
  )
})

describe('a fetch', () => {
  test.each([4, 5, 7, 9, 11, 12, 13, 15, 17, 18])(
    'of version %i reads what was produced, with the offsets that clients compute lag from',
    (version) => {
      const { broker, connect } = harness()
      const [replica] = broker.topic('t')
      const client = connect()
      fill(client, 't', 3)
      const [partition] = fetch(client, [{ topic: 't', offset: 1 }], { version })
      expect(partition).toMatchObject({
        errorCode: 0,
        highWatermark: 3,
        lastStableOffset: 3,
        abortedTransactions: null,
      })
      expect(partition?.logStartOffset).toBe(version >= 5 ? 0 : -1)
      const expected = Buffer.concat((replica?.batches ?? []).slice(1))
      expect(Buffer.from(partition?.records as Uint8Array)).toEqual(expected)
    },
  )

  test('of committed records says that none were aborted', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const [partition] = fetch(connect(), [{ topic: 't' }], { isolationLevel: 1, maxWaitMs: 0 })
    expect(partition?.abortedTransactions).toEqual([])
  })

  test('that finds nothing waits for max_wait_ms and answers with empty bytes', () => {
    const { world, broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    client.send(FetchApi, 11, fetchRequest([{ topic: 't' }], { maxWaitMs: 300 }))
    world.time.advance(290)
    expect(client.receive()).toEqual([])
    world.time.advance(30)
    const [answer] = client.receive()
    expect(fetched(answer?.value as FetchResponse)[0]).toMatchObject({ errorCode: 0, records: new Uint8Array(0) })
  })

  test('that waits is answered in the turn in which the watermark passes enough bytes', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    if (replica !== undefined) replica.alone = false
    const reader = connect()
    const writer = connect()
    const size = batch(['x']).length
    reader.send(FetchApi, 11, fetchRequest([{ topic: 't' }], { maxWaitMs: 60_000, minBytes: 2 * size }))
    writer.send(ProduceApi, 9, produceRequest('t', batch(['x']), { acks: 1 }))
    world.time.turn()
    replica?.replicate()
    expect(reader.receive()).toEqual([])
    writer.send(ProduceApi, 9, produceRequest('t', batch(['y']), { acks: 1 }))
    world.time.turn()
    expect(reader.receive()).toEqual([])
    replica?.replicate()
    const [answer] = reader.receive()
    expect(fetched(answer?.value as FetchResponse)[0]?.records?.length).toBe(2 * size)
  })

  test('that waits on two partitions takes what both got in one turn', () => {
    const { world, broker, connect } = harness()
    broker.topic('t', 2)
    const reader = connect()
    const writer = connect()
    const places = [0, 1].map((partition) => ({ topic: 't', partition }))
    reader.send(FetchApi, 11, fetchRequest(places, { maxWaitMs: 60_000 }))
    writer.send(ProduceApi, 9, {
      transactionalId: null,
      acks: 1,
      timeoutMs: 0,
      topicData: [
        { name: 't', topicId: idOf('t'), partitionData: [0, 1].map((index) => ({ index, records: batch(['x']) })) },
      ],
    })
    world.time.turn()
    const [answer] = reader.receive()
    expect(fetched(answer?.value as FetchResponse).map(({ records }) => records?.length)).toEqual([72, 72])
  })

  test('that waits is answered at once when a partition moves away', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    client.send(FetchApi, 11, fetchRequest([{ topic: 't' }], { maxWaitMs: 60_000 }))
    world.time.turn()
    if (replica !== undefined) replica.error = ErrorCode.NOT_LEADER_OR_FOLLOWER
    replica?.move()
    const [answer] = client.receive()
    expect(fetched(answer?.value as FetchResponse)[0]).toMatchObject({
      errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER,
      highWatermark: -1,
      lastStableOffset: -1,
    })
  })

  test('does not wait when a partition has an error, and answers the others', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    fill(client, 't', 1)
    const partitions = fetch(client, [{ topic: 'nowhere' }, { topic: 't', offset: 99 }, { topic: 't' }], {
      maxWaitMs: 60_000,
      minBytes: 1000,
    })
    expect(partitions.map(({ errorCode, highWatermark }) => [errorCode, highWatermark])).toEqual([
      [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1],
      [ErrorCode.OFFSET_OUT_OF_RANGE, -1],
      [ErrorCode.NONE, 1],
    ])
    expect(partitions[2]?.records?.length).toBeGreaterThan(0)
  })

  test('without partitions, or without a wait, is answered at once', () => {
    const { world, broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    client.send(FetchApi, 11, fetchRequest([], { maxWaitMs: 60_000 }))
    client.send(FetchApi, 11, fetchRequest([{ topic: 't' }], { maxWaitMs: 0 }))
    world.time.turn()
    expect(client.receive()).toHaveLength(2)
  })

  test('gives the first batch of the first partition that has one whole, whatever the limits', () => {
    const { broker, connect } = harness()
    broker.topic('empty')
    broker.topic('large')
    broker.topic('small')
    const client = connect()
    fill(client, 'large', 2, 5000)
    fill(client, 'small', 2, 10)
    const places = ['empty', 'large', 'small'].map((topic) => ({ topic, maxBytes: 10 }))
    const partitions = fetch(client, places, { maxBytes: 10 })
    expect(partitions.map(({ records }) => splitBatches(records as Uint8Array).length)).toEqual([0, 1, 0])
  })

  test('keeps the limits of later partitions and of the whole', () => {
    const { broker, connect } = harness()
    broker.topic('a')
    broker.topic('b')
    broker.topic('c')
    const client = connect()
    for (const topic of ['a', 'b', 'c']) fill(client, topic, 10, 1000)
    const size = batch(['v'.repeat(1000)]).length
    const places = ['a', 'b', 'c'].map((topic) => ({ topic, maxBytes: 3 * size }))
    const counts = (list: Fetched[]): number[] => list.map(({ records }) => (records?.length ?? 0) / size)
    expect(counts(fetch(client, places))).toEqual([3, 3, 3])
    expect(counts(fetch(client, places, { maxBytes: 4 * size }))).toEqual([3, 1, 0])
    expect(counts(fetch(client, places, { maxBytes: 2 ** 31 - 1 }))).toEqual([3, 3, 3])
    expect(counts(fetch(client, places, { maxBytes: -1 }))).toEqual([1, 0, 0])
  })

  test('gives at most fetch.max.bytes, whatever the client asks', () => {
    const { broker, connect } = harness({ properties: { 'fetch.max.bytes': '5000' } })
    broker.topic('t')
    const client = connect()
    fill(client, 't', 10, 1000)
    const [partition] = fetch(client, [{ topic: 't', maxBytes: 2 ** 31 - 1 }], { maxBytes: 2 ** 31 - 1 })
    expect(partition?.records?.length).toBeLessThanOrEqual(5000)
    expect(partition?.records?.length).toBeGreaterThan(3000)
  })

  test('reads from disk side by side and answers when the last read is done, a failed one with KAFKA_STORAGE_ERROR', () => {
    const { broker, connect } = harness()
    const replicas = broker.topic('t', 3)
    const client = connect()
    for (let index = 0; index < 3; index++)
      client.ask(ProduceApi, 9, produceRequest('t', batch(['v'.repeat(100)]), { index }))
    for (const replica of replicas) replica.cold = true
    if (replicas[1] !== undefined) replicas[1].readErrors = 2
    const places = [0, 1, 2].map((partition) => ({ topic: 't', partition }))
    expect(fetch(client, places).map(({ errorCode, records }) => [errorCode, (records?.length ?? 0) > 0])).toEqual([
      [0, true],
      [ErrorCode.KAFKA_STORAGE_ERROR, false],
      [0, true],
    ])
    expect(fetch(client, places, { version: 5 })[1]?.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  })

  test('whose first read finds nothing after all gives a later batch that is larger than the limits', () => {
    const { broker, connect } = harness()
    const [a] = broker.topic('a')
    broker.topic('b')
    const client = connect()
    fill(client, 'a', 1)
    fill(client, 'b', 1, 5000)
    if (a !== undefined) a.read = (offset) => ({ parts: [], bytes: 0, nextOffset: offset })
    const partitions = fetch(client, [{ topic: 'a' }, { topic: 'b', maxBytes: 100 }])
    expect(partitions.map(({ records }) => splitBatches(records as Uint8Array).length)).toEqual([0, 1])
  })

  test('checks the leader epoch that the client knows', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    fill(client, 't', 1)
    const error = (epoch: number): number | undefined => fetch(client, [{ topic: 't', epoch }])[0]?.errorCode
    expect([4, 5, 6, -1].map(error)).toEqual([ErrorCode.FENCED_LEADER_EPOCH, 0, ErrorCode.UNKNOWN_LEADER_EPOCH, 0])
  })

  test('of a replica is refused, with the error where the version has a place for it', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    fill(client, 't', 1)
    const older = client.ask(FetchApi, 5, fetchRequest([{ topic: 't' }], { replicaId: 2 }))
    const newer = client.ask(FetchApi, 11, fetchRequest([{ topic: 't' }], { replicaId: 0 }))
    expect(newer.errorCode).toBe(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    for (const answer of [older, newer])
      expect(fetched(answer)[0]).toMatchObject({
        errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
        records: new Uint8Array(0),
      })
  })

  test('below version 10 gets UNSUPPORTED_COMPRESSION_TYPE for zstd', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    client.ask(ProduceApi, 9, produceRequest('t', batch(['a'], { codec: 'zstd' })))
    expect(fetch(client, [{ topic: 't' }], { version: 9 })[0]).toMatchObject({
      errorCode: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
      records: new Uint8Array(0),
    })
    expect(fetch(client, [{ topic: 't' }], { version: 10 })[0]?.errorCode).toBe(0)
  })

  test('that comes back again and again registers once with the partition, and leaves it after a while', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    for (let i = 0; i < 50; i++) fetch(client, [{ topic: 't' }], { maxWaitMs: 50 })
    expect(replica?.watches).toBe(1)
    expect(replica?.watchers.size).toBe(1)
    world.time.advance(60_000)
    expect(replica?.watchers.size).toBe(0)
    expect(fetch(client, [{ topic: 't' }], { maxWaitMs: 50 })).toHaveLength(1)
  })

  test('of hundreds of clients on one partition is answered for all by one produce', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    const readers = Array.from({ length: 300 }, () => connect())
    for (const reader of readers) reader.send(FetchApi, 11, fetchRequest([{ topic: 't' }], { maxWaitMs: 60_000 }))
    world.time.turn()
    expect(replica?.watches).toBe(1)
    fill(connect(), 't', 1)
    for (const reader of readers) {
      const [answer] = reader.receive()
      expect(fetched(answer?.value as FetchResponse)[0]?.records?.length).toBeGreaterThan(0)
    }
  })

  test('keeps the order of topics and partitions of the request', () => {
    const { broker, connect } = harness()
    broker.topic('t', 3)
    broker.topic('a', 1)
    const client = connect()
    const places = [
      { topic: 't', partition: 2 },
      { topic: 'a', partition: 0 },
      { topic: 't', partition: 0 },
    ]
    const answer = client.ask(FetchApi, 11, fetchRequest(places, { maxWaitMs: 0 }))
    expect(answer.responses.map(({ topic, partitions }) => [topic, partitions[0]?.partitionIndex])).toEqual([
      ['t', 2],
      ['a', 0],
      ['t', 0],
    ])
  })
})

describe('a fetch by topic id', () => {
  test('of an id that no topic has is UNKNOWN_TOPIC_ID, also while it waits', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    expect(fetch(client, [{ topic: 'nowhere' }], { version: 13 })[0]?.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
    expect(fetch(client, [{ topic: 't', partition: 3 }], { version: 13 })[0]?.errorCode).toBe(
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    )
    client.send(FetchApi, 13, fetchRequest([{ topic: 't' }], { maxWaitMs: 60_000 }))
    world.time.turn()
    if (replica !== undefined) replica.error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    replica?.move()
    const [answer] = client.receive()
    expect(fetched(answer?.value as FetchResponse)[0]?.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
  })

  test('of a replica is refused by the tag that says so, without partitions', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const request = { ...fetchRequest([{ topic: 't' }]), replicaState: { replicaId: 1, replicaEpoch: 5 } }
    expect(connect().ask(FetchApi, 17, request)).toMatchObject({
      errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
      responses: [],
    })
  })

  test.each([15, 16, 18])('in version %i says where the leader went from version 16 on', (version) => {
    const { broker, connect } = harness()
    broker.image.addBroker(2)
    broker.image.addTopic('away', [
      { leader: 2, leaderEpoch: 9 },
      { leader: -1, leaderEpoch: 10 },
    ])
    const [fenced] = broker.topic('t')
    if (fenced !== undefined) fenced.leaderEpoch = 6
    const places = [{ topic: 'away' }, { topic: 'away', partition: 1 }, { topic: 't', epoch: 5 }]
    const answer = connect().ask(FetchApi, version, fetchRequest(places, { maxWaitMs: 60_000 }))
    const errors = [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH]
    expect(fetched(answer).map(({ errorCode }) => errorCode)).toEqual(errors)
    const nobody = { leaderId: -1, leaderEpoch: -1 }
    expect(fetched(answer).map(({ currentLeader }) => currentLeader)).toEqual(
      version < 16
        ? [nobody, nobody, nobody]
        : [
            { leaderId: 2, leaderEpoch: 9 },
            { leaderId: -1, leaderEpoch: 10 },
            { leaderId: 1, leaderEpoch: 5 },
          ],
    )
    expect(answer.nodeEndpoints.map(({ nodeId }) => nodeId)).toEqual(version < 16 ? [] : [2, 1])
  })
})

describe('a fetch of a consumer in a rack', () => {
  const RACK_AWARE = 'org.apache.kafka.common.replica.RackAwareReplicaSelector'

  function racks(properties: Readonly<Record<string, string>> = { 'replica.selector.class': RACK_AWARE }) {
    const made = harness({ properties, config: { rack: 'rack-1' } })
    for (const id of [2, 3, 4]) made.broker.image.addBroker(id, { rack: id === 4 ? 'rack-4' : 'near' })
    const [replica] = made.broker.topic('t')
    if (replica === undefined) throw new Error('no replica')
    fill(made.connect(), 't', 3)
    const at = (brokerId: number, durableEnd: number) => ({ brokerId, durableEnd, logStart: 0 })
    const client = made.connect()
    const ask = (rackId: string, change: { version?: number; offset?: number } = {}): Fetched => {
      const { version = 11, offset = 0 } = change
      return fetch(client, [{ topic: 't', offset }], { version, rackId, maxWaitMs: 60_000, minBytes: 1 })[0] as Fetched
    }
    return { ...made, replica, at, ask }
  }

  test('is sent to the follower of its rack that has most, at once and without records', () => {
    const { replica, at, ask } = racks()
    replica.inSync = [at(2, 2), at(3, 3), at(4, 3)]
    expect(ask('near')).toMatchObject({
      errorCode: 0,
      preferredReadReplica: 3,
      highWatermark: 3,
      records: new Uint8Array(0),
    })
    expect(ask('near', { offset: 3 })).toMatchObject({ preferredReadReplica: 3 })
    replica.inSync = [at(3, 3), at(2, 3)]
    expect(ask('near', { version: 17 }).preferredReadReplica).toBe(3)
  })

  test('is served by the leader when it is in the leader’s rack, in nobody’s, or no follower there is in sync', () => {
    const { broker, replica, at, ask } = racks()
    replica.inSync = [at(2, 3)]
    const served = (rack: string, version = 11): boolean => {
      const { preferredReadReplica, records } = ask(rack, { version })
      return preferredReadReplica === -1 && (records?.length ?? 0) > 0
    }
    expect(['rack-1', 'elsewhere', '', 'rack-4'].map((rack) => served(rack))).toEqual([true, true, true, true])
    expect(served('near')).toBe(false)
    broker.image.addBroker(2, { rack: 'near', fenced: true })
    expect(served('near')).toBe(true)
    broker.image.addBroker(2, { rack: 'near', endpoints: [] })
    expect(served('near')).toBe(true)
  })

  test('is served by the leader in versions that know of no other, and without the setting', () => {
    for (const [properties, version] of [
      [undefined, 10],
      [{}, 11],
      [{ 'replica.selector.class': 'org.apache.kafka.common.replica.LeaderSelector' }, 11],
    ] as const) {
      const { replica, at, ask } = racks(properties)
      replica.inSync = [at(2, 3)]
      expect(ask('near', { version })).toMatchObject({ preferredReadReplica: -1 })
      expect(ask('near', { version }).records?.length).toBeGreaterThan(0)
    }
  })
})
