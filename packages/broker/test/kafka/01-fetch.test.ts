import { ErrorCode } from '@millrace/base'
import { encodeResponse, FetchApi, ProduceApi } from '@millrace/protocol'
import type { FetchResponse } from '@millrace/protocol'
import { splitBatches } from '@millrace/records'
import { describe, expect, test } from 'vitest'
import { encodeFetchAnswer } from '../../src/kafka/fetch-response.ts'
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
  test.each([4, 5, 6, 7, 8, 9, 10, 11, 12])('is in version %i what the declaration writes', (version) => {
    for (const readCommitted of [false, true]) {
      const records = [batch(['a'.repeat(3000)]), batch(['b'])]
      const bytes = records.reduce((sum, { length }) => sum + length, 0)
      const whole = { index: 3, error: ErrorCode.NONE, highWatermark: 12, lastStableOffset: 11, logStart: 2 }
      const failed = {
        index: 4,
        error: ErrorCode.OFFSET_OUT_OF_RANGE,
        highWatermark: -1,
        lastStableOffset: -1,
        logStart: -1,
      }
      const written = encodeFetchAnswer({
        version,
        correlationId: -7,
        error: ErrorCode.NONE,
        readCommitted,
        topics: [
          {
            name: 'größe',
            partitions: [
              { ...whole, parts: records, bytes },
              { ...failed, parts: [], bytes: 0 },
            ],
          },
          { name: 'empty', partitions: [] },
        ],
      })
      const declared = (one: typeof whole | typeof failed, content: Uint8Array): Fetched => ({
        partitionIndex: one.index,
        errorCode: one.error,
        highWatermark: one.highWatermark,
        lastStableOffset: one.lastStableOffset,
        logStartOffset: one.logStart,
        divergingEpoch: { epoch: -1, endOffset: -1 },
        currentLeader: { leaderId: -1, leaderEpoch: -1 },
        snapshotId: { endOffset: -1, epoch: -1 },
        abortedTransactions: readCommitted ? [] : null,
        preferredReadReplica: -1,
        records: content,
      })
      const expected = encodeResponse(FetchApi, version, -7, {
        throttleTimeMs: 0,
        errorCode: ErrorCode.NONE,
        sessionId: 0,
        responses: [
          {
            topic: 'größe',
            partitions: [declared(whole, Buffer.concat(records)), declared(failed, new Uint8Array(0))],
          },
          { topic: 'empty', partitions: [] },
        ],
      })
      expect(Buffer.concat(written)).toEqual(Buffer.concat(expected))
      expect(written.some((part) => part === records[0])).toBe(true)
    }
  })
})

describe('a fetch', () => {
  test.each([4, 5, 7, 9, 11, 12])(
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
      topicData: [{ name: 't', partitionData: [0, 1].map((index) => ({ index, records: batch(['x']) })) }],
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

  test('that asks for a session gets none, and one that continues a session is told that it is unknown', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    fill(client, 't', 1)
    const asking = client.ask(FetchApi, 12, fetchRequest([{ topic: 't' }], { sessionEpoch: 0 }))
    expect(asking).toMatchObject({ sessionId: 0, errorCode: 0 })
    expect(fetched(asking)[0]?.records?.length).toBeGreaterThan(0)
    const going = client.ask(FetchApi, 12, fetchRequest([], { sessionId: 77, sessionEpoch: 3 }))
    expect(going).toMatchObject({ sessionId: 0, errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND, responses: [] })
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
