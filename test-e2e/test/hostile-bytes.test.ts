// Bytes that no honest client or node sends, at both ports of a real process, while an honest client works.
import { LONG_MAX, ZERO_UUID } from '@millrace/base'
import { connect as connectHttp2, constants as http2 } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  ApiVersionsApi,
  CreateTopicsApi,
  decodeResponse,
  encodeRequest,
  FetchApi,
  MetadataApi,
  ProduceApi,
} from '@millrace/protocol'
import { computeCrc, encodeBatch } from '@millrace/records'
import { Hello } from '@millrace/rpc'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterView, waitFor } from '../src/cluster-view.ts'
import { badLines } from '../src/log-lines.ts'
import { hasProc, residentBytes } from '../src/proc.ts'
import { type NodeProcess, ProcessCluster } from '../src/process-cluster.ts'
import { Wire } from '../src/wire.ts'

const FRAME_CAP = 100 * 1024 * 1024
const TOPIC = 'honest'

let cluster: ProcessCluster
let node: NodeProcess
let view: ClusterView
let residentBefore = 0
let honest: HonestClient
const begun = Date.now()

/** Writes and reads one record after the other; every failure and the slowest round trip are kept. */
class HonestClient {
  slowestMs = 0
  rounds = 0
  readonly failures: string[] = []
  private stopped = false
  private running: Promise<void> = Promise.resolve()

  start(): void {
    this.running = this.run()
  }

  async stop(): Promise<void> {
    this.stopped = true
    await this.running
  }

  private async run(): Promise<void> {
    const wire = await Wire.open(node.port)
    while (!this.stopped) {
      const from = performance.now()
      try {
        const { error, offset } = await wire.produce(TOPIC, `round ${this.rounds}`)
        const { values } = await wire.fetch(TOPIC, offset)
        if (error !== 0 || values[0] !== `round ${this.rounds}`) this.failures.push(`error ${error}, read ${values[0]}`)
      } catch (error) {
        this.failures.push(String(error))
        break
      }
      this.rounds++
      this.slowestMs = Math.max(this.slowestMs, performance.now() - from)
      await sleep(10)
    }
    wire.close()
  }
}

beforeAll(async () => {
  cluster = await ProcessCluster.start(1)
  node = cluster.node(1)
  view = new ClusterView(cluster)
  await view.createTopic(TOPIC, [[1]])
  await waitFor('the log', 5_000, async () =>
    (await view.askNode(1, (wire) => wire.produce(TOPIC, 'first'))).error === 0 ? true : null,
  )
  honest = new HonestClient()
  honest.start()
  await sleep(1_000)
  if (hasProc) residentBefore = residentBytes(node.pid)
})

afterAll(() => cluster?.stop())

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A frame with a request header of version 1: key, version, correlation id, client id. */
function frame(key: number, version: number, body: Uint8Array, clientId: Uint8Array = Buffer.from([0, 1, 97])): Buffer {
  const head = Buffer.alloc(8)
  head.writeInt16BE(key, 0)
  head.writeInt16BE(version, 2)
  head.writeInt32BE(7, 4)
  const whole = Buffer.concat([head, clientId, body])
  return Buffer.concat([int32(whole.length), whole])
}

const METADATA = 3
const API_VERSIONS = 18
const bytes = (...values: number[]): Buffer => Buffer.from(values)

