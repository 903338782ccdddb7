import { ErrorCode, LONG_MAX, ZERO_UUID } from '@millrace/base'
import { FetchApi, type FetchRequest, type FetchResponse } from '@millrace/protocol'
import { extentOf } from './batch-reader.ts'
import type { Cluster } from './cluster.ts'
import type { ConnectionPool } from './connection-pool.ts'
import { KafkaError, mayRetry, ProtocolError } from './errors.ts'
import { MetadataRefresher } from './metadata-refresher.ts'
import { EARLIEST, LATEST, listOffsets } from './offsets.ts'
import { backoff } from './retry.ts'

/** Where reading of one partition is. Times are milliseconds of `performance.now()`. */
export interface FetchPosition {
  readonly topic: string
  readonly partition: number
  topicId: string
  /** The offset that the next fetch asks for. */
  next: number
  /** The offset after the last record that was handed out. */
  consumed: number
  /** Where `until: 'end'` stops; `Infinity` without it. */
  end: number
  /** Raised by seeks: what was fetched for an earlier one is dropped. */
  generation: number
  /** A request about it is on its way: nobody else may make one. */
  busy: boolean
  notBefore: number
  failures: number
  failingSince: number | null
  /** The leader at the last try. */
  lastLeader: number
}

/** Whole batches of one partition as they were fetched, or just a step to another offset. */
export interface FetchedChunk {
  readonly position: FetchPosition
  readonly generation: number
  readonly from: number
  readonly below: number
  readonly bytes: Uint8Array
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[]
}

export interface FetchRules {
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxPartitionBytes: number
  readonly prefetchBytes: number
  readonly committedOnly: boolean
  readonly onOutOfRange: 'earliest' | 'latest' | 'fail'
  readonly giveUpAfterMs: number
  /** Topics of which every partition is read, also those that come later. */
  readonly wholeTopics: ReadonlySet<string>
}

export interface FetcherPlace {
  readonly cluster: Cluster
  readonly pool: ConnectionPool
  readonly signal: AbortSignal
  /** There is a chunk, a failure, or the end. */
  readonly changed: () => void
}

type PartitionData = FetchResponse['responses'][number]['partitions'][number]

/** How much later than the longest wait a fetch may be answered. */
const ANSWER_SLACK_MS = 30_000
const NOTHING = new Uint8Array(0)

/** Keeps one fetch on its way to every leader while there is room for what it brings. */
export class Fetcher {
  private readonly place: FetcherPlace
  private readonly rules: FetchRules
  private readonly positions: FetchPosition[]
  private readonly chunks: FetchedChunk[] = []
  private readonly fetching = new Set<number>()
  private readonly refresher: MetadataRefresher
  private heldBytes = 0
  private turn = 0
  private timer: NodeJS.Timeout | null = null
  private failedWith: Error | null = null

  constructor(place: FetcherPlace, rules: FetchRules, positions: FetchPosition[]) {
    this.place = place
    this.rules = rules
    this.positions = positions
    this.refresher = new MetadataRefresher(place.cluster, () => this.refreshed())
  }

  /** What ended it, after the chunks that came before. */
  get failure(): Error | null {
    return this.failedWith
  }

  /** Everything up to the end was fetched. */
  get finished(): boolean {
    return this.positions.every(({ next, end, busy }) => next >= end && !busy)
  }

  /** The next chunk in the order of arrival. Its bytes count until they are released. */
  shift(): FetchedChunk | null {
    return this.chunks.shift() ?? null
  }

  /** The chunk's bytes are done with. */
  release(chunk: FetchedChunk): void {
    this.heldBytes -= chunk.bytes.length
    this.pump()
  }

  /** Goes on at another offset; what was fetched and not handed out is dropped. */
  seek(position: FetchPosition, offset: number): void {
    position.generation++
    position.next = offset
    position.consumed = offset
    for (let at = this.chunks.length - 1; at >= 0; at--)
      if (this.chunks[at]?.position === position)
        for (const chunk of this.chunks.splice(at, 1)) this.heldBytes -= chunk.bytes.length
    this.pump()
  }

  close(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.chunks.length = 0
  }

  /** Starts every fetch that may start now. */
  pump(): void {
    if (this.place.signal.aborted || this.failedWith !== null) return
    const now = performance.now()
    const byLeader = new Map<number, FetchPosition[]>()
    let next = Number.POSITIVE_INFINITY
    for (const position of this.positions) {
      if (position.busy || position.next >= position.end) continue
      if (position.notBefore > now) next = Math.min(next, position.notBefore)
      else next = Math.min(next, this.line(position, byLeader))
    }
    // Half for what lies here, half for what is on its way.
    const room = this.rules.prefetchBytes / 2
    const share = Math.max(1, Math.floor(room / new Set([...byLeader.keys(), ...this.fetching]).size))
    for (const [leader, positions] of byLeader)
      if (!this.fetching.has(leader) && this.heldBytes < room) void this.fetch(leader, positions, share)
    this.wakeAt(next, now)
  }

