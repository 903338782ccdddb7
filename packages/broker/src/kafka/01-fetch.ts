import { ErrorCode } from '@millrace/base'
import { FetchApi } from '@millrace/protocol'
import type { FetchRequest, FetchResponse } from '@millrace/protocol'
import { encodeFetchAnswer } from './fetch-response.ts'
import type { FetchedTopic } from './fetch-response.ts'
import type { Exchange } from './exchange.ts'
import { FetchMemory } from './fetch-memory.ts'
import { FetchPartition } from './purgatory/fetch-partition.ts'
import { ParkedFetch } from './purgatory/parked-fetch.ts'
import type { Handler, Services } from './services.ts'

/** The replica id of who is none. */
const CONSUMER = -1

/**
 * Reads whole batches below the watermark, partitions in the order of the request. The first that has anything gives its first batch whole,
 * however small the limits, so that a large batch never stops a consumer; the others keep to the limits. Waits for `min_bytes` up to
 * `max_wait_ms`, but not when a partition has an error. Sessions (version 7) are never granted: id 0 makes every client send full requests.
 * Replication has its own protocol, so a replica id is a forgery (CVE-2018-1288) and refused.
 */
export function fetchHandler(services: Services): Handler<FetchRequest, FetchResponse> {
  return {
    api: FetchApi,
    serve(exchange, request) {
      const refusal = sessionProblem(request) ?? replicaProblem(request)
      if (refusal === null) exchange.connection.beginFetch(exchange, () => begin(services, exchange, request))
      else exchange.respondParts(refused(exchange, request, refusal))
    },
  }
}

function sessionProblem({ sessionEpoch }: FetchRequest): ErrorCode | null {
  return sessionEpoch > 0 ? ErrorCode.FETCH_SESSION_ID_NOT_FOUND : null
}

function replicaProblem({ replicaId }: FetchRequest): ErrorCode | null {
  return replicaId > CONSUMER ? ErrorCode.CLUSTER_AUTHORIZATION_FAILED : null
}

/** Versions below 7 have no error of the whole response, so each partition carries it. */
function refused(exchange: Exchange<FetchResponse>, { topics }: FetchRequest, error: ErrorCode): Uint8Array[] {
  const { version, correlationId } = exchange
  const answers = topics.map(({ topic, partitions }) => ({
    name: topic,
    partitions: partitions.map(({ partition }) => ({
      index: partition,
      error,
      highWatermark: -1,
      lastStableOffset: -1,
      logStart: -1,
      parts: [],
      bytes: 0,
    })),
  }))
  return encodeFetchAnswer({
    version,
    correlationId,
    error,
    readCommitted: false,
    topics: version >= 7 && error === ErrorCode.FETCH_SESSION_ID_NOT_FOUND ? [] : answers,
  })
}

function begin(services: Services, exchange: Exchange<FetchResponse>, request: FetchRequest): void {
  const isolation = request.isolationLevel === 1 ? 1 : 0
  const topics: { name: string; partitions: FetchPartition[] }[] = []
  const partitions: FetchPartition[] = []
  for (const { topic, partitions: asked } of request.topics) {
    const mine = asked.map(
      (one) => new FetchPartition(services.broker.replicas.find(topic, one.partition), one, isolation),
    )
    for (const one of mine) partitions.push(one)
    topics.push({ name: topic, partitions: mine })
  }
  const cap = Number(services.settings.broker('fetch.max.bytes'))
  const memory = new FetchMemory(services.broker.buffers)
  exchange.memory = memory
  const fetch = new ParkedFetch(services, {
    version: exchange.version,
    maxWaitMs: request.maxWaitMs,
    minBytes: Math.min(request.minBytes, cap),
    maxBytes: Math.min(request.maxBytes, cap),
    partitions,
    memory,
    ready: () => exchange.respondParts(answerOf(exchange, topics, isolation === 1)),
    guard: (run) => exchange.connection.guard(run),
    failed: (error) => exchange.connection.failed(error),
  })
  exchange.onAbandoned = () => fetch.abandon()
  fetch.begin()
}

function answerOf(
  exchange: Exchange<FetchResponse>,
  topics: readonly FetchedTopic[],
  readCommitted: boolean,
): Uint8Array[] {
  const { version, correlationId } = exchange
  return encodeFetchAnswer({ version, correlationId, error: ErrorCode.NONE, readCommitted, topics })
}
