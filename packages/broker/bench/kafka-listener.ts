// What the listener itself costs: frames in, checks, dispatch, answers out, on a fake log that keeps nothing. Prints one line per
// case: requests and partitions per second, bytes per second, and CPU seconds per GB of records.
import { LONG_MAX, ZERO_UUID } from '@millrace/base'
import { encodeRequest, FetchApi, ProduceApi } from '@millrace/protocol'
import type { Api } from '@millrace/protocol'
import { encodeBatch } from '@millrace/records'
import { createKafkaListener } from '../src/kafka/listener.ts'
import { FakeBroker, FakeReplica } from '../test/kafka/fake-broker.ts'
import { virtualWorld } from '../test/kafka/virtual-world.ts'

const SECONDS = Number(process.argv[2] ?? 2)

function setUp(partitions: number) {
  const world = virtualWorld()
  const broker = new FakeBroker(world)
  const replicas = broker.topic('bench', partitions)
  const bind = { host: 'bench', port: 1 }
  createKafkaListener(broker, { name: 'PLAINTEXT', bind, advertised: bind, securityProtocol: 'PLAINTEXT' }).start(
    () => {},
  )
  world.time.turn()
  const end = world.streams.open()
  end.stream.write = (parts) => {
    end.writes++
    for (const part of parts) written += part.length
    return true
  }
  return { world, replicas, end }
}

let written = 0

function batchOf(bytes: number, codec: 'none' | 'gzip', recordBytes = 1000): Uint8Array {
  const value = Buffer.alloc(recordBytes, 'some text that compresses a little 0123456789')
  const count = Math.max(1, Math.floor(bytes / (recordBytes + 10)))
  const records = Array.from({ length: count }, () => ({ timestamp: 1_700_000_000_000, key: null, value }))
  return encodeBatch(records, { codec })
}

function report(name: string, run: () => number, perRun: { requests: number; partitions: number }): void {
  const cpuBefore = process.cpuUsage()
  const from = performance.now()
  let runs = 0
  let bytes = 0
  while (performance.now() - from < SECONDS * 1000) {
    bytes += run()
    runs++
  }
  const seconds = (performance.now() - from) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  const perSecond = (count: number): string => Math.round((runs * count) / seconds).toLocaleString('en')
  process.stdout.write(
    `${name.padEnd(52)} ${perSecond(perRun.requests).padStart(9)} requests/s ${perSecond(perRun.partitions).padStart(10)} partitions/s ` +
      `${Math.round(bytes / seconds / 1e6)
        .toLocaleString('en')
        .padStart(7)} MB/s ${((user + system) / 1e6 / (bytes / 1e9)).toFixed(2)} CPU s/GB\n`,
  )
}

function frame<Q>(api: Api<Q, never>, version: number, request: Q): Buffer {
  return Buffer.concat(encodeRequest(api as unknown as Api<Q>, version, 1, 'bench', request))
}

function produce(partitions: number, bytes: number, codec: 'none' | 'gzip', recordBytes = 1000): void {
  const { world, replicas, end } = setUp(partitions)
  const records = batchOf(bytes, codec, recordBytes)
  const request = frame(ProduceApi as never, 9, {
    transactionalId: null,
    acks: 1,
    timeoutMs: 1000,
    topicData: [
      {
        name: 'bench',
        topicId: ZERO_UUID,
        partitionData: Array.from({ length: partitions }, (_, index) => ({ index, records })),
      },
    ],
  })
  report(
    `produce, ${partitions} x ${records.length} bytes, ${codec}, records of ${recordBytes}`,
    () => {
      end.send(request)
      world.time.turn()
      for (const replica of replicas) {
        replica.batches.length = 0
        replica.highWatermark = 0
      }
      return partitions * records.length
    },
    { requests: 1, partitions },
  )
}

function fetch(partitions: number, bytes: number): void {
  const { world, replicas, end } = setUp(partitions)
  const records = batchOf(bytes, 'none')
  for (const replica of replicas) {
    replica.batches.push(records)
    replica.highWatermark = replica.endOffset
    // The fake looks through arrays; the answer is always the same here.
    const state = replica.fetchState(0, { maxBytes: 1, currentLeaderEpoch: -1, isolation: 0 })
    replica.fetchState = () => state
    const slice = { parts: [records], bytes: records.length, nextOffset: replica.endOffset }
    replica.read = (): typeof slice => slice
  }
  const request = frame(FetchApi as never, 12, {
    clusterId: null,
    replicaId: -1,
    replicaState: { replicaId: -1, replicaEpoch: -1 },
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 1 << 30,
    isolationLevel: 0,
    sessionId: 0,
    sessionEpoch: -1,
    topics: [
      {
        topic: 'bench',
        topicId: ZERO_UUID,
        partitions: Array.from({ length: partitions }, (_, partition) => ({
          partition,
          currentLeaderEpoch: -1,
          fetchOffset: 0,
          lastFetchedEpoch: -1,
          logStartOffset: -1,
          partitionMaxBytes: 1 << 20,
          replicaDirectoryId: ZERO_UUID,
          highWatermark: LONG_MAX,
        })),
      },
    ],
    forgottenTopicsData: [],
    rackId: '',
  })
  report(
    `fetch, ${partitions} partitions of ${records.length} bytes`,
    () => {
      end.send(request)
      world.time.turn()
      return partitions * records.length
    },
    { requests: 1, partitions },
  )
}

for (const [partitions, bytes] of [
  [1, 1000],
  [1, 16_384],
  [10, 16_384],
  [100, 16_384],
  [1, 1_000_000],
] as const)
  produce(partitions, bytes, 'none')
produce(10, 16_384, 'gzip')
produce(10, 16_384, 'none', 100)
produce(10, 16_384, 'none', 10)
for (const [partitions, bytes] of [
  [1, 1000],
  [1, 16_384],
  [10, 16_384],
  [100, 16_384],
  [1000, 1000],
] as const)
  fetch(partitions, bytes)
if (written === 0 || FakeReplica.length === 0) throw new Error('nothing was answered')
