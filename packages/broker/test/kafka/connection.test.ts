import { BrokenInvariant, ErrorCode, ZERO_UUID } from '@millrace/base'
import { ApiVersionsApi, FetchApi, ListOffsetsApi, MetadataApi, ProduceApi } from '@millrace/protocol'
import type { FetchResponse, ProduceResponse } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { batch, fetchRequest, harness, produceRequest } from './harness.ts'

const ALL_TOPICS = {
  topics: null,
  allowAutoTopicCreation: false,
  includeClusterAuthorizedOperations: false,
  includeTopicAuthorizedOperations: false,
}
const ASK_VERSIONS = { clientSoftwareName: 'test', clientSoftwareVersion: '1' }

function prefixed(length: number, ...rest: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 + rest.length)
  bytes.writeInt32BE(length)
  bytes.set(rest, 4)
  return bytes
}

test('a connection ignores what follows a request in its frame, as Kafka does', () => {
  const { connect } = harness()
  const client = connect()
  const frame = Buffer.from(client.frame(MetadataApi, 13, ALL_TOPICS))
  frame.writeInt32BE(frame.length - 4 + 3)
  client.end.send(Buffer.concat([frame, Buffer.from([1, 0, 0]), client.frame(MetadataApi, 13, ALL_TOPICS)]))
  expect(client.receive()).toHaveLength(2)
  expect(client.end.closedByServer).toBe(false)
})

describe('a connection refuses', () => {
  test.each([
    ['a length of -1', prefixed(-1)],
    ['a length of 0', prefixed(0)],
    ['a length of 2^31-1', prefixed(2 ** 31 - 1)],
    ['one byte more than the largest request', prefixed(100 * 1024 * 1024 + 1)],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['TLS', Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])],
    ['an API key that nobody has', prefixed(10, 0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff)],
    ['an API key that is known and not served', prefixed(10, 0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff)],
    ['a version that is not served', prefixed(10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff)],
    ['Produce 2, although it is advertised', prefixed(10, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff)],
    ['a body that is cut short', prefixed(12, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0)],
    ['an array of 2^31-1 elements', prefixed(14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff)],
    ['an array of -2 elements', prefixed(14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe)],
  ])('%s, without an answer and with one line in the log', (_what, bytes) => {
    const { world, connect } = harness()
    const client = connect()
    client.end.send(bytes)
    world.time.turn()
    expect(client.end.closedByServer).toBe(true)
    expect(client.end.receivedBytes).toBe(0)
    expect(world.log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1)
  })

  test('a thousand such clients with one line in ten seconds, which then counts the others', () => {
    const { world, connect } = harness()
    for (let i = 0; i < 1000; i++) connect().end.send(prefixed(-1))
    expect(world.log.lines).toHaveLength(1)
    world.time.advance(11_000)
    connect().end.send(prefixed(-1))
    expect(world.log.lines).toHaveLength(2)
    expect(world.log.lines[1]?.fields['suppressed']).toBe(999)
  })

  test('a header that dribbles in longer than ten seconds', () => {
    const { world, connect } = harness()
    const client = connect()
    for (const byte of prefixed(1000, 0, 3, 0, 1)) {
      client.end.send(Uint8Array.of(byte))
      world.time.advance(2000)
    }
    expect(client.end.closedByServer).toBe(true)
  })
})

