import { ErrorCode, ZERO_UUID } from '@millrace/base'
import { ProduceApi, type ProduceRequest, type ProduceResponse } from '@millrace/protocol'
import { type Cluster, UNKNOWN_TOPIC_PATIENCE_MS } from './cluster.ts'
import type { Connection } from './connection.ts'
import { ConnectionPool } from './connection-pool.ts'
import { ConnectionError, KafkaError, mayRetry, TimeoutError } from './errors.ts'
import type { Flushes } from './flushes.ts'
import { MetadataRefresher } from './metadata-refresher.ts'
import type { Accepted, ProducerBatch } from './producer-batch.ts'
import { Numbering, ProducerIdentity } from './producer-identity.ts'
import { PartitionQueue } from './producer-queue.ts'
import type { ProducerOptions } from './producer.ts'
import { backoff } from './retry.ts'

interface Flight {
  readonly queue: PartitionQueue
  readonly batch: ProducerBatch
}

interface Departure {
  readonly flights: Flight[]
  bytes: number
}

export interface SenderHooks {
  readonly flushes: Flushes
  /** Something left the buffer. */
  readonly released: () => void
}

type PartitionAnswer = ProduceResponse['responses'][number]['partitionResponses'][number]

const MAX_IN_FLIGHT_PER_BROKER = 5
const MAX_REQUEST_BYTES = 8 * 1024 * 1024
/** How much later than the broker's own wait an answer may come. */
const ANSWER_SLACK_MS = 5_000

/** Brings batches to the leaders of their partitions and back again until they are acknowledged or given up. */
export class ProducerSender {
  private readonly cluster: Cluster
  private readonly pool: ConnectionPool
  private readonly options: Required<ProducerOptions>
  private readonly hooks: SenderHooks
  private readonly queues = new Map<string, PartitionQueue[]>()
  /** Queues that have something to send, and may; who was served goes to the end. */
  private readonly active = new Set<PartitionQueue>()
  private readonly inFlight = new Map<number, number>()
  /** With acks 0: where the last batch went, since a refusal shows only in that connection's end. */
  private readonly unanswered = new Map<number, Connection>()
  /** When the last request to a broker was handed to its connection: they are sent in the order in which their batches left. */
  private readonly handedOver = new Map<number, Promise<void>>()
  private readonly refresher: MetadataRefresher
  /** Null without idempotence. */
  private readonly identity: ProducerIdentity | null
  private buffered = 0
  private immediate: NodeJS.Immediate | null = null
  private timer: NodeJS.Timeout | null = null
  private timerAt = Number.POSITIVE_INFINITY

  constructor(cluster: Cluster, options: Required<ProducerOptions>, hooks: SenderHooks) {
    this.cluster = cluster
    this.options = options
    this.hooks = hooks
    this.pool = new ConnectionPool(cluster.options)
    this.identity = options.idempotent ? new ProducerIdentity(cluster) : null
    this.refresher = new MetadataRefresher(cluster, () => this.refreshed())
  }

  get bufferedBytes(): number {
    return this.buffered
  }

  /** Whether the partition gathers a batch now that is not full yet. */
  gathers(topic: string, partition: number): boolean {
    const queue = this.queues.get(topic)?.[partition]
    return queue !== undefined && queue.gathers && !queue.full
  }

  add(topic: string, partition: number, record: Accepted, now: number): void {
    const queue = this.queue(topic, partition)
    const batch = queue.open(record, now)
    const opened = batch.count === 0
    if (opened) this.hooks.flushes.begin(batch.epoch)
    this.buffered += batch.add(record.record, record.record.timestamp ?? Date.now(), record)
    if (queue.busy) return
    if (opened) this.active.add(queue)
    if (queue.full) this.schedule()
    else if (opened) this.wakeAt(queue.dueAt(this.hooks.flushes.flushedEpoch), now)
  }

