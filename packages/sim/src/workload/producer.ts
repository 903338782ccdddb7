import { ErrorCode } from '@millrace/base'
import { ProduceApi, type ProduceResponse } from '@millrace/protocol'
import type { Operation } from '../seams.ts'
import type { PartitionView } from './cluster-view.ts'
import type { Role, SimClient } from './client.ts'
import { excludesWrite, isRetriable } from './outcomes.ts'
import {
  answerTo,
  type Batch,
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

const RETRIES = 3

/** A batch on its way. */
interface Sending extends Batch {
  triesLeft: number
  repeated: boolean
}

/**
 * A producer without idempotence: sends batches of values that no other producer sends, as fast as its rate says, so many requests at a time. Whether it
 * repeats a send that it knows nothing of is drawn; if it does the history allows the values twice.
 */
export class Producer implements Role {
  private readonly client: SimClient
  private readonly style: ProduceStyle
  private readonly inFlight: number
  private readonly retries: boolean
  private readonly sending = new Set<Sending>()
  private nextValue = 0

  /** A careful one waits for all replicas whatever is drawn. */
  constructor(client: SimClient, { careful }: { readonly careful: boolean } = { careful: false }) {
    const { draw, crowd } = client
    const { rates } = crowd
    const acks = careful || draw.chance(rates.acksAllPercent) ? -1 : draw.pick([1, 1, 0] as const)
    this.client = client
    this.inFlight = draw.pick([1, 1, 3, 8])
    this.retries = acks !== 0 && draw.chance(rates.retryPercent)
    this.style = { acks, codecs: rates.codecs, timeoutMs: draw.pick([300, 1_500, 30_000]) }
    client.after(0, () => this.tick())
  }

  get busy(): boolean {
    return this.sending.size > 0
  }

  wake(): void {
    // It sends at its own pace.
  }

  died(): void {
    for (const batch of this.sending) endBatch(this.client, batch, 'info')
    this.sending.clear()
  }

  private tick(): void {
    const { client } = this
    const { draw, crowd } = client
    if (!crowd.quiet && this.sending.size < this.inFlight) this.send()
    client.after(draw.chance(2) ? crowd.rates.thinkMeanUs * 20 : draw.around(crowd.rates.thinkMeanUs), () =>
      this.tick(),
    )
  }

  private send(): void {
    const destination = drawDestination(this.client)
    if (destination === null) return
    const { connection, partitions } = destination
    this.request(
      connection,
      partitions.map((partition) => this.newBatch(partition)),
    )
  }

  private newBatch(partition: PartitionView): Sending {
    const { client, style } = this
    const values = drawValues(client, this.nextValue)
    this.nextValue += values.length
    const batch = beginBatch(client, partition, values, style)
    const sending = { ...batch, triesLeft: this.retries ? RETRIES : 0, repeated: false }
    this.sending.add(sending)
    return sending
  }

  private request(connection: WireConnection, batches: readonly Sending[]): void {
    const { style } = this
    const version = produceVersion(connection, style)
    for (const { operation, repeated } of batches) {
      operation.copies = (operation.copies ?? 0) + 1
      operation.connection = repeated ? -1 : connection.id
    }
    const request = produceRequest(batches, style)
    if (style.acks === 0) {
      connection.tell(ProduceApi, version, request)
      for (const batch of batches) this.finish(batch, 'info')
    } else connection.ask(ProduceApi, version, request, (response) => this.answered(batches, response, version))
  }

  private answered(batches: readonly Sending[], response: ProduceResponse | null, version: number): void {
    if (response === null) this.client.view.doubt()
    for (const batch of batches) {
      if (response === null) this.unknown(batch)
      else this.settle(batch, answerTo(batch, response), version)
    }
  }

  private settle(batch: Sending, answer: Produced, version: number): void {
    const { operation } = batch
    const { errorCode } = answer
    if (errorCode === ErrorCode.NONE) {
      placeValues(batch, answer)
      return this.finish(batch, 'ok')
    }
    operation.error = errorCode
    if (excludesWrite(errorCode, this.style.acks, version)) operation.copies = (operation.copies ?? 1) - 1
    if (!isRetriable(errorCode)) return this.finish(batch, operation.copies === 0 ? 'fail' : 'info')
    this.client.view.doubt()
    this.unknown(batch)
  }

  /** Tries again where the producer does that, else ends with what is known. */
  private unknown(batch: Sending): void {
    const { client } = this
    if (batch.triesLeft === 0 || client.crowd.quiet)
      return this.finish(batch, batch.operation.copies === 0 ? 'fail' : 'info')
    batch.triesLeft--
    batch.repeated = true
    client.after(client.draw.between(20_000, 200_000), () => this.retry(batch))
  }

  private retry(batch: Sending): void {
    const { client } = this
    const { topic, partition } = batch.operation
    const connection = client.connectionTo(client.view.find(topic, partition)?.leader ?? -1)
    if (connection === null) this.unknown(batch)
    else this.request(connection, [batch])
  }

  private finish(batch: Sending, outcome: Operation['outcome']): void {
    this.sending.delete(batch)
    endBatch(this.client, batch, outcome)
  }
}
