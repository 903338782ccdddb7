import { ErrorCode } from '@millrace/base'
import { InitProducerIdApi, type InitProducerIdResponse, ProduceApi, type ProduceResponse } from '@millrace/protocol'
import { type Operation, type ProducerNumbers, Violation } from '../seams.ts'
import type { Role, SimClient } from './client.ts'
import type { PartitionView } from './cluster-view.ts'
import { excludesWrite, isRetriable } from './outcomes.ts'
import { Lane, type NumberedBatch } from './producer-lane.ts'
import {
  answerTo,
  beginBatch,
  drawDestination,
  drawValues,
  endBatch,
  placeValues,
  type Produced,
  produceRequest,
  type ProduceStyle,
  produceVersion,
} from './produce-request.ts'
import type { WireConnection } from './wire.ts'

/** What a client of Kafka may have on its way to a partition: brokers know as many batches again. */
const MOST_IN_FLIGHT = 5
/** Of 100 producers that have to leave their numbers behind so many ask for another id; the others raise their epoch. */
const FRESH_ID_PERCENT = 25
const AGAIN_US = 200_000
const S = 1_000_000

/**
 * An idempotent producer as Kafka's clients are: it repeats a batch of which it knows nothing with the same numbers, wherever the partition is led by then, and the
 * batches behind it wait. Only when it gives a batch up it goes on under other numbers, in its next epoch. So every value is in the log once at most.
 */
export class IdempotentProducer implements Role {
  private readonly client: SimClient
  private readonly style: ProduceStyle
  private readonly inFlight: number
  /** How long a batch is tried. */
  private readonly patienceUs: number
  private readonly lanes = new Map<PartitionView, Lane>()
  /** Null until a broker gave an id. */
  private identity: Pick<ProducerNumbers, 'producerId' | 'epoch'> | null = null
  private asking: Operation | null = null
  private nextValue = 0

  constructor(client: SimClient) {
    const { draw, crowd } = client
    this.client = client
    this.style = { acks: -1, codecs: crowd.rates.codecs, timeoutMs: draw.pick([300, 1_500, 30_000]) }
    this.inFlight = draw.pick([1, 3, MOST_IN_FLIGHT, MOST_IN_FLIGHT])
    this.patienceUs = draw.pick([1, 120, 120]) * S
    client.after(0, () => this.tick())
  }

  get busy(): boolean {
    return this.asking !== null || this.lanesInUse().length > 0
  }

  wake(): void {
    // It sends at its own pace.
  }

  died(): void {
    if (this.asking !== null) this.endAsking(this.asking, 'info')
    for (const { queue } of this.lanes.values()) for (const batch of queue) endBatch(this.client, batch, 'info')
    this.lanes.clear()
  }

  private tick(): void {
    const { client } = this
    const { draw, crowd } = client
    if (!crowd.quiet) {
      if (this.identity === null) this.askForId()
      else this.send(this.identity)
    }
    client.after(draw.chance(2) ? crowd.rates.thinkMeanUs * 20 : draw.around(crowd.rates.thinkMeanUs), () =>
      this.tick(),
    )
  }

  // Its id and epoch.

  private askForId(): void {
    const { client } = this
    const connection = this.asking === null ? client.connections.to(client.view.anyAddress()) : null
    if (connection === null) return
    const operation: Operation = {
      client: client.name,
      kind: 'init-producer',
      invokedUs: client.nowUs,
      endedUs: Number.POSITIVE_INFINITY,
      outcome: 'info',
      topic: '',
      partition: -1,
      values: [],
    }
    client.crowd.begun(operation)
    this.asking = operation
    const request = { transactionalId: null, transactionTimeoutMs: 60_000, producerId: -1, producerEpoch: -1 }
    const version = connection.version(InitProducerIdApi)
    connection.ask(InitProducerIdApi, version, request, (response) => this.gotId(operation, response))
  }

  private gotId(operation: Operation, response: InitProducerIdResponse | null): void {
    if (response !== null && response.errorCode === ErrorCode.NONE) {
      const { producerId, producerEpoch: epoch } = response
      this.identity = { producerId, epoch }
      operation.numbered = { producerId, epoch, sequence: 0 }
      return this.endAsking(operation, 'ok')
    }
    if (response !== null) operation.error = response.errorCode
    // Whoever was asked gives none for now: the next try is a little later.
    this.client.after(AGAIN_US, () => this.endAsking(operation, 'info'))
  }

  private endAsking(operation: Operation, outcome: Operation['outcome']): void {
    this.asking = null
    operation.outcome = outcome
    operation.endedUs = this.client.nowUs
    this.client.crowd.ended(operation)
  }

  /** What was given up may come to be in the log yet: the numbers behind it are not used any more. */
  private leaveNumbers(): void {
    const { identity, client } = this
    if (identity === null) return
    const { producerId, epoch } = identity
    this.identity = client.draw.chance(FRESH_ID_PERCENT) ? null : { producerId, epoch: epoch + 1 }
  }

  // New batches.

  private send(identity: Pick<ProducerNumbers, 'producerId' | 'epoch'>): void {
    const destination = drawDestination(this.client)
    if (destination === null) return
    const { connection, partitions } = destination
    const lanes = partitions.map((each) => this.laneOf(each)).filter((lane) => lane.mayTake(this.inFlight))
    const batches = lanes.map((lane) => this.newBatch(lane, identity))
    if (batches.length > 0) this.request(connection, batches)
  }