  /** Sends what a flush waits for. */
  hurry(): void {
    if (this.active.size > 0) this.schedule()
  }

  /** Fails everything that waits; what is on its way fails with its connection. */
  abandon(error: Error): void {
    for (const queue of [...this.queues.values()].flat())
      for (const batch of queue?.clear() ?? []) this.finish(batch, () => batch.fail(error))
    this.close()
  }

  close(): void {
    this.pool.close()
    if (this.immediate !== null) clearImmediate(this.immediate)
    if (this.timer !== null) clearTimeout(this.timer)
    this.active.clear()
  }

  private queue(topic: string, partition: number): PartitionQueue {
    let byPartition = this.queues.get(topic)
    if (byPartition === undefined) this.queues.set(topic, (byPartition = []))
    const { identity } = this
    const numbering = (): Numbering | null => (identity === null ? null : new Numbering(identity))
    return (byPartition[partition] ??= new PartitionQueue(topic, partition, this.options, numbering()))
  }

  private schedule(): void {
    this.immediate ??= setImmediate(() => {
      this.immediate = null
      this.pump()
    })
  }

  private wakeAt(time: number, now: number): void {
    if (time >= this.timerAt) return
    if (time <= now) return this.schedule()
    if (this.timer !== null) clearTimeout(this.timer)
    this.timerAt = time
    this.timer = setTimeout(
      () => {
        this.timerAt = Number.POSITIVE_INFINITY
        this.timer = null
        this.pump()
      },
      Math.ceil(time - now),
    )
  }

  private pump(): void {
    const now = performance.now()
    const { flushedEpoch } = this.hooks.flushes
    const departures = new Map<number, Departure>()
    let next = Number.POSITIVE_INFINITY
    for (const queue of this.active) {
      this.expire(queue, now)
      const left = queue.dueAt(flushedEpoch) <= now && this.depart(queue, departures, now)
      const { head } = queue
      if (head === null || queue.busy) {
        this.active.delete(queue)
        continue
      }
      const due = queue.dueAt(flushedEpoch)
      if (left && due <= now) this.schedule()
      // What is due and did not leave waits for an answer of its leader, which pumps again.
      next = Math.min(next, due > now ? due : Number.POSITIVE_INFINITY, head.deadline)
    }
    for (const [leader, { flights }] of departures) void this.fly(leader, flights)
    this.wakeAt(next, now)
  }

  /** Whether a batch leaves. */
  private depart(queue: PartitionQueue, departures: Map<number, Departure>, now: number): boolean {
    if (this.cluster.stale(queue.topic)) this.refresher.ask(queue.topic)
    const leader = this.cluster.leader(queue.topic, queue.partition)
    // What a leader of the past has on its way comes back first: others that overtook it at the next leader would have it forgotten there.
    if (queue.flies && leader !== queue.lastLeader) return false
    queue.lastLeader = leader
    if (leader < 0) {
      this.strand(queue, now)
      return false
    }
    queue.leaderless = 0
    queue.goneSince = null
    const departure = departures.get(leader) ?? { flights: [], bytes: 0 }
    if ((this.inFlight.get(leader) ?? 0) >= MAX_IN_FLIGHT_PER_BROKER) return false
    // It leaves with the next request.
    if (departure.bytes > MAX_REQUEST_BYTES) {
      this.schedule()
      return false
    }
    const batch = queue.take()
    departure.flights.push({ queue, batch })
    departure.bytes += batch.size
    departures.set(leader, departure)
    return true
  }

