import { ErrorCode } from '@millrace/base'
import { FetchApi, type FetchRequest, type FetchResponse, ListOffsetsApi } from '@millrace/protocol'
import { setTimeout as sleep } from 'node:timers/promises'
import { readBatches } from './batch-reader.ts'
import type { Cluster } from './cluster.ts'
import { KafkaError, mayRetry } from './errors.ts'
import type { ConsumedRecord } from './records.ts'

/** Where to begin: an offset, the first record at or after a time (milliseconds), the log's start or its end. */
export type StartPosition = 'earliest' | 'latest' | { readonly offset: number } | { readonly timestamp: number }

export interface Assignment {
  readonly topic: string
  /** All partitions where it is left out. */
  readonly partition?: number
  /** Default `earliest`. */
  readonly from?: StartPosition
}

export interface ConsumerOptions {
  readonly assign: readonly Assignment[]
  /** `end`: stops after the records that were there at the start. Default: goes on for ever. */
  readonly until?: 'end'
  /** How long the broker may wait for `minBytes`. Default 500 ms. */
  readonly maxWaitMs?: number
  readonly minBytes?: number
  /** The most one fetch brings of one partition. Default 1 MiB. */
  readonly maxPartitionBytes?: number
  /** Leave out the records of aborted transactions. Default true. */
  readonly committedOnly?: boolean
  /** What to do when the position is outside of the log. Default `fail`. */
  readonly onOutOfRange?: 'earliest' | 'latest' | 'fail'
}

interface Position {
  readonly topic: string
  readonly partition: number
  offset: number
  /** Where `until: 'end'` stops; `Infinity` without it. */
  end: number
  /** A fetch of it is under way: nobody else may ask for it. */
  busy: boolean
}

type PartitionData = FetchResponse['responses'][number]['partitions'][number]

const MAX_FETCH_BYTES = 50 * 1024 * 1024

/**
 * Reads assigned partitions, without a group. Iterate it once: `for await (const record of consumer)`. Records of a partition come
 * in the order of their offsets; while one step is handled, the next fetch is under way.
 */
export class Consumer implements AsyncIterable<ConsumedRecord> {
  private readonly cluster: Cluster
  private readonly options: Required<Omit<ConsumerOptions, 'until'>> & { readonly until: 'end' | null }
  private readonly positions: Position[] = []
  private readonly stop = new AbortController()
  private readonly queue: ConsumedRecord[][] = []
  private wake: (() => void) | null = null
  private room: (() => void)[] = []
  private failure: unknown = null
  private fetchers = 0

  constructor(cluster: Cluster, options: ConsumerOptions) {
    this.cluster = cluster
    this.options = {
      maxWaitMs: 500,
      minBytes: 1,
      maxPartitionBytes: 1 << 20,
      committedOnly: true,
      onOutOfRange: 'fail' as const,
      ...options,
      until: options.until ?? null,
    }
  }

  /** The next offset of each assigned partition. */
  get position(): readonly { readonly topic: string; readonly partition: number; readonly offset: number }[] {
    return this.positions.map(({ topic, partition, offset }) => ({ topic, partition, offset }))
  }

  async *[Symbol.asyncIterator](): AsyncIterator<ConsumedRecord> {
    await this.resolvePositions()
    void this.run()
    try {
      for (;;) {
        const batch = this.queue.shift()
        if (batch !== undefined) {
          for (const wake of this.room.splice(0)) wake()
          yield* batch
        } else if (this.failure !== null) throw this.failure
        else if (this.fetchers === 0) return
        else await new Promise<void>((resolve) => (this.wake = resolve))
      }
    } finally {
      this.close()
    }
  }

  /** Ends the iteration after what was already fetched. */
  close(): void {
    this.stop.abort()
    for (const wake of this.room.splice(0)) wake()
  }

