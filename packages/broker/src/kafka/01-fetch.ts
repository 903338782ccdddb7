import { ErrorCode } from '@millrace/base'
import { FetchApi } from '@millrace/protocol'
import type { FetchRequest, FetchResponse } from '@millrace/protocol'
import { endpointsOf } from './endpoints.ts'
import type { ClientEndpoint } from './endpoints.ts'
import type { Exchange } from './exchange.ts'
import { contextOf, type FetchContext } from './fetch-context.ts'
import { FetchMemory } from './fetch-memory.ts'
import { encodeFetchAnswer, IDS_SINCE, NAMES_LEADER_SINCE } from './fetch-response.ts'
import type { FetchedPartition, FetchedTopic, NewLeader } from './fetch-response.ts'
import type { FetchTerms } from './purgatory/fetch-partition.ts'
import { ParkedFetch } from './purgatory/parked-fetch.ts'
import { selectorFor } from './rack-selector.ts'
import type { Handler, Services } from './services.ts'

/** The replica id of who is none. */
const CONSUMER = -1
/** The first version that knows of replicas to read from. */
const FOLLOWERS_SINCE = 11
const NO_LEADERS: ReadonlyMap<FetchedPartition, NewLeader> = new Map()
const NO_ENDPOINTS: readonly ClientEndpoint[] = Object.freeze([])

/**
 * Reads whole batches below the watermark, partitions in the order of the request or of the session. The first that has anything gives its first
 * batch whole, however small the limits, so that a large batch never stops a consumer; the others keep to the limits. Waits for `min_bytes` up to
 * `max_wait_ms`, but not when a partition has an error, diverges or is to be read elsewhere. Replication has its own protocol, so a replica
 * id is a forgery (CVE-2018-1288) and refused.
 */
export function fetchHandler(services: Services): Handler<FetchRequest, FetchResponse> {
  return {
    api: FetchApi,
    serve(exchange, request) {
      if (request.replicaId > CONSUMER || request.replicaState.replicaId > CONSUMER)
        exchange.respondParts(refused(exchange, request, ErrorCode.CLUSTER_AUTHORIZATION_FAILED))
      else exchange.connection.beginFetch(exchange, () => begin(services, exchange, request))
    },
  }
}

function begin(services: Services, exchange: Exchange<FetchResponse>, request: FetchRequest): void {
  const { version, connection } = exchange
  const terms: FetchTerms = {
    isolation: request.isolationLevel === 1 ? 1 : 0,
    leaderOnly: version < FOLLOWERS_SINCE,
    selector: version < FOLLOWERS_SINCE ? null : selectorFor(services, request.rackId),
    byId: version >= IDS_SINCE,
  }
  const context = contextOf({ services, version, request, terms })
  if (typeof context === 'number') return exchange.respondParts(failed(exchange, context))
  const cap = Number(services.settings.broker('fetch.max.bytes'))
  const memory = new FetchMemory(services.broker.buffers)
  exchange.memory = memory
  const fetch = new ParkedFetch(services, {
    version,
    maxWaitMs: request.maxWaitMs,
    minBytes: Math.min(request.minBytes, cap),
    maxBytes: Math.min(request.maxBytes, cap),
    partitions: context.partitions,
    memory,
    ready: () => {
      const parts = answerOf(services, exchange, context, terms)
      context.over()
      exchange.respondParts(parts)
    },
    guard: (run) => connection.guard(run),
    failed: (error) => connection.failed(error),
  })
  const abandon = (): void => {
    fetch.abandon()
    context.over()
  }
  exchange.onAbandoned = abandon
  context.begun({
    interrupt() {
      abandon()
      connection.guard(() => exchange.respondParts(failed(exchange, ErrorCode.INVALID_FETCH_SESSION_EPOCH)))
    },
  })
  fetch.begin()
}

function answerOf(
  services: Services,
  exchange: Exchange<FetchResponse>,
  context: FetchContext,
  { isolation }: FetchTerms,
): Uint8Array[] {
  const { version, correlationId } = exchange
  const { sessionId, topics } = context.answer()
  const leaders = version < NAMES_LEADER_SINCE ? NO_LEADERS : leadersOf(services, topics)
  const endpoints = leaders.size === 0 ? NO_ENDPOINTS : endpointsOf(services, leaders.values())
  const readCommitted = isolation === 1
  return encodeFetchAnswer({
    version,
    correlationId,
    error: ErrorCode.NONE,
    sessionId,
    readCommitted,
    topics,
    leaders,
    endpoints,
  })
}

/** Where those partitions are led that are not led here, or not in the epoch that the client knows (KIP-951). */
function leadersOf(services: Services, topics: readonly FetchedTopic[]): ReadonlyMap<FetchedPartition, NewLeader> {
  let leaders: Map<FetchedPartition, NewLeader> | null = null
  for (const { id, partitions } of topics)
    for (const partition of partitions) {
      if (partition.error !== ErrorCode.NOT_LEADER_OR_FOLLOWER && partition.error !== ErrorCode.FENCED_LEADER_EPOCH)
        continue
      const known = services.broker.image.partition(id, partition.index)
      if (known === null) continue
      leaders ??= new Map()
      leaders.set(partition, { leaderId: known.leader, leaderEpoch: known.leaderEpoch })
    }
  return leaders ?? NO_LEADERS
}

/** An answer that has nothing but its error. */
function failed({ version, correlationId }: Exchange<FetchResponse>, error: ErrorCode): Uint8Array[] {
  return bare(version, correlationId, error, [])
}

/** Versions below 7 have no error of the whole response, so each partition carries it. */
function refused(exchange: Exchange<FetchResponse>, { topics }: FetchRequest, error: ErrorCode): Uint8Array[] {
  const { version, correlationId } = exchange
  const answers = topics.map(({ topic, topicId, partitions }) => ({
    name: topic,
    id: topicId,
    partitions: partitions.map(({ partition }) => refusedPartition(partition, error)),
  }))
  return bare(version, correlationId, error, answers)
}

function bare(version: number, correlationId: number, error: ErrorCode, topics: readonly FetchedTopic[]): Uint8Array[] {
  return encodeFetchAnswer({
    version,
    correlationId,
    error,
    sessionId: 0,
    readCommitted: false,
    topics: version >= IDS_SINCE ? [] : topics,
    leaders: NO_LEADERS,
    endpoints: NO_ENDPOINTS,
  })
}

function refusedPartition(index: number, error: ErrorCode): FetchedPartition {
  return {
    index,
    error,
    highWatermark: -1,
    lastStableOffset: -1,
    logStart: -1,
    diverging: null,
    preferredReplica: -1,
    parts: [],
    bytes: 0,
  }
}
