import { ErrorCode } from '@millrace/base'
import { ProduceApi } from '@millrace/protocol'
import type { ProduceResponse } from '@millrace/protocol'
import {
  baseSequence,
  codec,
  crcMatches,
  inflate,
  isLogAppendTime,
  maxTimestamp,
  producerEpoch,
  producerId,
  recordCount,
  recordsSection,
  setMaxTimestamp,
} from '@millrace/records'
import { describe, expect, test } from 'vitest'
import { idOf } from './fake-broker.ts'
import { batch, harness, NOW, produceRequest } from './harness.ts'
import type { Harness, TestClient } from './harness.ts'

type Outcome = ProduceResponse['responses'][number]['partitionResponses'][number]

function outcome(answer: ProduceResponse): Outcome {
  const first = answer.responses[0]?.partitionResponses[0]
  if (first === undefined) throw new Error('no partition in the answer')
  return first
}

function produce(
  client: TestClient,
  records: Uint8Array | null,
  {
    version = 9,
    topic = 't',
    ...change
  }: Parameters<typeof produceRequest>[2] & { version?: number; topic?: string } = {},
): Outcome {
  return outcome(client.ask(ProduceApi, version, produceRequest(topic, records, change), 5000))
}

function setting(of: Harness, name: string, value: string): void {
  of.broker.image.set({ kind: 'topic', name: 't' }, name, value)
}

