import { ErrorCode, ZERO_UUID } from '@millrace/base'
import { DecodeError, EncodeError } from '@millrace/schema'
import { describe, expect, test } from 'vitest'
import {
  ApiVersionsApi,
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  encodeUnsupportedApiVersions,
  FetchApi,
  HeartbeatApi,
  MetadataApi,
  ProduceApi,
  responseCorrelationId,
} from '../src/index.ts'
import type { FetchResponse } from '../src/index.ts'

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
}

const heartbeat = { groupId: 'g', generationId: 1, memberId: 'm', groupInstanceId: null }

describe('a request header', () => {
  test('has a client id in the classic form even where tags follow', () => {
    const parts = encodeRequest(HeartbeatApi, 4, -7, 'me', heartbeat)
    expect(Buffer.concat(parts).toString('hex')).toBe(
      Buffer.from(hex('00000017 000c 0004 fffffff9 0002 6d65 00 02 67 00000001 02 6d 00 00')).toString('hex'),
    )
    expect(decodeRequest(Buffer.concat(parts).subarray(4))).toMatchObject({
      header: { correlationId: -7, clientId: 'me' },
      value: heartbeat,
    })
  })

  test('may have no client id, or an empty one', () => {
    for (const clientId of [null, ''])
      for (const version of [3, 4])
        expect(
          decodeRequestHeader(Buffer.concat(encodeRequest(HeartbeatApi, version, 1, clientId, heartbeat)).subarray(4))
            .clientId,
        ).toBe(clientId)
  })

  test('may have tagged fields that nobody knows yet', () => {
    const header = decodeRequestHeader(hex('000c 0004 00000001 ffff 02 05 01 aa 09 00'))
    expect(header).toMatchObject({ api: HeartbeatApi, clientId: null, bodyAt: 16 })
    expect(() => decodeRequestHeader(hex('000c 0004 00000001 ffff 02 05 00 05 00'))).toThrow(DecodeError)
    expect(() => decodeRequestHeader(hex('000c 0004 00000001 ffff 01 05 09 00'))).toThrow(DecodeError)
    expect(() => decodeRequestHeader(hex('000c 0004 00000001 ffff ffffffff0f'))).toThrow(DecodeError)
  })

  test('of an unknown API or an unserved version is refused', () => {
    expect(() => decodeRequest(hex('0004 0000 00000001 ffff'))).toThrow('no API has the key 4')
    expect(() => decodeRequest(hex('ffff 0000 00000001 ffff'))).toThrow(DecodeError)
    expect(() => decodeRequest(hex('0001 0013 00000001 ffff 00'))).toThrow(
      'Fetch is served from version 4 to 18, not 19',
    )
    expect(() => decodeRequest(hex('0000 0002 00000001 ffff'))).toThrow('Produce is served from version 3 to 13, not 2')
    expect(() => decodeRequest(hex('000c ffff 00000001 ffff'))).toThrow(DecodeError)
  })

  test('that is cut short anywhere is refused', () => {
    const frame = Buffer.concat(encodeRequest(HeartbeatApi, 4, 1, 'me', heartbeat)).subarray(4)
    for (let end = 0; end < frame.length; end++)
      expect(() => decodeRequest(frame.subarray(0, end))).toThrow(DecodeError)
  })

  test('is told apart from what follows the request in its frame, which nobody reads', () => {
    // Metadata 13 for all topics, as librdkafka 2.16 sends it.
    const theirs = hex('0003 000d 00000003 0007 72646b61666b61 00 00000000 010000')
    const { header, value, bodyEnd } = decodeRequest(theirs)
    expect(header).toMatchObject({ api: MetadataApi, apiVersion: 13, clientId: 'rdkafka', bodyAt: 18 })
    expect(value).toMatchObject({ topics: null, allowAutoTopicCreation: false })
    expect(bodyEnd).toBe(theirs.length - 3)
  })

  test('of something that is not Kafka is refused', () => {
    expect(() => decodeRequest(Buffer.from(' / HTTP/1.1\r\nHost: localhost\r\n\r\n'))).toThrow(DecodeError)
    expect(() => decodeRequest(new Uint8Array(0))).toThrow(DecodeError)
  })
})

