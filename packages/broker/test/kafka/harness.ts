import assert from 'node:assert/strict'
import { LONG_MAX, ZERO_UUID } from '@millrace/base'
import { decodeResponse, encodeRequest } from '@millrace/protocol'
import type { Api } from '@millrace/protocol'
import { encodeBatch } from '@millrace/records'
import type { BatchOptions, NewRecord } from '@millrace/records'
import { createKafkaListener } from '../../src/kafka/listener.ts'
import type { KafkaListener } from '../../src/kafka/listener.ts'
import type { BrokerConfig } from '../../src/seams.ts'
import { FakeBroker, idOf } from './fake-broker.ts'
import { virtualWorld } from './virtual-world.ts'
import type { ClientEnd, VirtualWorld } from './virtual-world.ts'

export interface Harness {
  readonly world: VirtualWorld
  readonly broker: FakeBroker
  readonly listener: KafkaListener
  connect(): TestClient
}

export interface HarnessOptions {
  readonly properties?: Readonly<Record<string, string>>
  readonly config?: Partial<BrokerConfig>
  readonly listener?: string
}

/** A listener on a fake broker, in virtual time. */
export function harness(options: HarnessOptions = {}): Harness {
  const world = virtualWorld()
  const broker = new FakeBroker(world, options.properties, options.config)
  const address = { host: '127.0.0.1', port: 9092 }
  const listener = createKafkaListener(broker, {
    name: options.listener ?? 'PLAINTEXT',
    bind: address,
    advertised: address,
    securityProtocol: 'PLAINTEXT',
  })
  let started = false
  listener.start((error) => {
    assert.equal(error, null)
    started = true
  })
  world.time.turn()
  assert.ok(started)
  return { world, broker, listener, connect: () => new TestClient(world, world.streams.open()) }
}

export interface Answer<R> {
  readonly correlationId: number
  readonly value: R
}

/** A client that speaks the protocol through its declarations. */
export class TestClient {
  readonly end: ClientEnd
  clientId: string | null = 'test'
  private readonly world: VirtualWorld
  private readonly asked: { api: Api; version: number; correlationId: number }[] = []
  private nextId = 1

  constructor(world: VirtualWorld, end: ClientEnd) {
    this.world = world
    this.end = end
  }

  /** The bytes of a request, its length included. */
  frame<Q, R>(api: Api<Q, R>, version: number, request: Q): Uint8Array {
    const correlationId = this.nextId++
    this.asked.push({ api, version, correlationId })
    return Buffer.concat(encodeRequest(api as unknown as Api<Q>, version, correlationId, this.clientId, request))
  }

  send<Q, R>(api: Api<Q, R>, version: number, request: Q): void {
    this.end.send(this.frame(api, version, request))
  }

  /** Nothing will answer the request that was sent first. */
  forgetFirst(): void {
    this.asked.shift()
  }

  /** Takes the next answers, which must be in the order of the requests. */
  receive(): Answer<unknown>[] {
    this.world.time.turn()
    return this.end.takeFrames().map((frame) => {
      const asked = this.asked.shift()
      assert.ok(asked !== undefined, 'an answer to nothing')
      const answer = decodeResponse(asked.api, asked.version, frame)
      assert.equal(answer.correlationId, asked.correlationId, 'answers come in the order of the requests')
      return answer
    })
  }

  /** Sends one request and takes its one answer, which must come within the time. */
  ask<Q, R>(api: Api<Q, R>, version: number, request: Q, withinMs = 100): R {
    this.send(api, version, request)
    for (let waited = 0; waited <= withinMs; waited += 5) {
      const answers = this.receive()
      if (answers.length > 0) {
        assert.equal(answers.length, 1)
        return (answers[0] as Answer<R>).value
      }
      this.world.time.advance(5)
    }
    throw new Error(`${api.name} was not answered within ${withinMs} ms`)
  }
}

export const NOW = 1_700_000_000_000

/** A batch as a producer sends it. */
export function batch(
  values: readonly (string | null)[],
  options: BatchOptions & { key?: string | null } = {},
): Uint8Array {
  const { key = 'key', ...rest } = options
  const records: NewRecord[] = values.map((value) => ({
    timestamp: NOW,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
  }))
  return encodeBatch(records, rest)
}

export function produceRequest(
  topic: string,
  records: Uint8Array | null,
  change: { acks?: number; timeoutMs?: number; index?: number; transactionalId?: string | null } = {},
) {
  const { acks = -1, timeoutMs = 1000, index = 0, transactionalId = null } = change
  return {
    transactionalId,
    acks,
    timeoutMs,
    topicData: [{ name: topic, topicId: idOf(topic), partitionData: [{ index, records }] }],
  }
}

export interface FetchChange {
  readonly maxWaitMs?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly isolationLevel?: number
  readonly replicaId?: number
  readonly sessionId?: number
  readonly sessionEpoch?: number
  readonly rackId?: string
  readonly forgotten?: readonly FetchPlace[]
}

export interface FetchPlace {
  readonly topic: string
  readonly partition?: number
  readonly offset?: number
  readonly epoch?: number
  readonly lastEpoch?: number
  readonly maxBytes?: number
}

export function fetchRequest(places: readonly FetchPlace[], { forgotten = [], ...change }: FetchChange = {}) {
  return {
    clusterId: null,
    replicaId: -1,
    replicaState: { replicaId: -1, replicaEpoch: -1 },
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 50_000_000,
    isolationLevel: 0,
    sessionId: 0,
    sessionEpoch: -1,
    forgottenTopicsData: forgotten.map(({ topic, partition = 0 }) => ({
      topic,
      topicId: idOf(topic),
      partitions: [partition],
    })),
    rackId: '',
    ...change,
    topics: places.map(({ topic, partition = 0, offset = 0, epoch = -1, lastEpoch = -1, maxBytes = 1_000_000 }) => ({
      topic,
      topicId: idOf(topic),
      partitions: [
        {
          partition,
          currentLeaderEpoch: epoch,
          fetchOffset: offset,
          lastFetchedEpoch: lastEpoch,
          logStartOffset: -1,
          partitionMaxBytes: maxBytes,
          replicaDirectoryId: ZERO_UUID,
          highWatermark: LONG_MAX,
        },
      ],
    })),
  }
}