describe('a produce', () => {
  test.each([3, 4, 5, 6, 7, 8, 9, 10, 11, 12])(
    'of version %i is appended as it came, and answered with its offset',
    (version) => {
      const { broker, connect } = harness()
      const [replica] = broker.topic('t')
      const client = connect()
      const sent = batch(['a', 'b'])
      expect(produce(client, sent, { version })).toMatchObject({ errorCode: 0, baseOffset: 0, logAppendTimeMs: -1 })
      expect(produce(client, batch(['c']), { version })).toMatchObject({ errorCode: 0, baseOffset: 2 })
      expect(replica?.batches.map((one) => recordCount(one, 0))).toEqual([2, 1])
      // Beside offset and epoch, not a byte changed.
      expect(Buffer.from(replica?.batches[0] as Uint8Array).subarray(16)).toEqual(Buffer.from(sent).subarray(16))
    },
  )

  test('is appended without its bytes being copied', () => {
    const { broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    const frame = client.frame(ProduceApi, 9, produceRequest('t', batch(['a'])))
    client.end.send(frame)
    expect(replica?.batches[0]?.buffer).toBe(frame.buffer)
  })

  test('to several topics and partitions is answered in the shape of the request, each with its own error', () => {
    const { broker, connect } = harness()
    broker.topic('t', 2)
    broker.image.addTopic('elsewhere', [{ leader: 2 }])
    const client = connect()
    const data = (index: number) => ({ index, records: batch(['x']) })
    const answer = client.ask(ProduceApi, 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 1000,
      topicData: [
        { name: 't', topicId: idOf('t'), partitionData: [data(1), data(7), data(0)] },
        { name: 'nowhere', topicId: idOf('nowhere'), partitionData: [data(0)] },
        { name: 'elsewhere', topicId: idOf('elsewhere'), partitionData: [data(0)] },
      ],
    })
    expect(
      answer.responses.map(({ name, partitionResponses }) => [
        name,
        partitionResponses.map(({ index, errorCode }) => [index, errorCode]),
      ]),
    ).toEqual([
      [
        't',
        [
          [1, 0],
          [7, 3],
          [0, 0],
        ],
      ],
      ['nowhere', [[0, 3]]],
      ['elsewhere', [[0, 6]]],
    ])
  })

  test('without a topic is answered without a topic', () => {
    const { connect } = harness()
    const answer = connect().ask(ProduceApi, 9, { transactionalId: null, acks: 1, timeoutMs: 0, topicData: [] })
    expect(answer.responses).toEqual([])
  })

  test.each([-2, 2, 32767])('with acks=%i is INVALID_REQUIRED_ACKS, and nothing is appended', (acks) => {
    const { broker, connect } = harness()
    const [replica] = broker.topic('t')
    expect(produce(connect(), batch(['a']), { acks }).errorCode).toBe(ErrorCode.INVALID_REQUIRED_ACKS)
    expect(replica?.batches).toEqual([])
  })

  test('with acks=all waits for the watermark', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    if (replica === undefined) throw new Error('no replica')
    replica.alone = false
    const client = connect()
    client.send(ProduceApi, 9, produceRequest('t', batch(['a']), { timeoutMs: 30_000 }))
    world.time.advance(1000)
    expect(client.receive()).toEqual([])
    replica.replicate()
    expect(client.receive()).toHaveLength(1)
    world.time.advance(60_000)
    expect(client.receive()).toEqual([])
  })

  test('with acks=all past its timeout is REQUEST_TIMED_OUT where the watermark lags, and the data stays', () => {
    const { world, broker, connect } = harness()
    const [fast, slow] = broker.topic('t', 2)
    if (slow !== undefined) slow.alone = false
    const client = connect()
    client.send(ProduceApi, 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 200,
      topicData: [
        { name: 't', topicId: idOf('t'), partitionData: [0, 1].map((index) => ({ index, records: batch(['x']) })) },
      ],
    })
    world.time.advance(190)
    expect(client.receive()).toEqual([])
    world.time.advance(30)
    const [answer] = client.receive()
    const errors = (answer?.value as ProduceResponse | undefined)?.responses[0]?.partitionResponses.map(
      ({ errorCode }) => errorCode,
    )
    expect(errors).toEqual([ErrorCode.NONE, ErrorCode.REQUEST_TIMED_OUT])
    expect([fast?.endOffset, slow?.endOffset]).toEqual([1, 1])
    // The late success changes nothing any more.
    slow?.replicate()
    expect(client.receive()).toEqual([])
  })

  test('with acks=0 has no answer, and what follows it is answered', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    client.send(ProduceApi, 9, produceRequest('t', batch(['a']), { acks: 0 }))
    client.forgetFirst()
    world.time.turn()
    expect(client.end.receivedBytes).toBe(0)
    expect(replica?.endOffset).toBe(1)
    expect(produce(client, batch(['b'])).baseOffset).toBe(1)
  })

  test.each(['before the append', 'after the append'])('with acks=0 that fails %s ends the connection', (when) => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    if (replica !== undefined) replica.appendError = ErrorCode.NOT_LEADER_OR_FOLLOWER
    const client = connect()
    const topic = when === 'before the append' ? 'nowhere' : 't'
    client.send(ProduceApi, 9, produceRequest(topic, batch(['a']), { acks: 0 }))
    world.time.turn()
    expect(client.end.receivedBytes).toBe(0)
    expect(client.end.closedByServer).toBe(true)
  })

  test.each([
    ['no records', null, ErrorCode.INVALID_RECORD],
    ['an empty run of records', new Uint8Array(0), ErrorCode.INVALID_RECORD],
    ['two batches', Buffer.concat([batch(['a']), batch(['b'])]), ErrorCode.INVALID_RECORD],
    ['a control batch', batch(['a'], { control: true }), ErrorCode.INVALID_RECORD],
    ['a base offset', batch(['a'], { baseOffset: 5 }), ErrorCode.INVALID_RECORD],
    ['a wrong last offset', batch(['a', 'b'], { lastOffsetDelta: 5 }), ErrorCode.INVALID_RECORD],
    ['a producer id without a sequence', batch(['a'], { producerId: 5, producerEpoch: 0 }), ErrorCode.INVALID_RECORD],
    ['a flipped bit', flipped(batch(['a'])), ErrorCode.CORRUPT_MESSAGE],
    ['message format 1', withMagic(batch(['a']), 1), ErrorCode.INVALID_RECORD],
    ['message format 9', withMagic(batch(['a']), 9), ErrorCode.CORRUPT_MESSAGE],
    ['a batch cut short', batch(['a'.repeat(100)]).subarray(0, 100), ErrorCode.INVALID_RECORD],
  ])('with %s is refused', (_what, records, error) => {
    const { broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    expect(produce(client, records)).toMatchObject({ errorCode: error, baseOffset: -1 })
    expect(replica?.batches).toEqual([])
    expect(produce(client, batch(['fine'])).errorCode).toBe(ErrorCode.NONE)
  })

  test('of a batch larger than max.message.bytes is MESSAGE_TOO_LARGE, larger than a segment RECORD_LIST_TOO_LARGE', () => {
    const of = harness()
    of.broker.topic('t')
    setting(of, 'max.message.bytes', '1000')
    const client = of.connect()
    expect(produce(client, batch(['x'.repeat(1000)])).errorCode).toBe(ErrorCode.MESSAGE_TOO_LARGE)
    setting(of, 'max.message.bytes', '10000000')
    setting(of, 'segment.bytes', '1048576')
    expect(produce(client, batch(['x'.repeat(1_048_576)])).errorCode).toBe(ErrorCode.RECORD_LIST_TOO_LARGE)
  })

  test('of zstd before version 7 is UNSUPPORTED_COMPRESSION_TYPE', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    const zstd = (): Uint8Array => batch(['a'], { codec: 'zstd' })
    expect(produce(client, zstd(), { version: 6 }).errorCode).toBe(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
    expect(produce(client, zstd(), { version: 7 }).errorCode).toBe(ErrorCode.NONE)
  })

  test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)(
    'of a record without a key to a compacted topic names the record, with codec %s',
    (codec) => {
      const of = harness()
      const [replica] = of.broker.topic('t')
      setting(of, 'cleanup.policy', 'compact,delete')
      const client = of.connect()
      const refused = produce(client, batch(['a', 'b'], { codec, key: null }))
      expect(refused.errorCode).toBe(ErrorCode.INVALID_RECORD)
      expect(refused.recordErrors.map(({ batchIndex }) => batchIndex)).toEqual([0, 1])
      expect(refused.errorMessage).toMatch(/key/)
      expect(produce(client, batch(['a'], { codec })).errorCode).toBe(ErrorCode.NONE)
      expect(replica?.batches).toHaveLength(1)
    },
  )

  test('of records that do not inflate to a compacted topic is refused', () => {
    const of = harness()
    of.broker.topic('t')
    setting(of, 'cleanup.policy', 'compact')
    const broken = Buffer.from(batch(['a'.repeat(50)], { codec: 'gzip' }))
    broken.fill(7, 61)
    setMaxTimestamp(broken, 0, NOW)
    expect(produce(of.connect(), broken)).toMatchObject({ errorCode: ErrorCode.INVALID_RECORD })
  })

  test.each([
    ['gzip', 'none'],
    ['zstd', 'gzip'],
    ['uncompressed', 'lz4'],
    ['uncompressed', 'none'],
    ['snappy', 'snappy'],
  ] as const)('to a topic with compression.type=%s is stored so, although it came as %s', (type, came) => {
    const of = harness()
    const [replica] = of.broker.topic('t')
    setting(of, 'compression.type', type)
    const sent = batch(['a'.repeat(300), 'b'], { codec: came, producerId: 77, producerEpoch: 1, baseSequence: 4 })
    expect(produce(of.connect(), sent)).toMatchObject({ errorCode: 0, baseOffset: 0 })
    const stored = replica?.batches[0] as Uint8Array
    expect(codec(stored, 0)).toBe(type === 'uncompressed' ? 'none' : type)
    expect(crcMatches(stored, 0)).toBe(true)
    expect([producerId(stored, 0), producerEpoch(stored, 0), baseSequence(stored, 0)]).toEqual([77, 1, 4])
    const records = (bytes: Uint8Array): Buffer =>
      Buffer.from(inflate(codec(bytes, 0) ?? 'none', recordsSection(bytes, 0), 10_000))
    expect(records(stored)).toEqual(records(batch(['a'.repeat(300), 'b'])))
    expect([maxTimestamp(stored, 0), recordCount(stored, 0)]).toEqual([NOW, 2])
  })

  test('that is too large once stored as its topic demands is MESSAGE_TOO_LARGE', () => {
    const of = harness()
    of.broker.topic('t')
    setting(of, 'compression.type', 'uncompressed')
    setting(of, 'max.message.bytes', '1000')
    const sent = batch(['a'.repeat(5000)], { codec: 'gzip' })
    expect(sent.length).toBeLessThan(1000)
    expect(produce(of.connect(), sent).errorCode).toBe(ErrorCode.MESSAGE_TOO_LARGE)
  })

  test('tells no record errors and no message to versions below 8', () => {
    const of = harness()
    of.broker.topic('t')
    setting(of, 'cleanup.policy', 'compact')
    const refused = produce(of.connect(), batch(['a'], { key: null }), { version: 7 })
    expect(refused).toMatchObject({ errorCode: ErrorCode.INVALID_RECORD, recordErrors: [], errorMessage: null })
  })

  test('to a topic of log-append time is stamped, with a new CRC, and the time is told', () => {
    const of = harness()
    const [replica] = of.broker.topic('t')
    setting(of, 'message.timestamp.type', 'LogAppendTime')
    if (replica !== undefined) replica.logAppendTime = true
    of.world.time.advance(5000)
    expect(produce(of.connect(), batch(['a']))).toMatchObject({ errorCode: 0, logAppendTimeMs: NOW + 5000 })
    const stored = replica?.batches[0] as Uint8Array
    expect(isLogAppendTime(stored, 0)).toBe(true)
    expect(maxTimestamp(stored, 0)).toBe(NOW + 5000)
    expect(crcMatches(stored, 0)).toBe(true)
  })

  test('whose header tells a wrong largest timestamp is corrected, with a new CRC', () => {
    const { broker, connect } = harness()
    const [replica] = broker.topic('t')
    const lying = Buffer.from(batch(['a']))
    setMaxTimestamp(lying, 0, NOW + 77)
    produce(connect(), lying)
    const stored = replica?.batches[0] as Uint8Array
    expect(maxTimestamp(stored, 0)).toBe(NOW)
    expect(crcMatches(stored, 0)).toBe(true)
  })

  test('that claims log-append time on a topic of create time loses the claim', () => {
    const { broker, connect } = harness()
    const [replica] = broker.topic('t')
    expect(produce(connect(), batch(['a'], { logAppendTime: true })).errorCode).toBe(ErrorCode.NONE)
    const stored = replica?.batches[0] as Uint8Array
    expect(isLogAppendTime(stored, 0)).toBe(false)
    expect(crcMatches(stored, 0)).toBe(true)
  })

  test('with a timestamp more than an hour ahead is INVALID_TIMESTAMP', () => {
    const { world, broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    const ahead = batch(['a'])
    world.time.advance(1)
    const late = Buffer.from(ahead)
    late.writeBigInt64BE(BigInt(NOW + 3_700_000), 27)
    setMaxTimestamp(late, 0, NOW + 3_700_000)
    expect(produce(client, late)).toMatchObject({ errorCode: ErrorCode.INVALID_TIMESTAMP, baseOffset: -1 })
    expect(produce(client, batch(['b'])).errorCode).toBe(ErrorCode.NONE)
  })

  test('to an internal topic is refused, but for the admin client', () => {
    const { broker, connect } = harness()
    broker.topic('__consumer_offsets')
    const client = connect()
    const topic = '__consumer_offsets'
    expect(produce(client, batch(['a']), { topic }).errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    client.clientId = '__admin_client'
    expect(produce(client, batch(['a']), { topic }).errorCode).toBe(ErrorCode.NONE)
  })

  test.each(['a/b', '..', '\u0000', 'x'.repeat(250), '__proto__', 'constructor', ''])(
    'to a topic named %j is UNKNOWN_TOPIC_OR_PARTITION',
    (topic) => {
      const { broker, connect } = harness()
      broker.topic('t')
      expect(produce(connect(), batch(['a']), { topic }).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    },
  )

  test('of a transaction that nobody began is refused by the codes that its version knows', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    const inTransaction = (): Uint8Array =>
      batch(['a'], { transactional: true, producerId: 1, producerEpoch: 0, baseSequence: 0 })
    expect(produce(client, inTransaction()).errorCode).toBe(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    const transactionalId = 'tx'
    expect(produce(client, inTransaction(), { transactionalId, version: 10 }).errorCode).toBe(
      ErrorCode.INVALID_TXN_STATE,
    )
    expect(produce(client, inTransaction(), { transactionalId, version: 11 }).errorCode).toBe(
      ErrorCode.TRANSACTION_ABORTABLE,
    )
  })

  test('to a broker that does not lead says from version 10 on who does, and where', () => {
    const { broker, connect } = harness()
    broker.image.addBroker(2)
    broker.image.addTopic('moved', [{ leader: 2, leaderEpoch: 9 }])
    const client = connect()
    const answer = client.ask(ProduceApi, 10, produceRequest('moved', batch(['a'])))
    expect(outcome(answer)).toMatchObject({ errorCode: 6, currentLeader: { leaderId: 2, leaderEpoch: 9 } })
    expect(answer.nodeEndpoints).toEqual([{ nodeId: 2, host: 'host-2', port: 9092, rack: 'rack-2' }])
    const older = client.ask(ProduceApi, 9, produceRequest('moved', batch(['a'])))
    expect(outcome(older)).toMatchObject({ errorCode: 6, currentLeader: { leaderId: -1 } })
    expect(older.nodeEndpoints).toEqual([])
  })

  test('to a disk that failed is KAFKA_STORAGE_ERROR from version 4 on', () => {
    const { broker, connect } = harness()
    const [replica] = broker.topic('t')
    if (replica !== undefined) replica.appendError = ErrorCode.KAFKA_STORAGE_ERROR
    const client = connect()
    expect(produce(client, batch(['a']), { version: 3 }).errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect(produce(client, batch(['a']), { version: 4 }).errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
  })
})

function flipped(records: Uint8Array): Uint8Array {
  const copy = Buffer.from(records)
  copy[65] = (copy[65] as number) ^ 1
  return copy
}

function withMagic(records: Uint8Array, magic: number): Uint8Array {
  const copy = Buffer.from(records)
  copy[16] = magic
  return copy
}

describe('a produce by topic id', () => {
  test('is appended to the topic of the id; an id that no topic has is UNKNOWN_TOPIC_ID', () => {
    const { broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    const [known] = client.ask(ProduceApi, 13, produceRequest('t', batch(['a']))).responses
    expect(known).toMatchObject({ name: '', topicId: idOf('t'), partitionResponses: [{ errorCode: 0, baseOffset: 0 }] })
    expect(replica?.batches).toHaveLength(1)
    const [unknown] = client.ask(ProduceApi, 13, produceRequest('nowhere', batch(['a']))).responses
    expect(unknown).toMatchObject({
      topicId: idOf('nowhere'),
      partitionResponses: [{ errorCode: ErrorCode.UNKNOWN_TOPIC_ID }],
    })
    const [index] = client.ask(ProduceApi, 13, produceRequest('t', batch(['a']), { index: 7 })).responses
    expect(index?.partitionResponses[0]?.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })
})