const ENDS_THE_CONNECTION: Readonly<Record<string, () => Buffer>> = {
  'a frame of size -1': () => int32(-1),
  'a frame of size 0': () => int32(0),
  'a frame of size 2^31-1': () => int32(2 ** 31 - 1),
  'a frame one larger than the cap': () => int32(FRAME_CAP + 1),
  'an HTTP request': () => Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
  'a TLS hello': () => bytes(0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03),
  'an unknown API': () => frame(9_999, 0, bytes()),
  'a version that is not served': () => frame(METADATA, 99, bytes()),
  'an array of 2^31-1 topics': () => frame(METADATA, 1, int32(2 ** 31 - 1)),
  'an array longer than the frame': () => frame(METADATA, 1, int32(1_000)),
  'an array of length -2': () => frame(METADATA, 1, int32(-2)),
  'null where an array must be': () => frame(0, 3, Buffer.concat([bytes(0xff, 0xff, 0, 1), int32(1_000), int32(-1)])),
  'twenty million tagged fields': () =>
    frame(API_VERSIONS, 3, Buffer.concat([bytes(0, 1, 1, 0xff, 0xda, 0xc4, 0x09), Buffer.alloc(9_000_000, 1)])),
  'a million tagged fields': () =>
    frame(API_VERSIONS, 3, Buffer.concat([bytes(0, 2, 97, 2, 97, 0xc0, 0x84, 0x3d), Buffer.alloc(2_000_000, 0)])),
  'duplicate tags': () => frame(API_VERSIONS, 3, bytes(0, 2, 97, 2, 97, 2, 5, 0, 5, 0)),
  'a tag larger than the frame': () => frame(API_VERSIONS, 3, bytes(0, 2, 97, 2, 97, 1, 5, 0xff, 0xff, 0x7f)),
  'a varint of six bytes': () => frame(API_VERSIONS, 3, bytes(0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)),
  'a client id of length -2': () => frame(METADATA, 1, int32(0), bytes(0xff, 0xfe)),
  'a client id longer than the frame': () => frame(METADATA, 1, bytes(), bytes(0x7f, 0xff)),
  'a topic name that is no UTF-8': () => frame(METADATA, 1, Buffer.concat([int32(1), bytes(0, 2, 0xc3, 0x28)])),
  'a truncated body': () => frame(METADATA, 1, bytes(0, 0)),
  'a list of a million partitions to fetch': () =>
    frame(
      1,
      4,
      Buffer.concat([
        int32(-1),
        int32(0),
        int32(0),
        int32(1),
        bytes(0),
        int32(1),
        bytes(0, 1, 97),
        int32(1_000_000),
        Buffer.alloc(16_000_000),
      ]),
    ),
}

