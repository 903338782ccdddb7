// What the two hot messages cost: `node packages/protocol/bench/frames.ts [SECONDS]`. MB/s counts the whole frame, record bytes included,
// which both directions move by reference.
import { ZERO_UUID } from '@millrace/base'
import { performance } from 'node:perf_hooks'
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  FetchApi,
  MetadataApi,
  ProduceApi,
} from '../src/index.ts'
import type { FetchResponse, MetadataResponse, ProduceRequest } from '../src/index.ts'

const seconds = Number(process.argv[2] ?? 1)
const records = new Uint8Array(16 * 1024).fill(42)

const produce: ProduceRequest = {
  transactionalId: null,
  acks: -1,
  timeoutMs: 30_000,
  topicData: [
    { name: 'orders', topicId: ZERO_UUID, partitionData: [0, 1, 2, 3, 4, 5].map((index) => ({ index, records })) },
  ],
}

const fetched: FetchResponse = {
  throttleTimeMs: 0,
  errorCode: 0,
  sessionId: 0,
  nodeEndpoints: [],
  responses: [
    {
      topic: 'orders',
      topicId: ZERO_UUID,
      partitions: [0, 1, 2, 3, 4, 5].map((partitionIndex) => ({
        partitionIndex,
        errorCode: 0,
        highWatermark: 123_456_789_012,
        lastStableOffset: 123_456_789_012,
        logStartOffset: 1000,
        divergingEpoch: { epoch: -1, endOffset: -1 },
        currentLeader: { leaderId: -1, leaderEpoch: -1 },
        snapshotId: { endOffset: -1, epoch: -1 },
        abortedTransactions: null,
        preferredReadReplica: -1,
        records,
      })),
    },
  ],
}

const metadata: MetadataResponse = {
  throttleTimeMs: 0,
  brokers: [1, 2, 3].map((nodeId) => ({ nodeId, host: `broker-${nodeId}.example`, port: 9092, rack: null })),
  clusterId: 'MkU3OEVBNTcwNTJENDM2Qk',
  controllerId: 1,
  topics: Array.from({ length: 100 }, (_, topic) => ({
    errorCode: 0,
    name: `topic-${topic}`,
    topicId: 'ccqN6ZsSRJKnNzVNbMBPAg',
    isInternal: false,
    partitions: Array.from({ length: 10 }, (_, partitionIndex) => ({
      errorCode: 0,
      partitionIndex,
      leaderId: 1,
      leaderEpoch: 3,
      replicaNodes: [1, 2, 3],
      isrNodes: [1, 2, 3],
      offlineReplicas: [],
    })),
    topicAuthorizedOperations: -2_147_483_648,
  })),
  clusterAuthorizedOperations: -2_147_483_648,
  errorCode: 0,
}

function whole(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts).subarray(4)
}

function measure(name: string, bytes: number, run: () => unknown): void {
  for (let i = 0; i < 2000; i++) run()
  const from = performance.now()
  let calls = 0
  while (performance.now() - from < seconds * 1000) for (let i = 0; i < 100; i++, calls++) run()
  const us = ((performance.now() - from) * 1000) / calls
  process.stdout.write(
    `${name.padEnd(52)}${us.toFixed(2).padStart(10)} µs/call${(bytes / us).toFixed(0).padStart(10)} MB/s\n`,
  )
}

const produceFrame = whole(encodeRequest(ProduceApi, 9, 1, 'bench', produce))
measure('Produce v9 request, 6 x 16 KB: decode', produceFrame.length, () => decodeRequest(produceFrame))
measure('Produce v9 request, 6 x 16 KB: encode', produceFrame.length, () =>
  encodeRequest(ProduceApi, 9, 1, 'bench', produce),
)
for (const version of [11, 12]) {
  const frame = whole(encodeResponse(FetchApi, version, 1, fetched))
  measure(`Fetch v${version} response, 6 x 16 KB: decode`, frame.length, () => decodeResponse(FetchApi, version, frame))
  measure(`Fetch v${version} response, 6 x 16 KB: encode`, frame.length, () =>
    encodeResponse(FetchApi, version, 1, fetched),
  )
}
const metadataFrame = whole(encodeResponse(MetadataApi, 12, 1, metadata))
measure('Metadata v12 response, 1000 partitions: decode', metadataFrame.length, () =>
  decodeResponse(MetadataApi, 12, metadataFrame),
)
measure('Metadata v12 response, 1000 partitions: encode', metadataFrame.length, () =>
  encodeResponse(MetadataApi, 12, 1, metadata),
)