describe('a connection', () => {
  test('that is idle past the limit is closed quietly, an open one is not while it asks now and then', () => {
    const { world, connect } = harness({ config: { idleConnectionMs: 60_000 } })
    const idle = connect()
    const busy = connect()
    const half = connect()
    half.end.send(prefixed(1000, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff))
    for (let i = 0; i < 8; i++) {
      busy.ask(ApiVersionsApi, 3, ASK_VERSIONS)
      world.time.advance(10_000)
    }
    expect(idle.end.closedByServer).toBe(true)
    expect(half.end.closedByServer).toBe(true)
    expect(busy.end.closedByServer).toBe(false)
    expect(world.log.lines).toEqual([])
  })

  test('with a fetch that waits is not idle', () => {
    const { world, broker, connect } = harness({ config: { idleConnectionMs: 5000 } })
    broker.topic('t')
    const client = connect()
    client.send(FetchApi, 11, fetchRequest([{ topic: 't' }], { maxWaitMs: 20_000 }))
    world.time.advance(15_000)
    expect(client.end.closedByServer).toBe(false)
    world.time.advance(6000)
    expect(client.receive()).toHaveLength(1)
  })

  test('gets answers in the order of its requests although a waiting fetch came first', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    client.end.send(
      Buffer.concat([
        client.frame(FetchApi, 11, fetchRequest([{ topic: 't' }], { maxWaitMs: 5000 })),
        client.frame(ApiVersionsApi, 3, ASK_VERSIONS),
        client.frame(ProduceApi, 9, produceRequest('t', batch(['a']))),
      ]),
    )
    // What follows the fetch is served while it waits: the produce is what ends the wait.
    const answers = client.receive()
    expect(replica?.endOffset).toBe(1)
    expect(answers).toHaveLength(3)
    expect((answers[0]?.value as FetchResponse | undefined)?.responses[0]?.partitions[0]?.highWatermark).toBe(1)
    expect(world.log.lines).toEqual([])
  })

  test('has its produces appended in the order of arrival, five in flight, even when the first must be inflated', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    broker.image.set({ kind: 'topic', name: 't' }, 'cleanup.policy', 'compact')
    const client = connect()
    const frames = ['one', 'two', 'three', 'four', 'five'].map((value, at) =>
      client.frame(
        ProduceApi as never,
        9,
        produceRequest('t', batch([value, value], at % 2 === 0 ? { codec: 'gzip' } : {})),
      ),
    )
    client.end.send(Buffer.concat(frames))
    world.time.advance(50)
    const offsets = client
      .receive()
      .map(({ value }) => (value as ProduceResponse).responses[0]?.partitionResponses[0]?.baseOffset)
    expect(offsets).toEqual([0, 2, 4, 6, 8])
    expect(replica?.batches.map(({ length }) => length)).toHaveLength(5)
  })

  test('writes all answers of a turn at once', () => {
    const { world, connect } = harness()
    const client = connect()
    client.end.send(Buffer.concat(Array.from({ length: 20 }, () => client.frame(ApiVersionsApi, 3, ASK_VERSIONS))))
    world.time.turn()
    expect(client.end.writes).toBe(1)
    expect(client.receive()).toHaveLength(20)
  })

  test('with 64 requests under way is not read until one is answered', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    if (replica !== undefined) replica.alone = false
    const client = connect()
    for (let i = 0; i < 100; i++) client.send(ProduceApi, 9, produceRequest('t', batch(['x']), { timeoutMs: 60_000 }))
    world.time.turn()
    expect(replica?.batches).toHaveLength(64)
    expect(client.end.paused).toBe(true)
    expect(client.end.undelivered).toBe(36)
    replica?.replicate()
    world.time.turn()
    client.end.deliver()
    world.time.turn()
    expect(replica?.batches).toHaveLength(100)
  })

  test('whose reader stalls is served until its output is full, then neither read nor served, and ends after the idle time', () => {
    const { world, broker, connect } = harness({ config: { idleConnectionMs: 60_000 } })
    broker.topic('t', 500)
    const client = connect()
    client.end.stalled = true
    const one = client.frame(MetadataApi, 12, {
      topics: null,
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    })
    for (let i = 0; i < 1000; i++) client.end.send(Buffer.concat(Array.from({ length: 100 }, () => one)))
    world.time.turn()
    expect(client.end.writes).toBe(1)
    expect(client.end.receivedBytes).toBeLessThan(3 * 1024 * 1024)
    expect(client.end.paused).toBe(true)
    expect(client.end.undelivered).toBeGreaterThan(990)
    world.time.advance(62_000)
    expect(client.end.closedByServer).toBe(true)
  })

  test('goes on where it stopped once its reader drains', () => {
    const { world, connect } = harness()
    const client = connect()
    client.end.stalled = true
    client.send(ApiVersionsApi, 3, ASK_VERSIONS)
    world.time.turn()
    for (let i = 0; i < 10; i++) client.send(ApiVersionsApi, 3, ASK_VERSIONS)
    expect(client.receive()).toHaveLength(1)
    client.end.drain()
    client.end.deliver()
    expect(client.receive()).toHaveLength(10)
  })

  test('builds one fetch response at a time, however many fetches were pipelined', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    client.ask(ProduceApi, 9, produceRequest('t', batch(['a'.repeat(500_000)])))
    if (replica !== undefined) replica.cold = true
    client.end.stalled = true
    for (let i = 0; i < 10; i++) client.send(FetchApi, 11, fetchRequest([{ topic: 't' }]))
    world.time.advance(100)
    expect(client.receive()).toHaveLength(1)
    client.end.drain()
    client.end.stalled = true
    world.time.advance(100)
    expect(client.receive()).toHaveLength(1)
    client.end.drain()
    world.time.advance(100)
    expect(client.receive()).toHaveLength(8)
  })

  test('that goes away takes its waiting fetch with it', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    const client = connect()
    client.send(FetchApi, 11, fetchRequest([{ topic: 't' }], { maxWaitMs: 2_000_000 }))
    world.time.turn()
    expect(replica?.watchers.size).toBe(1)
    client.end.hangUp()
    replica?.move()
    world.time.advance(60_000)
    expect(replica?.watchers.size).toBe(0)
    expect(client.end.receivedBytes).toBe(0)
    // Only the listener's own sweep is left.
    expect(world.time.pendingTimers).toBe(1)
  })

  test('that goes away while its produce waits for a watermark that does not move is not waited for', () => {
    const { world, broker, connect } = harness()
    const [replica] = broker.topic('t')
    if (replica !== undefined) replica.alone = false
    const client = connect()
    client.send(ProduceApi, 9, produceRequest('t', batch(['a']), { timeoutMs: 2 ** 31 - 1 }))
    world.time.turn()
    expect(world.time.pendingTimers).toBe(2)
    client.end.hangUp()
    world.time.advance(100)
    expect(world.time.pendingTimers).toBe(1)
    replica?.replicate()
    world.time.turn()
    expect(world.log.lines).toEqual([])
  })

  test('is never idle where connections.max.idle.ms is -1', () => {
    const { world, connect } = harness({ config: { idleConnectionMs: -1 } })
    const client = connect()
    world.time.advance(3_600_000)
    expect(client.ask(ApiVersionsApi, 3, ASK_VERSIONS).errorCode).toBe(ErrorCode.NONE)
  })

  test('may send a negative correlation id and no client id', () => {
    const { world, connect } = harness()
    const client = connect()
    client.end.send(prefixed(10, 0, 18, 0, 0, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff))
    world.time.turn()
    expect(client.end.takeFrames()[0]?.subarray(0, 6)).toEqual(Buffer.from([0xff, 0xff, 0xff, 0xfe, 0, 0]))
  })
})