  /** There is no leader, or no such partition any more. */
  private strand(queue: PartitionQueue, now: number): void {
    const { topic, partition } = queue
    const known = this.cluster.known(topic)
    if (known !== null && partition >= known.partitions.length) queue.goneSince ??= now
    const goneForMs = queue.goneSince === null ? this.cluster.missingForMs(topic) : now - queue.goneSince
    if (goneForMs > UNKNOWN_TOPIC_PATIENCE_MS) {
      const what = `partition ${partition} of topic ${topic}`
      const error = new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, what, 'it is not there any more')
      queue.goneSince = null
      for (const batch of queue.clear()) this.finish(batch, () => batch.fail(error))
      return
    }
    queue.notBefore = now + this.backoff(queue.leaderless++)
    this.refresher.ask(topic)
  }

  /** Never rejects. */
  private async fly(leader: number, flights: readonly Flight[]): Promise<void> {
    this.inFlight.set(leader, (this.inFlight.get(leader) ?? 0) + 1)
    const outcome = await this.request(leader, flights).catch((error: Error) => error)
    this.inFlight.set(leader, (this.inFlight.get(leader) ?? 1) - 1)
    for (const flight of flights) {
      const { queue } = flight
      this.land(flight, outcome instanceof Error ? outcome : answerFor(flight, outcome))
      this.recover(queue)
      if (!queue.empty) this.active.add(queue)
    }
    if (this.active.size > 0) this.schedule()
  }

  private async request(leader: number, flights: readonly Flight[]): Promise<ReadonlyMap<string, PartitionAnswer>> {
    const { acks, requestTimeoutMs } = this.options
    const before = this.handedOver.get(leader)
    const turn = Promise.withResolvers<void>()
    this.handedOver.set(leader, turn.promise)
    try {
      const request = await this.encode(flights)
      await before
      const connection = await this.cluster.broker(this.pool, leader)
      const answer =
        acks === 0
          ? this.sendUnanswered(leader, connection, request)
          : connection.send(ProduceApi, request, requestTimeoutMs + ANSWER_SLACK_MS).then(byFlight)
      turn.resolve()
      return await answer
    } finally {
      turn.resolve()
    }
  }

  private async encode(flights: readonly Flight[]): Promise<ProduceRequest> {
    const { acks, compression, requestTimeoutMs } = this.options
    const topics = new Map<string, { index: number; records: Uint8Array }[]>()
    const producerId = this.identity === null ? -1 : await this.identity.id()
    for (const { queue, batch } of flights) {
      queue.numbering?.enter(producerId)
      batch.numbers ??= queue.numbering?.take(batch.count) ?? null
      const partitions = topics.get(queue.topic) ?? []
      topics.set(queue.topic, partitions)
      partitions.push({ index: queue.partition, records: await batch.seal(compression) })
    }
    return {
      transactionalId: null,
      acks: acks === 'all' ? -1 : acks,
      timeoutMs: requestTimeoutMs,
      topicData: [...topics].map(([name, partitionData]) => ({ name, topicId: ZERO_UUID, partitionData })),
    }
  }

  private async sendUnanswered(
    leader: number,
    connection: Connection,
    request: ProduceRequest,
  ): Promise<ReadonlyMap<string, PartitionAnswer>> {
    const last = this.unanswered.get(leader)
    this.unanswered.set(leader, connection)
    // A broker that does not lead any more can only close the connection: the leaders are looked up before anything else is sent to it.
    if (last !== undefined && last !== connection)
      throw new ConnectionError(`broker ${leader} closed the connection on which nothing is answered`)
    await connection.sendOnly(ProduceApi, request)
    return byFlight({
      responses: request.topicData.map(({ name, partitionData }) => ({
        name,
        topicId: ZERO_UUID,
        partitionResponses: partitionData.map(({ index }) => ({ ...UNKNOWN_PLACE, index })),
      })),
    })
  }

  private land({ queue, batch }: Flight, outcome: PartitionAnswer | Error): void {
    if (outcome instanceof Error || !WRITTEN.has(outcome.errorCode as ErrorCode)) return queue.cameBack(batch, outcome)
    queue.landed(batch)
    this.finish(batch, () => batch.settle(queue.topic, queue.partition, outcome))
  }

  /**
   * What is to become of batches that did not get through: the first of them decides. Those behind it go again, whatever was said to them: mostly
   * that the first one was missing.
   */
  private recover(queue: PartitionQueue): void {
    const returned = queue.takeReturned<PartitionAnswer | Error>()
    const first = returned?.[0]
    if (returned === null || first === undefined) return
    const behind = returned.slice(1).map(({ batch }) => batch)
    for (const batch of behind) batch.failures++
    queue.putBack(behind)
    const flight = { queue, batch: first.batch }
    if (first.outcome instanceof Error) this.failed(flight, first.outcome)
    else this.refused(flight, first.outcome)
  }

  private refused(flight: Flight, answer: PartitionAnswer): void {
    const { queue, batch } = flight
    const { topic, partition } = queue
    const code = answer.errorCode as ErrorCode
    const error = new KafkaError(code, `topic ${topic} partition ${partition}`, answer.errorMessage)
    const tooLarge = code === ErrorCode.MESSAGE_TOO_LARGE || code === ErrorCode.RECORD_LIST_TOO_LARGE
    if (batch.numbers !== null && RENUMBERED.has(code)) return this.renumber(flight, error)
    if (tooLarge && batch.count > 1) return this.halve(flight)
    if (answer.recordErrors.length > 0) return this.sortOut(flight, answer.recordErrors, error)
    const news = this.cluster.moved(topic, partition, answer.currentLeader)
    this.failed(flight, error)
    if (news && batch.failures === 1) queue.notBefore = 0
  }

  /** A batch that the broker found too large goes on as its halves, and later ones are made smaller. */
  private halve({ queue, batch }: Flight): void {
    giveUp(queue, batch)
    const indices = Array.from({ length: batch.count }, (_, at) => at)
    const half = Math.ceil(batch.count / 2)
    queue.shrink(batch.size)
    this.replace(queue, batch, batch.regrouped([indices.slice(0, half), indices.slice(half)]))
  }

  /** The broker refused the whole batch for some of its records: those fail, the others are sent again without them. */
  private sortOut({ queue, batch }: Flight, refused: PartitionAnswer['recordErrors'], error: KafkaError): void {
    const reasons = new Map(
      refused.map(({ batchIndex, batchIndexErrorMessage }) => [batchIndex, batchIndexErrorMessage]),
    )
    giveUp(queue, batch)
    const kept: number[] = []
    for (let at = 0; at < batch.count; at++) {
      const reason = reasons.get(at)
      if (reason === undefined) kept.push(at)
      else
        batch.failOne(
          at,
          reason === null
            ? error
            : new KafkaError(error.code, `topic ${queue.topic} partition ${queue.partition}`, reason),
        )
    }
    if (kept.length === batch.count) return this.finish(batch, () => batch.fail(error))
    this.replace(queue, batch, batch.regrouped([kept]))
  }

  private replace(queue: PartitionQueue, batch: ProducerBatch, parts: readonly ProducerBatch[]): void {
    for (const part of parts) {
      this.hooks.flushes.begin(part.epoch)
      this.buffered += part.bufferedBytes
      part.failures = 1
    }
    queue.putBack(parts)
    queue.notBefore = 0
    this.finish(batch, () => undefined)
  }

  private failed({ queue, batch }: Flight, error: Error): void {
    if (mayRetry(error)) return this.again({ queue, batch }, error)
    if (error instanceof KafkaError) giveUp(queue, batch)
    else queue.numbering?.lost()
    this.finish(batch, () => batch.fail(error))
  }

  /** The broker lost what came before, or somebody else has the id: the batch is not written, and goes with other numbers. */
  private renumber(flight: Flight, error: KafkaError): void {
    const { numbering } = flight.queue
    if (error.code === ErrorCode.INVALID_PRODUCER_EPOCH) numbering?.leave()
    else numbering?.lost()
    flight.batch.renumber()
    // What was to follow is not written either.
    flight.queue.renumber()
    this.again(flight, error)
  }

  private again({ queue, batch }: Flight, error: Error): void {
    queue.notBefore = performance.now() + this.backoff(batch.failures++)
    batch.lastError = error
    queue.putBack([batch])
    this.refresher.ask(queue.topic)
  }

  private expire(queue: PartitionQueue, now: number): void {
    for (const batch of queue.expired(now)) {
      giveUp(queue, batch)
      const last = batch.lastError === null ? '' : `; the last try: ${batch.lastError.message}`
      const where = `topic ${queue.topic} partition ${queue.partition}`
      const error = new TimeoutError(
        `${where}: not acknowledged within ${this.options.deliveryTimeoutMs} ms (deliveryTimeoutMs)${last}`,
      )
      this.finish(batch, () => batch.fail(Object.assign(error, { cause: batch.lastError })))
    }
  }

  /** The batch is done with: its records are told, its room is free. */
  private finish(batch: ProducerBatch, tell: () => void): void {
    tell()
    this.buffered -= batch.bufferedBytes
    this.hooks.flushes.end(batch.epoch)
    this.hooks.released()
  }

  private backoff(tries: number): number {
    const { retryBackoffMs: backoffMs, retryBackoffMaxMs: backoffMaxMs } = this.cluster.options
    return backoff({ backoffMs, backoffMaxMs }, tries)
  }

  /** A leader that changed is tried soon, not at the end of a long wait. */
  private refreshed(): void {
    const soon = performance.now() + this.cluster.options.retryBackoffMs
    for (const queue of this.active)
      if (this.cluster.leader(queue.topic, queue.partition) !== queue.lastLeader)
        queue.notBefore = Math.min(queue.notBefore, queue.lastLeader < 0 ? 0 : soon)
    if (this.active.size > 0) this.schedule()
  }
}

