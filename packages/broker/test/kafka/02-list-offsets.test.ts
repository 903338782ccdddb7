import { ErrorCode } from '@millrace/base'
import { ListOffsetsApi, OffsetForLeaderEpochApi, ProduceApi } from '@millrace/protocol'
import type { ListOffsetsResponse } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { batch, harness, NOW, produceRequest } from './harness.ts'
import type { TestClient } from './harness.ts'

type Found = ListOffsetsResponse['topics'][number]['partitions'][number]

function list(
  client: TestClient,
  timestamps: readonly number[],
  { version = 11, epoch = -1, replicaId = -1 }: { version?: number; epoch?: number; replicaId?: number } = {},
): readonly Found[] {
  const answers = timestamps.map((timestamp) =>
    client.ask(ListOffsetsApi, version, {
      replicaId,
      isolationLevel: 0,
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, currentLeaderEpoch: epoch, timestamp }] }],
      timeoutMs: 1000,
    }),
  )
  return answers.map(({ topics }) => topics[0]?.partitions[0] as Found)
}

describe('ListOffsets', () => {
  test('finds the ends, a time, and says -1 without an error for a time that no record has reached', () => {
    const { broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    client.ask(ProduceApi, 9, produceRequest('t', batch(['a', 'b'])))
    if (replica !== undefined) replica.logStart = 1
    expect(list(client, [-1, -2, NOW, NOW + 1, -3, -4, -5, -6])).toEqual([
      { partitionIndex: 0, errorCode: 0, timestamp: -1, offset: 2, leaderEpoch: 5 },
      { partitionIndex: 0, errorCode: 0, timestamp: -1, offset: 1, leaderEpoch: 5 },
      { partitionIndex: 0, errorCode: 0, timestamp: NOW, offset: 0, leaderEpoch: 5 },
      { partitionIndex: 0, errorCode: 0, timestamp: -1, offset: -1, leaderEpoch: -1 },
      { partitionIndex: 0, errorCode: 0, timestamp: NOW, offset: 1, leaderEpoch: 5 },
      { partitionIndex: 0, errorCode: 0, timestamp: -1, offset: 1, leaderEpoch: 5 },
      { partitionIndex: 0, errorCode: 0, timestamp: -1, offset: -1, leaderEpoch: -1 },
      { partitionIndex: 0, errorCode: 0, timestamp: -1, offset: -1, leaderEpoch: -1 },
    ])
  })

  test.each([
    [-3, 6, 7],
    [-4, 7, 8],
    [-5, 8, 9],
    [-6, 10, 11],
  ])('knows the special time %i not in version %i but in %i', (timestamp, before, since) => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    expect(list(client, [timestamp], { version: before })[0]?.errorCode).toBe(ErrorCode.UNSUPPORTED_VERSION)
    expect(list(client, [timestamp], { version: since })[0]?.errorCode).toBe(ErrorCode.NONE)
  })

  test('does not know -7 or Long.MIN', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const errors = list(connect(), [-7, -(2 ** 63)]).map(({ errorCode }) => errorCode)
    expect(errors).toEqual([ErrorCode.UNSUPPORTED_VERSION, ErrorCode.UNSUPPORTED_VERSION])
  })

  test('says right after an election that "latest" is not known, in words that each version understands', () => {
    const { broker, connect } = harness()
    const [replica] = broker.topic('t')
    if (replica !== undefined) replica.latestError = ErrorCode.OFFSET_NOT_AVAILABLE
    const client = connect()
    expect(list(client, [-1], { version: 4 })[0]?.errorCode).toBe(ErrorCode.LEADER_NOT_AVAILABLE)
    expect(list(client, [-1], { version: 5 })[0]?.errorCode).toBe(ErrorCode.OFFSET_NOT_AVAILABLE)
  })

  test('checks the leader epoch, refuses replicas and partitions named twice, and names what is not there', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    expect(list(client, [-1, -2, 0], { epoch: 4 }).map(({ errorCode }) => errorCode)).toEqual([74, 74, 74])
    expect(list(client, [-1, -2, 0, -5], { epoch: 6 }).map(({ errorCode }) => errorCode)).toEqual([75, 75, 75, 75])
    expect(list(client, [-1], { replicaId: 1 })[0]?.errorCode).toBe(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    const twice = { partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1 }
    const answer = client.ask(ListOffsetsApi, 1, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [
        { name: 't', partitions: [twice, twice, { ...twice, partitionIndex: 9 }] },
        { name: 't', partitions: [twice] },
      ],
      timeoutMs: 0,
    })
    expect(answer.topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode))).toEqual([
      [ErrorCode.NONE, ErrorCode.INVALID_REQUEST, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      [ErrorCode.INVALID_REQUEST],
    ])
  })

  test('of nothing is answered with nothing', () => {
    const { connect } = harness()
    const answer = connect().ask(ListOffsetsApi, 6, { replicaId: -1, isolationLevel: 0, topics: [], timeoutMs: 0 })
    expect(answer.topics).toEqual([])
  })
})

describe('OffsetForLeaderEpoch', () => {
  test.each([2, 3, 4])('in version %i tells where an epoch ended, or that it knows no such epoch', (version) => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    client.ask(ProduceApi, 9, produceRequest('t', batch(['a', 'b'])))
    const ask = (partition: number, leaderEpoch: number, currentLeaderEpoch = -1) => ({
      partition,
      currentLeaderEpoch,
      leaderEpoch,
    })
    const answer = client.ask(OffsetForLeaderEpochApi, version, {
      replicaId: version >= 3 ? -1 : -2,
      topics: [{ topic: 't', partitions: [ask(0, 5), ask(0, 9), ask(0, 4), ask(0, 5, 4), ask(3, 5)] }],
    })
    expect(answer.topics[0]?.partitions).toEqual([
      { errorCode: 0, partition: 0, leaderEpoch: 5, endOffset: 2 },
      { errorCode: 0, partition: 0, leaderEpoch: 5, endOffset: 2 },
      { errorCode: 0, partition: 0, leaderEpoch: -1, endOffset: -1 },
      { errorCode: ErrorCode.FENCED_LEADER_EPOCH, partition: 0, leaderEpoch: -1, endOffset: -1 },
      { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, partition: 3, leaderEpoch: -1, endOffset: -1 },
    ])
  })
})