  /** Offsets by time for the assigned partitions: what `lag` and `until: 'end'` are computed from. */
  private async resolvePositions(): Promise<void> {
    for (const { topic, partition, from = 'earliest' } of this.options.assign) {
      const metadata = await this.cluster.topic(topic)
      const all = metadata.partitions.map((known) => known.partition)
      if (partition !== undefined && !all.includes(partition))
        throw new KafkaError(
          ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
          `partition ${partition} of topic ${topic}`,
          `it has partitions 0 to ${all.length - 1}`,
        )
      for (const number of partition === undefined ? all : [partition])
        this.positions.push(await this.resolve({ topic, partition: number }, from))
    }
  }

  private async resolve(place: { topic: string; partition: number }, from: StartPosition): Promise<Position> {
    const isolation = this.options.committedOnly ? 1 : 0
    const end =
      this.options.until === 'end'
        ? await offsetOf(this.cluster, { ...place, isolation }, LATEST)
        : Number.POSITIVE_INFINITY
    return { ...place, end, busy: false, offset: await this.startOffset({ ...place, isolation }, from) }
  }

  private async startOffset(place: OffsetQuery, from: StartPosition): Promise<number> {
    if (from === 'earliest') return offsetOf(this.cluster, place, EARLIEST)
    if (from === 'latest') return offsetOf(this.cluster, place, LATEST)
    if ('offset' in from) return from.offset
    const found = await offsetOf(this.cluster, place, from.timestamp)
    return found >= 0 ? found : offsetOf(this.cluster, place, LATEST)
  }

  /** One loop per leader; leaders are looked up again whenever a loop ends. */
  private async run(): Promise<void> {
    const running = new Set<number>()
    this.fetchers = 1
    while (!this.stop.signal.aborted && this.failure === null && this.unfinished().length > 0) {
      for (const leader of new Set(this.unfinished().map((position) => this.leaderOf(position)))) {
        if (leader < 0 || running.has(leader)) continue
        running.add(leader)
        void this.follow(leader).finally(() => running.delete(leader))
      }
      await sleep(this.cluster.options.retryBackoffMs)
      if (this.unfinished().some((position) => this.leaderOf(position) < 0)) await this.refresh()
    }
    this.fetchers = 0
    this.notify()
  }

  private unfinished(): Position[] {
    return this.positions.filter(({ offset, end }) => offset < end)
  }

  private leaderOf({ topic, partition }: Position): number {
    return this.cluster.known(topic)?.partitions[partition]?.leader ?? -1
  }

  private async follow(leader: number): Promise<void> {
    try {
      while (!this.stop.signal.aborted && this.failure === null) {
        const mine = this.unfinished().filter((position) => !position.busy && this.leaderOf(position) === leader)
        if (mine.length === 0) return
        const { records, moved } = await this.fetch(leader, mine)
        if (records.length > 0) await this.deliver(records)
        if (moved) return await this.refresh()
      }
    } catch (error) {
      if (!mayRetry(error)) this.failure = error
      else await this.refresh()
      this.notify()
    }
  }

  private async deliver(records: ConsumedRecord[]): Promise<void> {
    this.queue.push(records)
    this.notify()
    while (this.queue.length > 1 && !this.stop.signal.aborted)
      await new Promise<void>((resolve) => this.room.push(resolve))
  }

  private notify(): void {
    this.wake?.()
    this.wake = null
  }

  private async refresh(): Promise<void> {
    await sleep(this.cluster.options.retryBackoffMs)
    await this.cluster.refresh([...new Set(this.positions.map(({ topic }) => topic))]).catch(() => undefined)
  }

  private async fetch(
    leader: number,
    positions: readonly Position[],
  ): Promise<{ records: ConsumedRecord[]; moved: boolean }> {
    for (const position of positions) position.busy = true
    try {
      return await this.fetchFrom(leader, positions)
    } finally {
      for (const position of positions) position.busy = false
    }
  }

  private async fetchFrom(
    leader: number,
    positions: readonly Position[],
  ): Promise<{ records: ConsumedRecord[]; moved: boolean }> {
    const connection = await this.cluster.broker(leader)
    const answer = await connection.send(FetchApi, this.request(positions), this.options.maxWaitMs + 30_000)
    if (answer.errorCode !== ErrorCode.NONE) throw new KafkaError(answer.errorCode as ErrorCode, 'fetch')
    const records: ConsumedRecord[] = []
    let moved = false
    for (const { topic, partitions } of answer.responses) {
      for (const data of partitions) {
        const position = positions.find((known) => known.topic === topic && known.partition === data.partitionIndex)
        if (position !== undefined) moved = (await this.take(position, data, records)) || moved
      }
    }
    // What was asked first is answered first: take turns.
    this.positions.push(...this.positions.splice(0, 1))
    return { records, moved }
  }