/** What the broker says when it has the batch. */
const WRITTEN: ReadonlySet<ErrorCode> = new Set([ErrorCode.NONE, ErrorCode.DUPLICATE_SEQUENCE_NUMBER])

/** What the broker says to numbers that do not continue what it has. */
const RENUMBERED: ReadonlySet<ErrorCode> = new Set([
  ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
  ErrorCode.INVALID_PRODUCER_EPOCH,
  ErrorCode.UNKNOWN_PRODUCER_ID,
])

/**
 * The batch goes no more as it is. Where an earlier try may have written it, its numbers are not used again. Else nothing that was to follow it is
 * written, and all of that gets other numbers; in another epoch, because it may be on its way still.
 */
function giveUp(queue: PartitionQueue, { numbers, failures }: ProducerBatch): void {
  const { numbering } = queue
  if (numbers === null || numbering === null) return
  if (failures > 0) return numbering.lost()
  if (!queue.numbered) return numbering.giveBack(numbers)
  numbering.lost()
  queue.renumber()
}

const UNKNOWN_PLACE = Object.freeze({
  errorCode: 0,
  baseOffset: -1,
  logAppendTimeMs: -1,
  logStartOffset: -1,
  recordErrors: [],
  errorMessage: null,
  currentLeader: { leaderId: -1, leaderEpoch: -1 },
})

function answerFor({ queue }: Flight, answers: ReadonlyMap<string, PartitionAnswer>): PartitionAnswer | Error {
  const answer = answers.get(flightKey(queue.topic, queue.partition))
  return answer ?? new ConnectionError('the broker left a partition out of its answer')
}

function byFlight({ responses }: Pick<ProduceResponse, 'responses'>): ReadonlyMap<string, PartitionAnswer> {
  const answers = new Map<string, PartitionAnswer>()
  for (const { name, partitionResponses } of responses)
    for (const partition of partitionResponses) answers.set(flightKey(name, partition.index), partition)
  return answers
}

function flightKey(topic: string, partition: number): string {
  return `${topic}/${partition}`
}
