import { ErrorCode, LONG_MAX, ZERO_UUID } from '@millrace/base'
import { type Api, CreateTopicsApi, FetchApi, type FetchRequest, ProduceApi } from '@millrace/protocol'
import type { Operation } from '../seams.ts'
import type { SimClient } from '../workload/client.ts'
import { readFetched } from '../workload/fetched.ts'
import { encodeValues } from '../workload/produce-batch.ts'

const AGAIN_US = 100_000
const TIMEOUT_MS = 5_000
const MAX_BYTES = 1_000_000
/** The first version that tells the watermark to everybody, and knows all codecs. */
const FETCH_SINCE = 10

export interface TopicOptions {
  readonly partitions: number
  readonly replicas: number
  readonly minInSync: number
}

/** A client with promises, for workloads of users: each call tries again until it succeeds. */
export class UserClient {
  private readonly client: SimClient

  constructor(client: SimClient) {
    this.client = client
    client.begin({ wake: () => undefined })
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.client.after(ms * 1000, resolve))
  }

  async createTopic(name: string, { partitions, replicas, minInSync }: TopicOptions): Promise<void> {
    const configs = [{ name: 'min.insync.replicas', value: String(minInSync) }]
    const topic = { name, numPartitions: partitions, replicationFactor: replicas, assignments: [], configs }
    const request = { topics: [topic], timeoutMs: TIMEOUT_MS, validateOnly: false }
    for (;;) {
      const response = await this.ask(CreateTopicsApi, -1, request)
      const error = response?.topics[0]?.errorCode
      if (error === ErrorCode.NONE || error === ErrorCode.TOPIC_ALREADY_EXISTS) return
      await this.again()
    }
  }

  /** Sends with acks=all until it is acknowledged; a value may be there twice. Resolves with its offset. */
  async send(topic: string, partition: number, value: string): Promise<number> {
    const { client } = this
    const operation = this.begin(topic, partition, value)
    const records = encodeValues([{ name: value, padding: 0 }], { timestampMs: client.nowMs, codec: 'none' })
    const request = {
      transactionalId: null,
      acks: -1,
      timeoutMs: TIMEOUT_MS,
      topicData: [{ name: topic, topicId: ZERO_UUID, partitionData: [{ index: partition, records }] }],
    }
    for (;;) {
      operation.copies = (operation.copies ?? 0) + 1
      const response = await this.ask(ProduceApi, this.leaderOf(topic, partition), request)
      const answer = response?.responses[0]?.partitionResponses[0]
      if (answer?.errorCode === ErrorCode.NONE) {
        this.end(operation, answer.baseOffset)
        return answer.baseOffset
      }
      await this.again()
    }
  }

  /** All values of a partition from an offset to the watermark. */
  async read(topic: string, partition: number, from: number): Promise<string[]> {
    const values: string[] = []
    for (let at = from; ;) {
      const response = await this.ask(
        FetchApi,
        this.leaderOf(topic, partition),
        fetchOf(topic, partition, at),
        FETCH_SINCE,
      )
      const answer = response?.responses[0]?.partitions[0]
      if (answer?.errorCode !== ErrorCode.NONE) {
        await this.again()
        continue
      }
      const fetched = readFetched(answer.records, at)
      values.push(...fetched.values.map(({ value }) => value))
      at = Math.max(at, fetched.next)
      if (at >= answer.highWatermark) return values
    }
  }

  private begin(topic: string, partition: number, value: string): Operation {
    const operation: Operation = {
      client: this.client.name,
      kind: 'send',
      invokedUs: this.client.nowUs,
      endedUs: Number.POSITIVE_INFINITY,
      outcome: 'info',
      topic,
      partition,
      values: [{ value, offset: -1 }],
      acks: -1,
      copies: 0,
      // Calls may be repeated on another connection: their order is nobody's promise.
      connection: -1,
      timestampMs: this.client.nowMs,
    }
    this.client.crowd.begun(operation)
    return operation
  }

  private end(operation: Operation, offset: number): void {
    for (const value of operation.values) value.offset = offset
    operation.outcome = 'ok'
    operation.endedUs = this.client.nowUs
    this.client.crowd.ended(operation)
  }

  private leaderOf(topic: string, partition: number): number | null {
    return this.client.view.find(topic, partition)?.leader ?? null
  }

  /** Asks one broker, or any when `broker` is -1; null when there is none now or nobody knows what became of it. */
  private ask<Q, R>(api: Api<Q, R>, broker: number | null, request: Q, floor = 0): Promise<R | null> {
    const { view, connections } = this.client
    const address = broker === -1 ? view.anyAddress() : broker === null ? null : view.addressOf(broker)
    const connection = address === null ? null : connections.to(address)
    if (connection === null) return Promise.resolve(null)
    return new Promise((resolve) => connection.ask(api, connection.version(api, floor), request, resolve))
  }

  private again(): Promise<void> {
    this.client.view.doubt()
    return new Promise((resolve) => this.client.after(AGAIN_US, resolve))
  }
}

function fetchOf(topic: string, partition: number, fetchOffset: number): FetchRequest {
  const asked = {
    partition,
    fetchOffset,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    partitionMaxBytes: MAX_BYTES,
    replicaDirectoryId: ZERO_UUID,
    highWatermark: LONG_MAX,
  }
  return {
    clusterId: null,
    replicaId: -1,
    replicaState: { replicaId: -1, replicaEpoch: -1 },
    maxWaitMs: 20,
    minBytes: 1,
    maxBytes: MAX_BYTES,
    isolationLevel: 0,
    sessionId: 0,
    sessionEpoch: -1,
    topics: [{ topic, topicId: ZERO_UUID, partitions: [asked] }],
    forgottenTopicsData: [],
    rackId: '',
  }
}