  private request(positions: readonly Position[]): FetchRequest {
    const byTopic = Map.groupBy(positions, ({ topic }) => topic)
    return {
      clusterId: null,
      replicaId: -1,
      maxWaitMs: this.options.maxWaitMs,
      minBytes: this.options.minBytes,
      maxBytes: MAX_FETCH_BYTES,
      isolationLevel: this.options.committedOnly ? 1 : 0,
      sessionId: 0,
      sessionEpoch: -1,
      forgottenTopicsData: [],
      rackId: '',
      topics: [...byTopic].map(([topic, ofTopic]) => ({
        topic,
        partitions: ofTopic.map(({ partition, offset }) => ({
          partition,
          currentLeaderEpoch: -1,
          fetchOffset: offset,
          lastFetchedEpoch: -1,
          logStartOffset: -1,
          partitionMaxBytes: this.options.maxPartitionBytes,
        })),
      })),
    }
  }

  /** True when the leader moved and the metadata must be asked for again. */
  private async take(position: Position, data: PartitionData, into: ConsumedRecord[]): Promise<boolean> {
    const code = data.errorCode as ErrorCode
    const error =
      code === ErrorCode.NONE ? null : new KafkaError(code, `topic ${position.topic} partition ${position.partition}`)
    if (code === ErrorCode.OFFSET_OUT_OF_RANGE && this.options.onOutOfRange !== 'fail') {
      const query = { ...position, isolation: this.options.committedOnly ? 1 : 0 } as const
      position.offset = await offsetOf(
        this.cluster,
        query,
        this.options.onOutOfRange === 'earliest' ? EARLIEST : LATEST,
      )
      return false
    }
    if (error !== null && mayRetry(error)) return true
    if (error !== null) throw error
    const aborted = this.options.committedOnly ? (data.abortedTransactions ?? []) : []
    const next = readBatches(
      data.records ?? new Uint8Array(0),
      { topic: position.topic, partition: position.partition, from: position.offset, below: position.end, aborted },
      into,
    )
    position.offset = Math.max(position.offset, next)
    return false
  }
}

export const EARLIEST = -2
export const LATEST = -1

export interface OffsetQuery {
  readonly topic: string
  readonly partition: number
  readonly isolation: 0 | 1
}

/** The offset for a time or for EARLIEST or LATEST; -1 when no record is that young. */
export async function offsetOf(cluster: Cluster, query: OffsetQuery, timestamp: number): Promise<number> {
  const { topic, partition, isolation } = query
  return cluster.retrying(`offset of topic ${topic} partition ${partition}`, async () => {
    const leader = (await cluster.topic(topic)).partitions[partition]?.leader ?? -1
    if (leader < 0) await cluster.refresh([topic])
    const connection = await cluster.broker(cluster.known(topic)?.partitions[partition]?.leader ?? -1)
    const partitions = [{ partitionIndex: partition, currentLeaderEpoch: -1, timestamp }]
    const answer = await connection.send(ListOffsetsApi, {
      replicaId: -1,
      isolationLevel: isolation,
      topics: [{ name: topic, partitions }],
      timeoutMs: 30_000,
    })
    const found = answer.topics[0]?.partitions[0]
    if (found === undefined)
      throw new KafkaError(
        ErrorCode.UNKNOWN_SERVER_ERROR,
        `topic ${topic} partition ${partition}`,
        'the broker left it out of its answer',
      )
    if (found.errorCode !== ErrorCode.NONE) {
      await cluster.refresh([topic]).catch(() => undefined)
      throw new KafkaError(found.errorCode as ErrorCode, `topic ${topic} partition ${partition}`)
    }
    return found.offset
  })
}