describe('a handler that fails', () => {
  test('ends the one connection with an error in the log, and the others go on', () => {
    const { world, broker, connect } = harness()
    broker.topic('t')
    const [client, other] = [connect(), connect()]
    const find = broker.image.topicByName.bind(broker.image)
    broker.image.topicByName = () => {
      throw new TypeError('a bug')
    }
    client.send(MetadataApi, 1, {
      topics: [{ name: 't', topicId: ZERO_UUID }],
      allowAutoTopicCreation: true,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    })
    world.time.turn()
    broker.image.topicByName = find
    expect(client.end.closedByServer).toBe(true)
    expect(world.log.lines.map(({ level }) => level)).toEqual(['error'])
    expect(other.ask(ApiVersionsApi, 3, ASK_VERSIONS).errorCode).toBe(ErrorCode.NONE)
  })

  test('at a broken invariant ends the node', () => {
    const { broker, connect } = harness()
    const [replica] = broker.topic('t')
    if (replica !== undefined)
      replica.fetchState = () => {
        throw new BrokenInvariant('the watermark fell')
      }
    const client = connect()
    expect(() => client.send(FetchApi, 11, fetchRequest([{ topic: 't' }]))).toThrow(/broken-invariant/)
  })
})

describe('the memory for requests', () => {
  const chunk = new Uint8Array(1024 * 1024)

  test('stops the reading of all when used up, and the largest unfinished request goes', () => {
    const { world, connect } = harness({ properties: { 'queued.max.request.bytes': String(16 * 1024 * 1024) } })
    const hogs = Array.from({ length: 40 }, () => connect())
    const good = connect()
    for (const hog of hogs) hog.end.send(prefixed(90 * 1024 * 1024))
    for (let i = 0; i < 12; i++) for (const hog of hogs) hog.end.send(chunk)
    const taken = hogs.reduce((sum, { end }) => sum + 12 - end.undelivered, 0)
    // One chunk each may come before the others are known of.
    expect(taken).toBeLessThanOrEqual(16 + 40)
    const late = hogs.filter(({ end }) => end.closedByServer).length
    expect(late).toBe(0)
    expect(good.ask(ApiVersionsApi, 3, ASK_VERSIONS).errorCode).toBe(ErrorCode.NONE)
    world.time.advance(3000)
    expect(hogs.filter(({ end }) => end.closedByServer).length).toBeGreaterThan(5)
    for (const hog of hogs) hog.end.deliver()
    expect(good.ask(ApiVersionsApi, 3, ASK_VERSIONS).errorCode).toBe(ErrorCode.NONE)
  })

  test('counts a long list for what it becomes, and refuses one that is longer than any client needs', () => {
    const { world, broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    const places = Array.from({ length: 100_000 }, () => ({ topic: 'nowhere' }))
    client.send(FetchApi, 11, fetchRequest(places, { maxWaitMs: 0 }))
    expect(client.receive()).toHaveLength(1)
    client.send(FetchApi, 11, fetchRequest(places.concat(places, places), { maxWaitMs: 0 }))
    world.time.turn()
    expect(client.end.closedByServer).toBe(true)
  })

  test('is all given back when requests are answered and connections end', () => {
    const { world, broker, connect } = harness({ properties: { 'queued.max.request.bytes': String(8 * 1024 * 1024) } })
    broker.topic('t')
    for (let round = 0; round < 5; round++) {
      const client = connect()
      client.end.send(prefixed(50 * 1024 * 1024))
      for (let i = 0; i < 4; i++) client.end.send(chunk)
      client.end.hangUp()
      world.time.turn()
    }
    const client = connect()
    for (let round = 0; round < 300; round++)
      client.ask(ListOffsetsApi, 5, {
        replicaId: -1,
        isolationLevel: 0,
        topics: [{ name: 't', partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1 }] }],
        timeoutMs: 0,
      })
    const big = connect()
    const answer = big.ask(
      ProduceApi,
      9,
      produceRequest('t', Buffer.concat([batch(['a']), new Uint8Array(4 * 1024 * 1024)])),
    )
    // Bytes after the batch are dropped, as Kafka does.
    expect(answer.responses[0]?.partitionResponses[0]?.errorCode).toBe(ErrorCode.NONE)
    expect(broker.replicas.find('t', 0)).toMatchObject({ endOffset: 1 })
  })
})

describe('the listener', () => {
  test('ends all connections when it stops, and says so once', () => {
    const { world, listener, connect } = harness()
    const clients = [connect(), connect()]
    let stops = 0
    listener.stop(() => stops++)
    world.time.turn()
    expect(stops).toBe(1)
    expect(clients.every(({ end }) => end.closedByServer)).toBe(true)
    expect(world.time.pendingTimers).toBe(0)
  })
})