  private laneOf(view: PartitionView): Lane {
    let lane = this.lanes.get(view)
    if (lane === undefined) this.lanes.set(view, (lane = new Lane(view)))
    return lane
  }

  private newBatch(lane: Lane, identity: Pick<ProducerNumbers, 'producerId' | 'epoch'>): NumberedBatch {
    const { client, style } = this
    const values = drawValues(client, this.nextValue)
    this.nextValue += values.length
    const numbered = lane.number(values.length, identity)
    return lane.add(beginBatch(client, lane.view, values, { ...style, numbered }), client.nowUs + this.patienceUs)
  }

  private lanesInUse(): readonly Lane[] {
    return [...this.lanes.values()].filter(({ queue }) => queue.length > 0)
  }

  // Batches on their way.

  private request(connection: WireConnection, batches: readonly NumberedBatch[]): void {
    const version = produceVersion(connection, this.style)
    for (const batch of batches) {
      const { operation, repeated } = batch
      batch.waiting = false
      batch.inLine = batch.lane.isNext(batch)
      batch.perhaps++
      operation.copies = 1
      operation.connection = repeated ? -1 : connection.id
    }
    connection.ask(ProduceApi, version, produceRequest(batches, this.style), (response) =>
      this.answered(batches, response, version),
    )
  }

  private answered(batches: readonly NumberedBatch[], response: ProduceResponse | null, version: number): void {
    if (response === null) this.client.view.doubt()
    for (const batch of batches) {
      if (response === null) this.again(batch)
      else this.settle(batch, answerTo(batch, response), version)
    }
  }

  private settle(batch: NumberedBatch, answer: Produced, version: number): void {
    const { operation, lane } = batch
    const { errorCode } = answer
    if (errorCode === ErrorCode.NONE) {
      placeValues(batch, answer)
      lane.known = true
      return this.finish(batch, 'ok')
    }
    operation.error = errorCode
    this.mustNotBe(batch, errorCode)
    if (errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER || excludesWrite(errorCode, -1, version)) batch.perhaps--
    if (errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER || isRetriable(errorCode)) {
      this.client.view.doubt()
      this.again(batch)
    } else this.giveUp(batch)
  }

  /** Errors that no broker may answer to a producer that does what this one does. */
  private mustNotBe(batch: NumberedBatch, error: number): void {
    const { operation, lane } = batch
    const place = `${operation.topic}-${operation.partition}`
    if (NEVER.has(error)) throw new Violation('producer-refused', `error ${error} for a producer's batch to ${place}`)
    if (error !== ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER) {
      batch.outOfLine = 0
      return
    }
    if (!batch.inLine || this.mayForget(lane)) return
    if (batch.outOfLine++ === 0) batch.outOfLineSinceUs = this.client.nowUs
    const sinceUs = this.client.nowUs - batch.outOfLineSinceUs
    if (batch.outOfLine >= PATIENCE_TRIES && sinceUs >= PATIENCE_US)
      throw new Violation(
        'producer-refused',
        `${place} takes another sequence for next than ${operation.numbered?.sequence} since ${sinceUs / 1e6} s`,
      )
  }

  /** Where records are deleted a replica that begins anew may never have heard of the producer. */
  private mayForget({ view }: Lane): boolean {
    return this.client.crowd.topics.some(({ name, deleting }) => name === view.topic && deleting)
  }

  /** The same batch once more, with the same numbers, when its turn comes. */
  private again(batch: NumberedBatch): void {
    const { client } = this
    const { lane } = batch
    if (lane.broken || client.nowUs >= batch.untilUs || client.crowd.quiet) return this.giveUp(batch)
    batch.repeated = true
    batch.waiting = true
    client.after(client.draw.between(20_000, 200_000), () => this.retry(lane))
  }

  /** Only the oldest is repeated; the others follow when it is there. */
  private retry(lane: Lane): void {
    const { client } = this
    const [head] = lane.queue
    if (head === undefined || !head.waiting) return
    if (client.crowd.quiet) return this.giveUp(head)
    const connection = client.connectionTo(lane.view.leader)
    if (connection === null) this.again(head)
    else this.request(connection, [head])
  }

  /** What comes after it can not be in the log before it: those behind it end as well, with what is known of them. */
  private giveUp(batch: NumberedBatch): void {
    const { lane } = batch
    if (!lane.broken) this.leaveNumbers()
    lane.broken = true
    const ends = [batch, ...lane.queue.filter((other) => other !== batch && other.waiting)]
    for (const one of ends) this.finish(one, one.perhaps === 0 ? 'fail' : 'info')
  }

  private finish(batch: NumberedBatch, outcome: Operation['outcome']): void {
    const { lane } = batch
    lane.remove(batch)
    endBatch(this.client, batch, outcome)
    if (lane.queue.length > 0 && lane.queue[0]?.waiting === true) this.client.after(0, () => this.retry(lane))
  }
}

const NEVER: ReadonlySet<number> = new Set([
  ErrorCode.INVALID_PRODUCER_EPOCH,
  ErrorCode.DUPLICATE_SEQUENCE_NUMBER,
  ErrorCode.UNKNOWN_PRODUCER_ID,
  ErrorCode.INVALID_TXN_STATE,
  ErrorCode.INVALID_RECORD,
])

/** A leader that does not know yet that it was deposed may lack a batch that its successor acknowledged: for so long at most. */
const PATIENCE_TRIES = 6
const PATIENCE_US = 35_000_000
