// One connection to one node, with nothing of a client's cleverness: a request goes to whom it is sent, and every answer is looked at.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { ZERO_UUID, LONG_MAX } from '@millrace/base'
import {
  type Api,
  DescribeQuorumApi,
  encodeRequest,
  decodeResponse,
  FetchApi,
  ListOffsetsApi,
  MetadataApi,
  type MetadataResponse,
  ProduceApi,
  responseCorrelationId,
} from '@millrace/protocol'
import { encodeBatch, readRecords, splitBatches } from '@millrace/records'

export interface ProduceOptions {
  readonly acks?: -1 | 0 | 1
  readonly partition?: number
  readonly timeoutMs?: number
}

export interface ProduceAnswer {
  readonly error: number
  readonly offset: number
}

export interface FetchAnswer {
  readonly error: number
  readonly highWatermark: number
  readonly values: readonly string[]
}

export interface QuorumView {
  /** The active controller. */
  readonly leader: number
  readonly voters: readonly number[]
  /** The directory id of each voter. */
  readonly directories: ReadonlyMap<number, string>
  readonly observers: readonly number[]
}

interface Waiting {
  readonly resolve: (frame: Uint8Array) => void
  readonly reject: (error: Error) => void
}

const DEFAULT_TIMEOUT_MS = 30_000