describe('at the port of the clients', () => {
  it.each(Object.keys(ENDS_THE_CONNECTION))('%s ends the connection', async (name) => {
    const wire = await Wire.open(node.port)
    wire.write((ENDS_THE_CONNECTION[name] as () => Buffer)())
    expect(await wire.closesWithin(5_000)).toBe(true)
  })

  it('bytes behind a request are ignored, as Kafka does', async () => {
    const wire = await Wire.open(node.port)
    const answer = wire.rawAnswer(7)
    wire.write(frame(METADATA, 1, Buffer.concat([int32(0), bytes(1, 2, 3)])))
    expect(decodeResponse(MetadataApi, 1, await answer).value.brokers).toHaveLength(1)
    wire.close()
  })

  it('ApiVersions in a version of the future is answered in version 0 with UNSUPPORTED_VERSION', async () => {
    const wire = await Wire.open(node.port)
    const answer = wire.rawAnswer(7)
    // Versions from 3 on have tagged fields in the header; the body may be anything.
    wire.write(frame(API_VERSIONS, 99, bytes(0, 9, 9, 9, 9)))
    expect(decodeResponse(ApiVersionsApi, 0, await answer).value.errorCode).toBe(35)
    wire.close()
  })

  /** Sends one batch after `spoil` had it, and returns the error. */
  async function produceSpoiled(spoil: (batch: Buffer) => void, fixCrc = true): Promise<number> {
    const batch = Buffer.from(encodeBatch([{ timestamp: 1, key: null, value: Buffer.from('hostile') }]))
    spoil(batch)
    if (fixCrc) batch.writeUInt32BE(computeCrc(batch, 0), 17)
    const answer = await view.askNode(1, (wire) =>
      wire.ask(ProduceApi, 9, {
        transactionalId: null,
        acks: -1,
        timeoutMs: 1_000,
        topicData: [{ name: TOPIC, topicId: ZERO_UUID, partitionData: [{ index: 0, records: batch }] }],
      }),
    )
    return answer.responses[0]?.partitionResponses[0]?.errorCode ?? -1
  }

  it.each<[string, number[], (batch: Buffer) => void]>([
    ['a wrong CRC', [2], (batch) => batch.writeUInt32BE(1, 17)],
    ['magic 0', [2, 76, 87, 43], (batch) => batch.writeInt8(0, 16)],
    ['magic 9', [2, 76, 87], (batch) => batch.writeInt8(9, 16)],
    ['a length beyond the bytes', [2, 87], (batch) => batch.writeInt32BE(1_000_000, 8)],
    ['a negative length', [2, 87], (batch) => batch.writeInt32BE(-5, 8)],
  ])('a batch with %s is refused', async (_name, errors, spoil) => {
    expect(errors).toContain(await produceSpoiled(spoil, false))
  })

  it.each<[string, number[], (batch: Buffer) => void]>([
    ['minus one records', [87, 2], (batch) => batch.writeInt32BE(-1, 57)],
    ['more records than there are', [87, 2], (batch) => batch.writeInt32BE(9, 57)],
    ['another last offset delta', [87, 2], (batch) => batch.writeInt32BE(5, 23)],
    ['an unknown codec', [76, 87, 2], (batch) => batch.writeInt16BE(7, 21)],
    ['the control bit', [87], (batch) => batch.writeInt16BE(0x20, 21)],
    ['a producer id and a negative sequence', [87, 42, 45], (batch) => batch.writeBigInt64BE(5n, 43)],
  ])('a batch with %s is refused', async (_name, errors, spoil) => {
    expect(errors).toContain(await produceSpoiled(spoil))
  })

  async function createError(
    name: string,
    change: { partitions?: number; replication?: number; configs?: [string, string][] } = {},
  ): Promise<number> {
    const { partitions = 1, replication = 1, configs = [] } = change
    const answer = await view.askNode(1, (wire) =>
      wire.ask(CreateTopicsApi, 5, {
        topics: [
          {
            name,
            numPartitions: partitions,
            replicationFactor: replication,
            assignments: [],
            configs: configs.map(([key, value]) => ({ name: key, value })),
          },
        ],
        timeoutMs: 10_000,
        validateOnly: false,
      }),
    )
    return answer.topics[0]?.errorCode ?? -1
  }

  it.each(['..', '.', 'a/b', 'a\0b', 'x'.repeat(250), '', 'ünï'])('a topic %j is refused', async (name) => {
    expect(await createError(name)).toBe(17)
  })

  it('a topic named __proto__ is a topic like others, one that collides in metrics is refused', async () => {
    expect(await createError('__proto__')).toBe(0)
    expect((await view.partition('__proto__')).leader).toBe(1)
    expect(await createError('a.b')).toBe(0)
    expect(await createError('a_b')).toBe(17)
  })

  it('impossible numbers of partitions and replicas are refused', async () => {
    expect(await createError('p1', { partitions: 1_000_000 })).not.toBe(0)
    expect(await createError('p2', { partitions: 0 })).toBe(37)
    expect(await createError('p3', { partitions: -5 })).toBe(37)
    expect(await createError('p4', { replication: 0 })).toBe(38)
    expect(await createError('p5', { replication: 2 })).toBe(38)
    expect(await createError('p6', { replication: 32_767 })).toBe(38)
  })

  it.each<[string, string]>([
    ['segment.bytes', '-1'],
    ['retention.ms', '99999999999999999999999'],
    ['no.such.key', 'x'],
    ['__proto__', 'x'],
    ['cleanup.policy', 'burn'],
  ])('the setting %s=%s is refused', async (key, value) => {
    expect(await createError('configured', { configs: [[key, value]] })).toBe(40)
  })

  it('a fetch of everything is capped, one from below the start is OFFSET_OUT_OF_RANGE', async () => {
    expect((await view.askNode(1, (wire) => wire.fetch(TOPIC, -7))).error).toBe(1)
    const answer = await view.askNode(1, (wire) =>
      wire.ask(FetchApi, 11, {
        clusterId: null,
        replicaId: -1,
        replicaState: { replicaId: -1, replicaEpoch: -1 },
        maxWaitMs: 0,
        minBytes: 1,
        maxBytes: 2 ** 31 - 1,
        isolationLevel: 0,
        sessionId: 0,
        sessionEpoch: -1,
        topics: [
          {
            topic: TOPIC,
            topicId: ZERO_UUID,
            partitions: [
              {
                partition: 0,
                currentLeaderEpoch: -1,
                fetchOffset: 0,
                lastFetchedEpoch: -1,
                logStartOffset: -1,
                partitionMaxBytes: 2 ** 31 - 1,
                replicaDirectoryId: ZERO_UUID,
                highWatermark: LONG_MAX,
              },
            ],
          },
        ],
        forgottenTopicsData: [],
        rackId: '',
      }),
    )
    expect(answer.responses[0]?.partitions[0]?.errorCode).toBe(0)
  })

  it('two hundred large frames that never arrive cost what arrived', async () => {
    const wires = await Promise.all(Array.from({ length: 200 }, () => Wire.open(node.port)))
    for (const wire of wires) wire.write(Buffer.concat([int32(90_000_000), Buffer.alloc(2_000, 1)]))
    await sleep(500)
    expect((await view.askNode(1, (wire) => wire.produce(TOPIC, 'meanwhile'))).error).toBe(0)
    for (const wire of wires) wire.close()
  })

  it('a million requests of a client that reads nothing stop being read', async () => {
    const wire = await Wire.open(node.port)
    wire.pauseReading()
    const one = Buffer.concat(
      encodeRequest(ApiVersionsApi, 3, 1, 'greedy', { clientSoftwareName: 'a', clientSoftwareVersion: '1' }),
    )
    const thousand = Buffer.concat(Array.from({ length: 1_000 }, () => one))
    for (let at = 0; at < 1_000; at++) wire.write(thousand)
    await sleep(1_000)
    expect(wire.unsentBytes).toBeGreaterThan(0)
    wire.close()
  })

  it('a header that arrives byte by byte ends after its deadline', async () => {
    const wire = await Wire.open(node.port)
    const slow = int32(1_000)
    for (const byte of slow) {
      wire.write(bytes(byte))
      await sleep(200)
    }
    expect(await wire.closesWithin(13_000)).toBe(true)
  })
})

