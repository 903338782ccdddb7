import { ErrorCode, ZERO_UUID } from '@millrace/base'
import {
  type Api,
  APIS,
  ApiVersionsApi,
  decodeRequest,
  encodeResponse,
  FetchApi,
  InitProducerIdApi,
  ListOffsetsApi,
  MetadataApi,
  ProduceApi,
  type FetchRequest,
  type FetchResponse,
  type ListOffsetsRequest,
  type ListOffsetsResponse,
  type MetadataRequest,
  type MetadataResponse,
  type ProduceRequest,
  type ProduceResponse,
} from '@millrace/protocol'
import {
  maxTimestamp,
  nextOffset,
  readRecords,
  recordCount,
  setBaseOffset,
  codec,
  inflate,
  recordsSection,
} from '@millrace/records'
import { createServer, type Server, type Socket } from 'node:net'
import { type Client, type ClientOptions, createClient } from '../src/index.ts'

/** What a script makes of a request: an answer, bytes as they are, the end of the connection, silence, or `pass` to the next in line. */
export type Reply<R> = R | Buffer | 'close' | 'half-close' | 'silence' | 'pass'

export interface Asked<Q> {
  readonly request: Q
  readonly broker: number
  readonly socket: Socket
}

type Script = (asked: Asked<unknown>) => unknown

export interface FakePartition {
  leader: number
  epoch: number
  start: number
  readonly batches: Buffer[]
}

export interface FakeTopic {
  topicId: string
  partitions: FakePartition[]
}

const MAX_FRAME = 200 * 1024 * 1024

/** Brokers on real sockets with the simplest honest logs, whose answers to any request can be replaced by a test. */
export class FakeCluster implements AsyncDisposable {
  readonly topics = new Map<string, FakeTopic>()
  /** Every request with the API's name and the broker's id, in the order of arrival. */
  readonly seen: { readonly api: string; readonly broker: number; readonly request: unknown }[] = []
  readonly ports: number[] = []
  controller = 1
  /** Brokers that the metadata leaves out. */
  readonly hidden = new Set<number>()
  private readonly servers: Server[] = []
  private readonly sockets = new Set<Socket>()
  private readonly scripts: { readonly key: number; readonly script: Script; left: number }[] = []
  private readonly clients: Client[] = []
  private ids = 0
  private producers = 0

  static async start(brokers = 1): Promise<FakeCluster> {
    const cluster = new FakeCluster()
    for (let id = 1; id <= brokers; id++) await cluster.listen(id)
    return cluster
  }

  /** A client of these brokers with short waits; closed with them. */
  client(options: Partial<ClientOptions> = {}): Client {
    const bootstrap = this.ports.map((port) => `127.0.0.1:${port}`)
    const client = createClient({
      bootstrap,
      connectTimeoutMs: 1_000,
      requestTimeoutMs: 2_000,
      retryTimeoutMs: 2_000,
      ...options,
    })
    this.clients.push(client)
    return client
  }

  topic(name: string, partitions = 1): FakeTopic {
    const topic = {
      topicId: Buffer.from(`topic-${String(++this.ids).padStart(10, '0')}`).toString('base64url'),
      partitions: Array.from({ length: partitions }, (_, at) => ({
        leader: (at % this.ports.length) + 1,
        epoch: 0,
        start: 0,
        batches: [],
      })),
    }
    this.topics.set(name, topic)
    return topic
  }

  /** The next `times` requests of this API go to the script. */
  script<Q, R>(api: Api<Q, R>, script: (asked: Asked<Q>) => Promise<Reply<R>> | Reply<R>, times = 1): void {
    this.scripts.push({ key: api.key, script: script as Script, left: times })
  }

  /** All requests are answered honestly from now on. */
  forgetScripts(): void {
    this.scripts.length = 0
  }

  count(api: Api): number {
    return this.seen.filter((one) => one.api === api.name).length
  }

  /** Values of the records in a partition's log, as text. */
  values(topic: string, partition = 0): (string | null)[] {
    return this.partition(topic, partition).batches.flatMap((batch) =>
      recordsOf(batch).map(({ value }) => (value === null ? null : Buffer.from(value).toString())),
    )
  }

  partition(topic: string, partition: number): FakePartition {
    const found = this.topics.get(topic)?.partitions[partition]
    if (found === undefined) throw new Error(`no partition ${partition} of ${topic}`)
    return found
  }

  /** Appends a batch as a leader does and returns its base offset. */
  append(topic: string, partition: number, batch: Uint8Array): number {
    const log = this.partition(topic, partition)
    const stored = Buffer.from(batch)
    const offset = endOf(log)
    setBaseOffset(stored, 0, offset)
    log.batches.push(stored)
    return offset
  }