/** A raw connection. Answers are matched by correlation id. */
export class Wire {
  private readonly socket: Socket
  private readonly waiting = new Map<number, Waiting>()
  private received: Buffer = Buffer.alloc(0)
  private next = 1
  private ended = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.data(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this.closed())
  }

  static async open(port: number, host = '127.0.0.1'): Promise<Wire> {
    const socket = connect({ port, host, noDelay: true })
    await once(socket, 'connect')
    return new Wire(socket)
  }

  get isClosed(): boolean {
    return this.ended
  }

  close(): void {
    this.socket.destroy()
  }

  /** Takes no answer any more; what the node writes stays in the sockets. */
  pauseReading(): void {
    this.socket.pause()
  }

  /** Bytes that `write` was given and the node did not take. */
  get unsentBytes(): number {
    return this.socket.writableLength
  }

  /** For a port that speaks something else. */
  discardAnswers(): void {
    this.socket.removeAllListeners('data')
    this.socket.resume()
  }

  /** The frame that answers a request whose bytes were written by hand. */
  rawAnswer(correlationId: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => this.waiting.set(correlationId, { resolve, reject }))
  }

  /** Bytes as they are. */
  write(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Resolves when the node closed the connection; false when it did not within the time. */
  async closesWithin(timeoutMs: number): Promise<boolean> {
    if (this.ended) return true
    await once(this.socket, 'close', { signal: AbortSignal.timeout(timeoutMs) }).catch(() => undefined)
    return this.ended
  }

  /** The answer to one request. Rejects when none came in time or the connection ended. */
  async ask<Q, R>(api: Api<Q, R>, version: number, value: Q, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<R> {
    const id = this.next++
    const answered = new Promise<Uint8Array>((resolve, reject) => this.waiting.set(id, { resolve, reject }))
    this.socket.write(Buffer.concat(encodeRequest(api, version, id, 'wire', value)))
    const timer = setTimeout(
      () => this.waiting.get(id)?.reject(new Error(`no answer to ${api.name} within ${timeoutMs} ms`)),
      timeoutMs,
    )
    try {
      return decodeResponse(api, version, await answered).value
    } finally {
      clearTimeout(timer)
      this.waiting.delete(id)
    }
  }

  /** One record; with acks 0 the answer is made up. */
  async produce(topic: string, value: string, options: ProduceOptions = {}): Promise<ProduceAnswer> {
    const { acks = -1, partition = 0, timeoutMs = 5_000 } = options
    const records = encodeBatch([{ timestamp: Date.now(), key: null, value: Buffer.from(value) }])
    const request = {
      transactionalId: null,
      acks,
      timeoutMs,
      topicData: [{ name: topic, topicId: ZERO_UUID, partitionData: [{ index: partition, records }] }],
    }
    if (acks === 0) {
      this.socket.write(Buffer.concat(encodeRequest(ProduceApi, 9, this.next++, 'wire', request)))
      return { error: 0, offset: -1 }
    }
    const answer = await this.ask(ProduceApi, 9, request, timeoutMs + DEFAULT_TIMEOUT_MS)
    const found = answer.responses[0]?.partitionResponses[0]
    return { error: found?.errorCode ?? -1, offset: found?.baseOffset ?? -1 }
  }

  async fetch(
    topic: string,
    offset: number,
    options: { partition?: number; waitMs?: number } = {},
  ): Promise<FetchAnswer> {
    const partition = {
      partition: options.partition ?? 0,
      currentLeaderEpoch: -1,
      fetchOffset: offset,
      lastFetchedEpoch: -1,
      logStartOffset: -1,
      partitionMaxBytes: 50_000_000,
      replicaDirectoryId: ZERO_UUID,
      highWatermark: LONG_MAX,
    }
    const answer = await this.ask(FetchApi, 11, {
      clusterId: null,
      replicaId: -1,
      replicaState: { replicaId: -1, replicaEpoch: -1 },
      maxWaitMs: options.waitMs ?? 100,
      minBytes: 1,
      maxBytes: 50_000_000,
      isolationLevel: 0,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic,
          topicId: ZERO_UUID,
          partitions: [partition],
        },
      ],
      forgottenTopicsData: [],
      rackId: '',
    })
    const found = answer.responses[0]?.partitions[0]
    const values: string[] = []
    for (const batch of splitBatches(found?.records ?? new Uint8Array()))
      for (const record of readRecords(batch, 0))
        if (record.offset >= offset) values.push(Buffer.from(record.value ?? []).toString())
    return {
      error: answer.errorCode !== 0 ? answer.errorCode : (found?.errorCode ?? -1),
      highWatermark: found?.highWatermark ?? -1,
      values,
    }
  }

  /** The offset that ListOffsets tells: -1 is the end, -2 the start. */
  async listOffset(topic: string, timestamp: -1 | -2, partition = 0): Promise<{ error: number; offset: number }> {
    const answer = await this.ask(ListOffsetsApi, 5, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: topic, partitions: [{ partitionIndex: partition, currentLeaderEpoch: -1, timestamp }] }],
      timeoutMs: 0,
    })
    const found = answer.topics[0]?.partitions[0]
    return { error: found?.errorCode ?? -1, offset: found?.offset ?? -1 }
  }

  metadata(topics: readonly string[] | null): Promise<MetadataResponse> {
    return this.ask(MetadataApi, 9, {
      topics: topics === null ? null : topics.map((name) => ({ name, topicId: ZERO_UUID })),
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    })
  }

  /** The active controller and the voters as the quorum has them. */
  async quorum(): Promise<QuorumView> {
    const answer = await this.ask(DescribeQuorumApi, 2, {
      topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }],
    })
    const found = answer.topics[0]?.partitions[0]
    if (answer.errorCode !== 0 || found === undefined) throw new Error(`DescribeQuorum answered ${answer.errorCode}`)
    return {
      leader: found.leaderId,
      voters: found.currentVoters.map(({ replicaId }) => replicaId),
      directories: new Map(found.currentVoters.map((voter) => [voter.replicaId, voter.replicaDirectoryId])),
      observers: found.observers.map(({ replicaId }) => replicaId),
    }
  }

  private data(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk])
    while (this.received.length >= 4) {
      const size = this.received.readInt32BE(0)
      if (this.received.length < 4 + size) return
      const frame = this.received.subarray(4, 4 + size)
      this.received = this.received.subarray(4 + size)
      this.waiting.get(responseCorrelationId(frame))?.resolve(frame)
    }
  }

  private closed(): void {
    this.ended = true
    for (const { reject } of this.waiting.values()) reject(new Error('the node closed the connection'))
  }
}