describe('at the port of the nodes', () => {
  it.each<[string, () => Buffer]>([
    ['an HTTP request', () => Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a TLS hello', () => bytes(0x16, 0x03, 0x01, 0x02, 0x00, 0x01)],
    [
      'a preface and garbage',
      () => Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.alloc(10_000, 0xff)]),
    ],
    [
      'a frame of 16 MB in the settings',
      () =>
        Buffer.concat([
          Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
          bytes(0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0),
          Buffer.alloc(1_000_000),
        ]),
    ],
    [
      'endless continuations',
      () =>
        Buffer.concat([
          Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
          bytes(0, 0, 0, 4, 0, 0, 0, 0, 0),
          bytes(0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82),
          ...Array.from({ length: 20_000 }, () => bytes(0, 0, 1, 9, 0, 0, 0, 0, 1, 0x82)),
        ]),
    ],
  ])('%s ends the connection', async (_name, make) => {
    const wire = await Wire.open(node.peerPort)
    wire.discardAnswers()
    wire.write(make())
    expect(await wire.closesWithin(12_000)).toBe(true)
  })

  /** One gRPC call with these messages; resolves with its status. */
  function call(lane: string, messages: readonly Uint8Array[], headers: Record<string, string> = {}): Promise<number> {
    return new Promise((resolve) => {
      const session = connectHttp2(`http://127.0.0.1:${node.peerPort}`)
      session.on('error', () => resolve(-1))
      const stream = session.request({
        ':method': 'POST',
        ':path': `/millrace.Peer/${lane}`,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      })
      let status = -1
      const told = (all: Record<string, unknown>): void => {
        if (all['grpc-status'] === undefined) return
        status = Number(all['grpc-status'])
        stream.close()
      }
      stream.on('response', told)
      stream.on('trailers', told)
      stream.on('error', () => {})
      stream.on('data', () => {})
      stream.on('close', () => {
        session.destroy()
        resolve(status)
      })
      setTimeout(() => stream.close(), 8_000).unref()
      for (const message of messages) stream.write(message)
    })
  }

  function message(body: Uint8Array, options: { length?: number; compressed?: boolean } = {}): Buffer {
    return Buffer.concat([bytes(options.compressed === true ? 1 : 0), int32(options.length ?? body.length), body])
  }

  const RESOURCE_EXHAUSTED = 8
  const FAILED_PRECONDITION = 9

  it('a message of a gibibyte is RESOURCE_EXHAUSTED', async () => {
    expect(await call('Control', [message(Buffer.alloc(1_000), { length: 2 ** 30 })])).toBe(RESOURCE_EXHAUSTED)
  })

  it('a compressed message that is none, a hello that is none and deep nesting end the call', async () => {
    expect(
      await call('Control', [message(Buffer.alloc(1_000, 7), { compressed: true })], { 'grpc-encoding': 'gzip' }),
    ).not.toBe(0)
    expect(await call('Control', [message(Buffer.alloc(100, 0xff))])).toBe(FAILED_PRECONDITION)
    expect(await call('Control', [message(Buffer.alloc(100_000, 0x0b))])).toBe(FAILED_PRECONDITION)
    expect(await call('Replication', [message(bytes())])).toBe(FAILED_PRECONDITION)
  })

  it.each(['raft', 'snapshot', 'broker', 'replication'] as const)(
    'a %s hello of another cluster is refused',
    async (purpose) => {
      const hello = Hello.encode({
        purpose,
        clusterId: 'MkU3OEVBNTcwNTJENDM2Qg',
        nodeId: 9,
        incarnationId: 'MkU3OEVBNTcwNTJENDM2Qw',
        brokerEpoch: 1,
        version: 1,
        blank: false,
        voters: [],
        leaderId: null,
        term: 3,
      })
      expect(await call(purpose === 'replication' ? 'Replication' : 'Control', [message(hello)])).toBe(
        FAILED_PRECONDITION,
      )
    },
  )

  it('thousands of streams that are reset at once end with the connection, not the process', async () => {
    const session = connectHttp2(`http://127.0.0.1:${node.peerPort}`)
    session.on('error', () => {})
    for (let at = 0; at < 5_000 && !session.destroyed; at++) {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/millrace.Peer/Control',
        'content-type': 'application/grpc',
      })
      stream.on('error', () => {})
      stream.close(http2.NGHTTP2_CANCEL)
      if (at % 500 === 0) await sleep(5)
    }
    await sleep(500)
    session.destroy()
    expect(node.running).toBe(true)
  })
})

