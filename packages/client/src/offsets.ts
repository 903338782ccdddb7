import { ErrorCode } from '@millrace/base'
import { ListOffsetsApi } from '@millrace/protocol'
import type { Cluster } from './cluster.ts'
import type { ConnectionPool } from './connection-pool.ts'
import { KafkaError, mayRetry } from './errors.ts'
import { retrying } from './retry.ts'

/** In place of a time: the first offset of the log. */
export const EARLIEST = -2
/** In place of a time: the offset after the last record, or after the last decided one where only committed records are read. */
export const LATEST = -1

export interface OffsetQuery {
  readonly topic: string
  readonly partition: number
  /** Milliseconds since 1970, EARLIEST or LATEST. */
  readonly timestamp: number
}

/** `offset` is -1 when no record is that young. */
export interface FoundOffset {
  readonly offset: number
  /** Of the record found by time; -1 else. */
  readonly timestamp: number
}

export interface OffsetRules {
  readonly pool: ConnectionPool
  /** Whether only what is decided counts as the end. */
  readonly committedOnly: boolean
  readonly signal: AbortSignal
}

/**
 * Offsets by time, in the order of the queries; one request to each leader. Tried again within the client's retry timeout. Rejects with
 * `KafkaError` for partitions that do not exist.
 */
export async function listOffsets(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  rules: OffsetRules,
): Promise<readonly FoundOffset[]> {
  const found = new Map<OffsetQuery, FoundOffset>()
  const topics = [...new Set(queries.map(({ topic }) => topic))]
  await retrying(`offsets of topic ${topics.join(', ')}`, cluster.retryRules(rules.signal), async () => {
    for (const topic of topics) await cluster.topic(topic, rules.signal)
    const open = queries.filter((query) => !found.has(query))
    const failures = await Promise.all(
      requestsOf(cluster, open).map(({ leader, asked }) =>
        ask(cluster, leader, { asked, rules, found }).catch((error: Error) => error),
      ),
    )
    const failure =
      failures.find((error) => error !== null && !mayRetry(error)) ?? failures.find((error) => error !== null)
    if (failure === undefined || failure === null) return
    if (mayRetry(failure)) await cluster.refresh(topics).catch(() => undefined)
    throw failure
  })
  return queries.map((query) => found.get(query) as FoundOffset)
}

/** As `listOffsets`, with null for partitions that do not exist or have no leader now: nobody waits for those. */
export async function listOffsetsWhereLed(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  rules: OffsetRules,
): Promise<readonly (FoundOffset | null)[]> {
  const topics = [...new Set(queries.map(({ topic }) => topic))]
  if (topics.length === 0) return []
  await retrying(`topics ${topics.join(', ')}`, cluster.retryRules(rules.signal), () => cluster.refresh(topics))
  const led = queries.filter(({ topic, partition }) => cluster.leader(topic, partition) >= 0)
  const found = await listOffsets(cluster, led, rules)
  const answers = new Map(led.map((query, at) => [query, found[at] ?? null]))
  return queries.map((query) => answers.get(query) ?? null)
}

interface OffsetRequest {
  readonly leader: number
  readonly asked: OffsetQuery[]
}

/** A request to each leader; a broker refuses one that names a partition twice, so the second query of a partition goes into another. */
function requestsOf(cluster: Cluster, queries: readonly OffsetQuery[]): readonly OffsetRequest[] {
  const requests: OffsetRequest[] = []
  const named = new Set<string>()
  for (const query of queries) {
    const leader = leaderOf(cluster, query)
    const name = `${query.topic}/${query.partition}`
    const request = named.has(name) ? undefined : requests.find((known) => known.leader === leader)
    if (request !== undefined) request.asked.push(query)
    else requests.push({ leader, asked: [query] })
    named.add(name)
  }
  return requests
}

function leaderOf(cluster: Cluster, { topic, partition }: OffsetQuery): number {
  const count = cluster.known(topic)?.partitions.length ?? 0
  if (partition >= 0 && partition < count) return cluster.leader(topic, partition)
  const what = `partition ${partition} of topic ${topic}`
  const error = new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, what, `it has partitions 0 to ${count - 1}`)
  throw Object.assign(error, { retriable: false })
}

interface Asking {
  readonly asked: readonly OffsetQuery[]
  readonly rules: OffsetRules
  readonly found: Map<OffsetQuery, FoundOffset>
}

/** Resolves with the first failure of a partition, or null. */
async function ask(cluster: Cluster, leader: number, { asked, rules, found }: Asking): Promise<KafkaError | null> {
  const [first] = asked
  if (leader < 0)
    return new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE, `topic ${first?.topic} partition ${first?.partition}`)
  const connection = await cluster.broker(rules.pool, leader)
  const topics = [...Map.groupBy(asked, ({ topic }) => topic)].map(([name, queries]) => ({
    name,
    partitions: queries.map(({ partition, timestamp }) => ({
      partitionIndex: partition,
      currentLeaderEpoch: -1,
      timestamp,
    })),
  }))
  const answer = await connection.send(ListOffsetsApi, {
    replicaId: -1,
    isolationLevel: rules.committedOnly ? 1 : 0,
    topics,
    timeoutMs: cluster.options.requestTimeoutMs,
  })
  const answers = new Map<string, (typeof answer.topics)[number]['partitions'][number]>()
  for (const { name, partitions } of answer.topics)
    for (const partition of partitions) answers.set(`${name}/${partition.partitionIndex}`, partition)
  let failure: KafkaError | null = null
  for (const query of asked) {
    const what = `topic ${query.topic} partition ${query.partition}`
    const partition = answers.get(`${query.topic}/${query.partition}`)
    if (partition === undefined)
      failure ??= new KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, what, 'the broker left it out of its answer')
    else if (partition.errorCode === ErrorCode.NONE)
      found.set(query, { offset: partition.offset, timestamp: partition.timestamp })
    else failure ??= new KafkaError(partition.errorCode as ErrorCode, what)
  }
  return failure
}