describe('ApiVersions in a version that is not served', () => {
  test('is not decoded but told apart, whatever its body', () => {
    for (const version of ['0005', '0063', 'ffff']) {
      const { header, value } = decodeRequest(hex(`0012 ${version} 00000009 ffff 00 ffffffff`))
      expect(header).toMatchObject({ api: ApiVersionsApi, correlationId: 9, supported: false })
      expect(value).toBeNull()
    }
  })

  test('is answered in version 0, which a client of any version understands', () => {
    const frame = Buffer.concat(encodeUnsupportedApiVersions(9)).subarray(4)
    expect(responseCorrelationId(frame)).toBe(9)
    for (const version of [0, 3, 4]) {
      const { value } = decodeResponse(ApiVersionsApi, version, frame)
      expect(value).toMatchObject({
        errorCode: ErrorCode.UNSUPPORTED_VERSION,
        apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }],
      })
    }
  })
})

describe('a response', () => {
  const records = new Uint8Array(5000).fill(7)
  const partition = {
    partitionIndex: 0,
    errorCode: 0,
    highWatermark: 10,
    lastStableOffset: 10,
    logStartOffset: 0,
    divergingEpoch: { epoch: -1, endOffset: -1 },
    currentLeader: { leaderId: 3, leaderEpoch: 4 },
    snapshotId: { endOffset: -1, epoch: -1 },
    abortedTransactions: null,
    preferredReadReplica: -1,
    records,
  }
  const fetched: FetchResponse = {
    throttleTimeMs: 0,
    errorCode: 0,
    sessionId: 0,
    responses: [{ topic: 't', topicId: ZERO_UUID, partitions: [partition, partition] }],
    nodeEndpoints: [],
  }

  test('moves record bytes by reference and counts them in its length', () => {
    const parts = encodeResponse(FetchApi, 12, 5, fetched)
    expect(parts.filter((part) => part === records)).toHaveLength(2)
    expect(Buffer.concat(parts).readInt32BE(0)).toBe(Buffer.concat(parts).length - 4)
  })

  test('drops what an older version lacks where nothing depends on it', () => {
    const frame = Buffer.concat(encodeResponse(FetchApi, 4, 5, fetched)).subarray(4)
    const { value } = decodeResponse(FetchApi, 4, frame)
    expect(value.responses[0]?.partitions[0]).toEqual({
      ...partition,
      logStartOffset: -1,
      currentLeader: { leaderId: -1, leaderEpoch: -1 },
    })
  })

  test('refuses to drop what something depends on', () => {
    const diverging = { ...partition, divergingEpoch: { epoch: 1, endOffset: 5 } }
    const value = { ...fetched, responses: [{ topic: 't', topicId: ZERO_UUID, partitions: [diverging] }] }
    expect(() => encodeResponse(FetchApi, 11, 5, value)).toThrow(
      'responses[0].partitions[0].divergingEpoch: this version lacks the field',
    )
    expect(() => encodeResponse(FetchApi, 19, 5, fetched)).toThrow(EncodeError)
  })

  test('that is cut short or too long is refused by a client', () => {
    const frame = Buffer.concat(encodeResponse(FetchApi, 12, 5, fetched)).subarray(4)
    expect(() => decodeResponse(FetchApi, 12, frame.subarray(0, -1))).toThrow(DecodeError)
    expect(() => decodeResponse(FetchApi, 12, Buffer.concat([frame, hex('00')]))).toThrow(DecodeError)
    expect(() => responseCorrelationId(hex('000000'))).toThrow(DecodeError)
  })
})

test('the records of a decoded request are views of its frame', () => {
  const records = new Uint8Array(2000).fill(1)
  const request = {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1,
    topicData: [{ name: 't', topicId: ZERO_UUID, partitionData: [{ index: 0, records }] }],
  }
  const frame = Buffer.concat(encodeRequest(ProduceApi, 9, 1, null, request)).subarray(4)
  const { value } = decodeRequest(frame)
  const decoded = value as typeof request
  expect(decoded.topicData[0]?.partitionData[0]?.records.buffer).toBe(frame.buffer)
})