describe('after all of that', () => {
  it('the process lives and the honest client noticed nothing', async () => {
    await honest.stop()
    process.stdout.write(`honest client: ${honest.rounds} rounds, slowest ${honest.slowestMs.toFixed(0)} ms\n`)
    expect(node.running).toBe(true)
    expect(honest.failures).toEqual([])
    expect(honest.rounds).toBeGreaterThan(100)
  })

  it.skipIf(!hasProc)('its memory grew by less than the largest frame', () => {
    const grown = residentBytes(node.pid) - residentBefore
    process.stdout.write(`resident memory grew by ${(grown / 1e6).toFixed(0)} MB\n`)
    expect(grown).toBeLessThan(FRAME_CAP)
  })

  it('the log has a line for each kind of trouble, not for each attempt', () => {
    const lines = node.lines().filter(({ level }) => level !== 'info')
    const counts = new Map<string, number>()
    for (const { event } of lines) counts.set(event, (counts.get(event) ?? 0) + 1)
    process.stdout.write(`${[...counts].map(([event, count]) => `${count} × ${event}`).join('\n')}\n`)
    const intervals = Math.ceil((Date.now() - begun) / 10_000) + 1
    // Frames, malformed requests, deadlines and memory are the kinds that end a connection.
    for (const count of counts.values()) expect(count).toBeLessThanOrEqual(4 * intervals)
    expect(counts.get('closed a client connection')).toBeGreaterThan(0)
  })

  it('leaves only lines that are JSON with level, time, node and event', () => {
    expect(badLines(cluster)).toEqual([])
  })
})