  /** Cuts every connection, as a broker's restart does. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy()
  }

  get connections(): number {
    return this.sockets.size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close({ timeoutMs: 0 })))
    this.cut()
    await Promise.all(this.servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }

  private async listen(id: number): Promise<void> {
    const server = createServer((socket) => {
      this.sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => this.sockets.delete(socket))
      let pending = Buffer.alloc(0)
      let turn = Promise.resolve()
      socket.on('data', (chunk) => {
        pending = Buffer.concat([pending, chunk])
        while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
          const length = pending.readInt32BE(0)
          if (length > MAX_FRAME) throw new Error(`a request of ${length} bytes`)
          const frame = pending.subarray(4, 4 + length)
          pending = pending.subarray(4 + length)
          turn = turn.then(() => this.serve(id, socket, frame))
        }
      })
    })
    this.servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    this.ports.push((server.address() as { port: number }).port)
  }

  private async serve(broker: number, socket: Socket, frame: Buffer): Promise<void> {
    const { header, value } = decodeRequest(frame)
    const { api, apiVersion, correlationId } = header
    this.seen.push({ api: api.name, broker, request: value })
    const reply = await this.reply(api, { request: value, broker, socket })
    if (reply === 'close') socket.destroy()
    else if (reply === 'half-close') socket.end()
    else if (reply === 'silence' || reply === 'pass') return
    else if (Buffer.isBuffer(reply)) socket.write(reply)
    else socket.write(Buffer.concat(encodeResponse(api, apiVersion, correlationId, reply)))
  }

  private async reply(api: Api, asked: Asked<unknown>): Promise<unknown> {
    for (const entry of this.scripts) {
      if (entry.key !== api.key || entry.left === 0) continue
      entry.left--
      const reply = await entry.script(asked)
      if (reply !== 'pass') return reply
    }
    return this.honest(api, asked)
  }

  private honest(api: Api, { request, broker }: Asked<unknown>): unknown {
    if (api.key === ApiVersionsApi.key) return versions()
    if (api.key === MetadataApi.key) return this.metadata(request as MetadataRequest)
    if (api.key === ProduceApi.key) return this.produce(request as ProduceRequest, broker)
    if (api.key === FetchApi.key) return this.fetch(request as FetchRequest, broker)
    if (api.key === InitProducerIdApi.key)
      return { throttleTimeMs: 0, errorCode: 0, producerId: 1000 + this.producers++, producerEpoch: 0 }
    if (api.key === ListOffsetsApi.key) return this.listOffsets(request as ListOffsetsRequest)
    throw new Error(`the test gives no answer to ${api.name}`)
  }

  metadata({ topics }: MetadataRequest): MetadataResponse {
    const names = topics === null ? [...this.topics.keys()] : topics.map(({ name }) => name ?? '')
    return {
      throttleTimeMs: 0,
      brokers: this.ports
        .map((port, at) => ({ nodeId: at + 1, host: '127.0.0.1', port, rack: null }))
        .filter(({ nodeId }) => !this.hidden.has(nodeId)),
      clusterId: 'fake',
      controllerId: this.controller,
      topics: names.map((name) => {
        const topic = this.topics.get(name)
        return {
          errorCode: topic === undefined ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.NONE,
          name,
          topicId: topic?.topicId ?? ZERO_UUID,
          isInternal: false,
          partitions: (topic?.partitions ?? []).map(({ leader, epoch }, partitionIndex) => ({
            errorCode: 0,
            partitionIndex,
            leaderId: leader,
            leaderEpoch: epoch,
            replicaNodes: [1],
            isrNodes: [1],
            offlineReplicas: [],
          })),
          topicAuthorizedOperations: -2147483648,
        }
      }),
      clusterAuthorizedOperations: -2147483648,
      errorCode: 0,
    }
  }

  produce({ acks, topicData }: ProduceRequest, broker: number): ProduceResponse | 'silence' | 'close' {
    let refused = false
    const responses = topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(({ index, records }) => {
        const known = this.topics.get(name)?.partitions[index]
        if (known === undefined) return produced(index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        if (known.leader !== broker) {
          refused = true
          return produced(index, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        }
        return produced(index, ErrorCode.NONE, this.append(name, index, records ?? new Uint8Array()))
      }),
    }))
    if (acks === 0) return refused ? 'close' : 'silence'
    return { responses, throttleTimeMs: 0, nodeEndpoints: [] }
  }

  async fetch(request: FetchRequest, broker: number): Promise<FetchResponse> {
    const deadline = Date.now() + request.maxWaitMs
    for (;;) {
      const answer = this.fetchNow(request, broker)
      const parts = answer.responses.flatMap(({ partitions }) => partitions)
      if (parts.some(({ errorCode, records }) => errorCode !== 0 || (records?.length ?? 0) > 0)) return answer
      if (Date.now() >= deadline) return answer
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  private fetchNow(request: FetchRequest, broker: number): FetchResponse {
    let room = request.maxBytes
    let first = true
    const responses = request.topics.map(({ topic, topicId, partitions }) => ({
      topic,
      topicId,
      partitions: partitions.map(({ partition, fetchOffset, currentLeaderEpoch, partitionMaxBytes }) => {
        const log = this.topics.get(topic)?.partitions[partition]
        if (log === undefined) return fetched(partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        if (log.leader !== broker) return fetched(partition, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if (currentLeaderEpoch >= 0 && currentLeaderEpoch < log.epoch)
          return fetched(partition, ErrorCode.FENCED_LEADER_EPOCH)
        if (currentLeaderEpoch > log.epoch) return fetched(partition, ErrorCode.UNKNOWN_LEADER_EPOCH)
        if (fetchOffset < log.start || fetchOffset > endOf(log))
          return fetched(partition, ErrorCode.OFFSET_OUT_OF_RANGE)
        const records: Buffer[] = []
        let size = 0
        for (const batch of log.batches) {
          if (nextOffset(batch, 0) <= fetchOffset) continue
          const left = Math.min(room, partitionMaxBytes - size)
          if (batch.length > left && !first) break
          records.push(batch)
          size += batch.length
          room -= batch.length
          first = false
        }
        return { ...fetched(partition, 0), highWatermark: endOf(log), records: Buffer.concat(records) }
      }),
    }))
    return { throttleTimeMs: 0, errorCode: 0, sessionId: 0, responses, nodeEndpoints: [] }
  }

  private listOffsets({ topics }: ListOffsetsRequest): ListOffsetsResponse {
    return {
      throttleTimeMs: 0,
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, timestamp }) => {
          const log = this.topics.get(name)?.partitions[partitionIndex]
          if (log === undefined) return { partitionIndex, errorCode: 3, timestamp: -1, offset: -1, leaderEpoch: -1 }
          return {
            partitionIndex,
            errorCode: 0,
            timestamp: -1,
            offset: offsetAt(log, timestamp),
            leaderEpoch: log.epoch,
          }
        }),
      })),
    }
  }
}

function offsetAt(log: FakePartition, timestamp: number): number {
  if (timestamp === -2) return log.start
  if (timestamp === -1) return endOf(log)
  const batch = log.batches.find((one) => maxTimestamp(one, 0) >= timestamp)
  return batch === undefined ? -1 : (recordsOf(batch).find((record) => record.timestamp >= timestamp)?.offset ?? -1)
}

function endOf(log: FakePartition): number {
  const last = log.batches.at(-1)
  return last === undefined ? log.start : nextOffset(last, 0)
}

export function recordsOf(batch: Uint8Array): ReturnType<typeof readRecords> {
  if (recordCount(batch, 0) === 0) return []
  const name = codec(batch, 0) ?? 'none'
  return readRecords(batch, 0, name === 'none' ? undefined : inflate(name, recordsSection(batch, 0), 1 << 30))
}

export function produced(
  index: number,
  errorCode: number,
  baseOffset = -1,
): ProduceResponse['responses'][number]['partitionResponses'][number] {
  return {
    index,
    errorCode,
    baseOffset,
    logAppendTimeMs: -1,
    logStartOffset: 0,
    recordErrors: [],
    errorMessage: null,
    currentLeader: { leaderId: -1, leaderEpoch: -1 },
  }
}

export function fetched(
  partitionIndex: number,
  errorCode: number,
): FetchResponse['responses'][number]['partitions'][number] {
  return {
    partitionIndex,
    errorCode,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    divergingEpoch: { epoch: -1, endOffset: -1 },
    currentLeader: { leaderId: -1, leaderEpoch: -1 },
    snapshotId: { endOffset: -1, epoch: -1 },
    abortedTransactions: [],
    preferredReadReplica: -1,
    records: Buffer.alloc(0),
  }
}

/** One answer for every partition of a produce request. */
export function answerAll(
  request: ProduceRequest,
  answer: (topic: string, index: number, records: Uint8Array) => ReturnType<typeof produced>,
): ProduceResponse {
  return {
    throttleTimeMs: 0,
    nodeEndpoints: [],
    responses: request.topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(({ index, records }) => answer(name, index, records ?? new Uint8Array())),
    })),
  }
}

function versions(): unknown {
  return {
    errorCode: 0,
    apiKeys: APIS.map(({ key, advertised }) => ({ apiKey: key, minVersion: advertised[0], maxVersion: advertised[1] })),
    throttleTimeMs: 0,
    supportedFeatures: [],
    finalizedFeaturesEpoch: -1,
    finalizedFeatures: [],
    zkMigrationReady: false,
  }
}
