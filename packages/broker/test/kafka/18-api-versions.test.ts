import { ErrorCode } from '@millrace/base'
import { ApiVersionsApi, ProduceApi } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { batch, harness, produceRequest } from './harness.ts'

const NAMED = { clientSoftwareName: 'apache-kafka-java', clientSoftwareVersion: '4.3.1' }

/** Key and range of everything that is served; a change here is a change of what clients can do. */
const SERVED = [
  [0, 0, 13],
  [1, 4, 18],
  [2, 1, 11],
  [3, 0, 13],
  [8, 2, 10],
  [9, 1, 10],
  [10, 0, 5],
  [11, 0, 9],
  [12, 0, 4],
  [13, 0, 5],
  [14, 0, 5],
  [15, 0, 6],
  [16, 0, 5],
  [18, 0, 4],
  [19, 2, 7],
  [20, 1, 6],
  [21, 0, 2],
  [22, 0, 5],
  [23, 2, 4],
  [29, 1, 3],
  [30, 1, 3],
  [31, 1, 3],
  [32, 1, 4],
  [33, 0, 2],
  [34, 1, 2],
  [35, 1, 5],
  [37, 0, 3],
  [42, 0, 2],
  [43, 0, 2],
  [44, 0, 1],
  [45, 0, 1],
  [46, 0, 0],
  [47, 0, 0],
  [48, 0, 1],
  [49, 0, 1],
  [50, 0, 0],
  [55, 0, 2],
  [57, 0, 2],
  [60, 0, 2],
  [61, 0, 0],
  [64, 0, 0],
  [65, 0, 0],
  [66, 0, 2],
  [68, 0, 1],
  [69, 0, 1],
  [74, 0, 1],
  [75, 0, 0],
]

describe('ApiVersions', () => {
  test.each([0, 1, 2, 3, 4])('in version %i lists exactly what is served', (version) => {
    const { connect } = harness()
    const answer = connect().ask(ApiVersionsApi, version, NAMED)
    expect(answer.errorCode).toBe(ErrorCode.NONE)
    expect(answer.apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, minVersion, maxVersion])).toEqual(SERVED)
  })

  test('does not list what is not whole: telemetry, transactions', () => {
    const partly = [24, 25, 26, 28, 71, 72]
    expect(SERVED.filter(([key = -1]) => partly.includes(key))).toEqual([])
  })

  test('is answered at once while produces of other connections wait for their watermark', () => {
    const { broker, connect } = harness()
    for (const replica of broker.topic('t')) replica.alone = false
    const writer = connect()
    writer.send(ProduceApi, 9, produceRequest('t', batch(['a']), { timeoutMs: 30_000 }))
    expect(connect().ask(ApiVersionsApi, 4, NAMED).errorCode).toBe(ErrorCode.NONE)
    expect(writer.receive()).toEqual([])
  })

  test('lists the features of the cluster at their only level, with the metadata index as their epoch', () => {
    const { broker, connect } = harness()
    const client = connect()
    broker.image.index = 4711
    for (const version of [3, 4]) {
      const answer = client.ask(ApiVersionsApi, version, NAMED)
      // A level of 0 would be more than older Java clients can read (KAFKA-17011).
      expect(answer.supportedFeatures).toContainEqual({ name: 'group.version', minVersion: 1, maxVersion: 1 })
      expect(answer.supportedFeatures.every(({ minVersion }) => minVersion > 0)).toBe(true)
      expect(answer.finalizedFeatures).toContainEqual({
        name: 'group.version',
        maxVersionLevel: 1,
        minVersionLevel: 1,
      })
      expect(answer.finalizedFeaturesEpoch).toBe(4711)
    }
  })

  test.each([5, 99, 32767, -1])(
    'in version %i is answered in version 0, with the own range alone (KIP-511)',
    (version) => {
      const { world, connect } = harness()
      const client = connect()
      const frame = Buffer.alloc(4 + 30)
      frame.writeInt32BE(30)
      frame.writeInt16BE(18, 4)
      frame.writeInt16BE(version, 6)
      frame.writeInt32BE(0x01020304, 8)
      frame.writeInt16BE(-1, 12)
      // A body that nobody can read.
      frame.fill(0xee, 15)
      client.end.send(frame)
      world.time.turn()
      const expected = '01020304002300000001001200000004'
      expect(client.end.takeFrames().map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual([expected])
      expect(client.end.closedByServer).toBe(false)
    },
  )

  test.each(['', '-a', 'a-', 'a b', 'a\nb', '.', 'x'.repeat(5000) + '-'])(
    'of a client that calls itself %j is INVALID_REQUEST',
    (name) => {
      const { connect } = harness()
      const client = connect()
      expect(client.ask(ApiVersionsApi, 3, { ...NAMED, clientSoftwareName: name })).toMatchObject({
        errorCode: ErrorCode.INVALID_REQUEST,
        apiKeys: [],
      })
      expect(client.ask(ApiVersionsApi, 3, { ...NAMED, clientSoftwareVersion: name }).errorCode).toBe(
        ErrorCode.INVALID_REQUEST,
      )
      expect(client.ask(ApiVersionsApi, 2, NAMED).errorCode).toBe(ErrorCode.NONE)
    },
  )
})