  /** Puts a position into the line of its leader; returns when to try again where there is none. */
  private line(position: FetchPosition, byLeader: Map<number, FetchPosition[]>): number {
    const { cluster } = this.place
    const { topic, partition } = position
    if (cluster.stale(topic)) this.refresher.ask(topic)
    const known = cluster.known(topic)
    if (known !== null && known.topicId !== position.topicId) {
      void this.reposition(position, true)
      return Number.POSITIVE_INFINITY
    }
    const leader = cluster.leader(topic, partition)
    position.lastLeader = leader
    if (leader < 0) {
      const code = known === null ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.LEADER_NOT_AVAILABLE
      this.trouble(position, new KafkaError(code, `topic ${topic} partition ${partition}`))
      return position.notBefore
    }
    const line = byLeader.get(leader)
    if (line === undefined) byLeader.set(leader, [position])
    else line.push(position)
    return Number.POSITIVE_INFINITY
  }

  private wakeAt(time: number, now: number): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = time === Number.POSITIVE_INFINITY ? null : setTimeout(() => this.pump(), Math.max(1, time - now))
  }

  /** Never rejects. */
  private async fetch(leader: number, line: readonly FetchPosition[], maxBytes: number): Promise<void> {
    // Who stands first is answered first, and always with a whole batch: take turns.
    const first = this.turn++ % line.length
    const positions = [...line.slice(first), ...line.slice(0, first)]
    const generations = positions.map(({ generation }) => generation)
    this.fetching.add(leader)
    for (const position of positions) position.busy = true
    const answer = await this.ask(leader, positions, maxBytes).catch((error: Error) => error)
    for (const position of positions) position.busy = false
    this.fetching.delete(leader)
    if (this.place.signal.aborted) return
    if (answer instanceof Error) for (const position of positions) this.trouble(position, answer)
    else this.takeAll(answer, positions, generations)
    this.pump()
    this.place.changed()
  }

  private async ask(leader: number, positions: readonly FetchPosition[], maxBytes: number): Promise<FetchResponse> {
    const { cluster, pool } = this.place
    const connection = await cluster.broker(pool, leader)
    const request = this.request(positions, maxBytes)
    const answer = await connection.send(FetchApi, request, this.rules.maxWaitMs + ANSWER_SLACK_MS)
    if (answer.errorCode !== ErrorCode.NONE)
      throw new KafkaError(answer.errorCode as ErrorCode, `fetch from broker ${leader}`)
    return answer
  }

  private request(positions: readonly FetchPosition[], maxBytes: number): FetchRequest {
    const { cluster } = this.place
    const byTopic = Map.groupBy(positions, ({ topic }) => topic)
    return {
      clusterId: null,
      replicaId: -1,
      replicaState: { replicaId: -1, replicaEpoch: -1 },
      maxWaitMs: this.rules.maxWaitMs,
      minBytes: this.rules.minBytes,
      maxBytes,
      isolationLevel: this.rules.committedOnly ? 1 : 0,
      sessionId: 0,
      sessionEpoch: -1,
      forgottenTopicsData: [],
      rackId: '',
      topics: [...byTopic].map(([topic, ofTopic]) => ({
        topic,
        topicId: ZERO_UUID,
        partitions: ofTopic.map(({ partition, next }) => ({
          partition,
          // A leader that was voted out and does not know it yet must not answer: its log may end before our position.
          currentLeaderEpoch: cluster.known(topic)?.partitions[partition]?.leaderEpoch ?? -1,
          fetchOffset: next,
          lastFetchedEpoch: -1,
          logStartOffset: -1,
          partitionMaxBytes: Math.min(this.rules.maxPartitionBytes, maxBytes),
          replicaDirectoryId: ZERO_UUID,
          highWatermark: LONG_MAX,
        })),
      })),
    }
  }

  private takeAll(answer: FetchResponse, positions: readonly FetchPosition[], generations: readonly number[]): void {
    const places = new Map(positions.map((position, at) => [`${position.topic}/${position.partition}`, at]))
    for (const { topic, partitions } of answer.responses) {
      for (const data of partitions) {
        const at = places.get(`${topic}/${data.partitionIndex}`)
        const position = at === undefined ? undefined : positions[at]
        // A seek meanwhile, or an answer to a question that nobody asked.
        if (position === undefined || position.generation !== generations[at as number]) continue
        this.take(position, data, at === 0)
      }
    }
  }

  private take(position: FetchPosition, data: PartitionData, first: boolean): void {
    const code = data.errorCode as ErrorCode
    if (code === ErrorCode.OFFSET_OUT_OF_RANGE) return void this.reposition(position, false)
    if (code !== ErrorCode.NONE) {
      const error = new KafkaError(code, `topic ${position.topic} partition ${position.partition}`)
      const news = this.place.cluster.moved(position.topic, position.partition, data.currentLeader)
      this.trouble(position, error)
      if (news && position.failures === 1) position.notBefore = 0
      return
    }
    position.failures = 0
    position.failingSince = null
    if (data.records !== null && data.records.length > 0) this.keep(position, data, first)
  }

  private keep(position: FetchPosition, data: PartitionData, first: boolean): void {
    const records = data.records as Uint8Array
    const { bytes, next, malformed } = extentOf(records)
    if (bytes === 0 && !malformed && !first) return
    if (next <= position.next)
      return this.fail(
        new ProtocolError(
          `topic ${position.topic} partition ${position.partition}: what was fetched at offset ${position.next} holds ${
            malformed ? 'no batch of format 2' : 'no whole batch from there'
          }`,
        ),
      )
    this.push(position, next, {
      bytes: records.subarray(0, bytes),
      aborted: this.rules.committedOnly ? (data.abortedTransactions ?? []) : [],
    })
  }

  private push(position: FetchPosition, next: number, data: Pick<FetchedChunk, 'bytes' | 'aborted'>): void {
    const { generation, end: below } = position
    this.chunks.push({ position, generation, from: position.next, below, ...data })
    this.heldBytes += data.bytes.length
    position.next = next
  }

  /** The position is not in the log: outside of its range, or the topic was created again. */
  private async reposition(position: FetchPosition, recreated: boolean): Promise<void> {
    const { topic, partition, next, generation } = position
    const { onOutOfRange, committedOnly } = this.rules
    const { cluster, pool, signal } = this.place
    if (onOutOfRange === 'fail') {
      const why = recreated ? 'the topic was deleted and created again' : `offset ${next} is not in its log`
      return this.fail(new KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE, `topic ${topic} partition ${partition}`, why))
    }
    position.busy = true
    try {
      const [start, end] = await listOffsets(
        cluster,
        [
          { topic, partition, timestamp: onOutOfRange === 'earliest' ? EARLIEST : LATEST },
          { topic, partition, timestamp: LATEST },
        ],
        { pool, committedOnly, signal },
      )
      position.topicId = cluster.known(topic)?.topicId ?? position.topicId
      if (position.end !== Number.POSITIVE_INFINITY && end !== undefined)
        position.end = recreated ? end.offset : Math.min(position.end, end.offset)
      if (position.generation === generation && start !== undefined) {
        position.next = start.offset
        this.push(position, start.offset, { bytes: NOTHING, aborted: [] })
      }
    } catch (error) {
      if (!signal.aborted) this.trouble(position, error as Error)
    }
    position.busy = false
    this.pump()
    this.place.changed()
  }

  private trouble(position: FetchPosition, error: Error): void {
    const { retryBackoffMs: backoffMs, retryBackoffMaxMs: backoffMaxMs, retryTimeoutMs } = this.place.cluster.options
    const now = performance.now()
    position.failingSince ??= now
    const unknown = error instanceof KafkaError && error.code === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    const patienceMs = unknown ? Math.min(retryTimeoutMs, this.rules.giveUpAfterMs) : this.rules.giveUpAfterMs
    if (!mayRetry(error) || now - position.failingSince > patienceMs) return this.fail(error)
    position.notBefore = now + backoff({ backoffMs, backoffMaxMs }, position.failures++)
    this.refresher.ask(position.topic)
  }

  private fail(error: Error): void {
    this.failedWith ??= error
    this.place.changed()
  }

  private refreshed(): void {
    const { cluster, signal } = this.place
    if (signal.aborted) return
    const soon = performance.now() + cluster.options.retryBackoffMs
    for (const position of this.positions)
      if (cluster.leader(position.topic, position.partition) !== position.lastLeader)
        position.notBefore = Math.min(position.notBefore, position.lastLeader < 0 ? 0 : soon)
    for (const topic of this.rules.wholeTopics) this.grow(topic)
    this.pump()
  }

  /** New partitions of a topic that is read as a whole are read from their start. */
  private grow(topic: string): void {
    const { cluster } = this.place
    const known = cluster.known(topic)
    const mine = this.positions.filter((position) => position.topic === topic)
    if (known === null || mine.some(({ topicId }) => topicId !== known.topicId)) return
    for (let partition = mine.length; partition < known.partitions.length; partition++)
      this.positions.push(newPosition({ topic, partition, topicId: known.topicId }, 0, Number.POSITIVE_INFINITY))
  }
}

/** A position that nothing was asked for yet. */
export function newPosition(
  place: { readonly topic: string; readonly partition: number; readonly topicId: string },
  offset: number,
  end: number,
): FetchPosition {
  return {
    ...place,
    next: offset,
    consumed: offset,
    end,
    generation: 0,
    busy: false,
    notBefore: 0,
    failures: 0,
    failingSince: null,
    lastLeader: -1,
  }
}
