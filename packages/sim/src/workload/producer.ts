import { type Codec, ErrorCode, type Uuid, ZERO_UUID } from '@millrace/base'
import { ProduceApi, type ProduceResponse } from '@millrace/protocol'
import { type Operation, Violation } from '../seams.ts'
import type { PartitionView } from './cluster-view.ts'
import type { Role, SimClient } from './client.ts'
import { excludesWrite, isRetriable } from './outcomes.ts'
import { encodeValues, type NewValue } from './produce-batch.ts'
import type { WireConnection } from './wire.ts'

/** Produce could carry zstd from this version on. */
const ZSTD_SINCE = 7
const RETRIES = 3

/** A batch on its way: one operation. */
interface Sending {
  readonly operation: Operation
  readonly bytes: Uint8Array
  triesLeft: number
  repeated: boolean
}

type Answered = ProduceResponse['responses'][number]['partitionResponses'][number]

/**
 * A producer without idempotence: sends batches of values that no other producer sends, as fast as its rate says, so many requests at a time. Whether it
 * repeats a send that it knows nothing of is drawn; if it does the history allows the values twice.
 */
export class Producer implements Role {
  private readonly client: SimClient
  private readonly acks: 0 | 1 | -1
  private readonly inFlight: number
  private readonly retries: boolean
  private readonly codecs: readonly Codec[]
  private readonly timeoutMs: number
  private readonly sending = new Set<Sending>()
  private nextValue = 0

  /** A careful one waits for all replicas whatever is drawn. */
  constructor(client: SimClient, { careful }: { readonly careful: boolean } = { careful: false }) {
    const { draw, crowd } = client
    const { rates } = crowd
    this.client = client
    this.acks = careful || draw.chance(rates.acksAllPercent) ? -1 : draw.pick([1, 1, 0] as const)
    this.inFlight = draw.pick([1, 1, 3, 8])
    this.retries = this.acks !== 0 && draw.chance(rates.retryPercent)
    this.codecs = rates.codecs
    this.timeoutMs = draw.pick([300, 1_500, 30_000])
    client.after(0, () => this.tick())
  }

  get busy(): boolean {
    return this.sending.size > 0
  }

  wake(): void {
    // It sends at its own pace.
  }

  died(): void {
    for (const { operation } of this.sending) this.end(operation, 'info')
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

  /** One batch to a partition, and sometimes one more to others that the same broker leads, in one request. */
  private send(): void {
    const { view, draw, connections } = this.client
    if (view.partitions.length === 0) return view.doubt()
    const first = draw.pick(view.partitions)
    const address = view.addressOf(first.leader)
    const connection = address === null ? null : connections.to(address)
    if (connection === null) return view.refresh()
    const also = draw.chance(20)
      ? view.partitions.filter((other) => other !== first && other.leader === first.leader && draw.chance(50))
      : []
    const batches = [first, ...also].map((partition) => this.newBatch(partition))
    this.request(connection, batches)
  }

  private newBatch({ topic, partition }: PartitionView): Sending {
    const { client, acks } = this
    const { draw, crowd } = client
    const values: NewValue[] = Array.from({ length: draw.between(1, crowd.rates.batchRecords) }, () => ({
      name: `${client.name}:${this.nextValue++}`,
      padding: draw.chance(crowd.rates.paddedPercent) ? draw.between(1, crowd.rates.paddedBytes) : 0,
    }))
    const operation: Operation = {
      client: client.name,
      kind: 'send',
      invokedUs: client.nowUs,
      endedUs: Number.POSITIVE_INFINITY,
      outcome: 'info',
      topic,
      partition,
      values: values.map(({ name }) => ({ value: name, offset: -1 })),
      acks,
      copies: 0,
      timestampMs: client.nowMs,
    }
    crowd.begun(operation)
    const sending = {
      operation,
      bytes: encodeValues(values, client.nowMs, draw.pick(this.codecs)),
      triesLeft: this.retries ? RETRIES : 0,
      repeated: false,
    }
    this.sending.add(sending)
    return sending
  }

  private request(connection: WireConnection, batches: readonly Sending[]): void {
    const version = connection.version(ProduceApi, this.codecs.includes('zstd') ? ZSTD_SINCE : 0)
    for (const { operation, repeated } of batches) {
      operation.copies = (operation.copies ?? 0) + 1
      operation.connection = repeated ? -1 : connection.id
    }
    const request = {
      transactionalId: null,
      acks: this.acks,
      timeoutMs: this.timeoutMs,
      topicData: byTopic(batches),
    }
    if (this.acks === 0) {
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

  private settle(batch: Sending, { errorCode, baseOffset }: Answered, version: number): void {
    const { operation } = batch
    if (errorCode === ErrorCode.NONE) {
      if (baseOffset < 0)
        throw new Violation('wire-format', `a produce to ${place(operation)} went well at offset ${baseOffset}`)
      operation.values.forEach((value, at) => {
        value.offset = baseOffset + at
      })
      return this.finish(batch, 'ok')
    }
    operation.error = errorCode
    if (excludesWrite(errorCode, this.acks, version)) operation.copies = (operation.copies ?? 1) - 1
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
    const { view, connections } = this.client
    const { topic, partition } = batch.operation
    const address = view.addressOf(view.find(topic, partition)?.leader ?? -1)
    const connection = address === null ? null : connections.to(address)
    if (connection === null) this.unknown(batch)
    else this.request(connection, [batch])
  }

  private finish(batch: Sending, outcome: Operation['outcome']): void {
    this.sending.delete(batch)
    this.end(batch.operation, outcome)
  }

  private end(operation: Operation, outcome: Operation['outcome']): void {
    operation.outcome = outcome
    operation.endedUs = this.client.nowUs
    this.client.crowd.ended(operation)
  }
}

interface ProducedTopic {
  readonly name: string
  readonly topicId: Uuid
  readonly partitionData: { index: number; records: Uint8Array }[]
}

function byTopic(batches: readonly Sending[]): ProducedTopic[] {
  const topics: ProducedTopic[] = []
  for (const { operation, bytes } of batches) {
    let topic = topics.find(({ name }) => name === operation.topic)
    if (topic === undefined) topics.push((topic = { name: operation.topic, topicId: ZERO_UUID, partitionData: [] }))
    topic.partitionData.push({ index: operation.partition, records: bytes })
  }
  return topics
}

function answerTo({ operation }: Sending, { responses }: ProduceResponse): Answered {
  const { topic, partition } = operation
  const answer = responses
    .find(({ name }) => name === topic)
    ?.partitionResponses.find(({ index }) => index === partition)
  if (answer === undefined) throw new Violation('wire-format', `a produce to ${place(operation)} was not answered`)
  return answer
}

function place({ topic, partition }: Operation): string {
  return `${topic}-${partition}`
}
