import { type Codec, ErrorCode, type Uuid, ZERO_UUID } from '@millrace/base'
import { ProduceApi, type ProduceRequest, type ProduceResponse } from '@millrace/protocol'
import { type Operation, type ProducerNumbers, Violation } from '../seams.ts'
import type { SimClient } from './client.ts'
import type { PartitionView } from './cluster-view.ts'
import { encodeValues, type NewValue } from './produce-batch.ts'
import type { WireConnection } from './wire.ts'

/** Produce could carry zstd from this version on. */
const ZSTD_SINCE = 7

/** A batch of new values: one operation. */
export interface Batch {
  readonly operation: Operation
  readonly bytes: Uint8Array
}

/** How a producer writes. */
export interface ProduceStyle {
  readonly acks: 0 | 1 | -1
  readonly codecs: readonly Codec[]
  readonly timeoutMs: number
}

/** What a producer is told of one partition. */
export type Produced = ProduceResponse['responses'][number]['partitionResponses'][number]

/** Values that no other producer sends; the first of a producer is number 0. */
export function drawValues({ name, draw, crowd }: SimClient, first: number): readonly NewValue[] {
  const { batchRecords, paddedPercent, paddedBytes } = crowd.rates
  return Array.from({ length: draw.between(1, batchRecords) }, (_, at) => ({
    name: `${name}:${first + at}`,
    padding: draw.chance(paddedPercent) ? draw.between(1, paddedBytes) : 0,
  }))
}

/** Begins to send these values to a partition: the operation is in the history from now on. */
export function beginBatch(
  client: SimClient,
  { topic, partition }: PartitionView,
  values: readonly NewValue[],
  { acks, codecs, numbered }: ProduceStyle & { readonly numbered?: ProducerNumbers },
): Batch {
  const timestampMs = client.nowMs
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
    timestampMs,
    ...(numbered === undefined ? {} : { numbered }),
  }
  client.crowd.begun(operation)
  return { operation, bytes: encodeValues(values, { timestampMs, codec: client.draw.pick(codecs), numbered }) }
}

/** One partition, and sometimes more that the same broker leads, with the connection to it; null while there is none. */
export function drawDestination(
  client: SimClient,
): { readonly connection: WireConnection; readonly partitions: readonly PartitionView[] } | null {
  const { view, draw } = client
  if (view.partitions.length === 0) {
    view.doubt()
    return null
  }
  const first = draw.pick(view.partitions)
  const connection = client.connectionTo(first.leader)
  if (connection === null) {
    view.refresh()
    return null
  }
  const also = draw.chance(20)
    ? view.partitions.filter((other) => other !== first && other.leader === first.leader && draw.chance(50))
    : []
  return { connection, partitions: [first, ...also] }
}

/** The version that a producer with these codecs sends. */
export function produceVersion(connection: WireConnection, { codecs }: ProduceStyle): number {
  return connection.version(ProduceApi, codecs.includes('zstd') ? ZSTD_SINCE : 0)
}

/** One request with all of these batches, each of a partition of its own. */
export function produceRequest(batches: readonly Batch[], { acks, timeoutMs }: ProduceStyle): ProduceRequest {
  const topicData: ProducedTopic[] = []
  for (const { operation, bytes } of batches) {
    let topic = topicData.find(({ name }) => name === operation.topic)
    if (topic === undefined) topicData.push((topic = { name: operation.topic, topicId: ZERO_UUID, partitionData: [] }))
    topic.partitionData.push({ index: operation.partition, records: bytes })
  }
  return { transactionalId: null, acks, timeoutMs, topicData }
}

interface ProducedTopic {
  readonly name: string
  readonly topicId: Uuid
  readonly partitionData: { index: number; records: Uint8Array }[]
}

/** What the response says of this batch. */
export function answerTo({ operation }: Batch, { responses }: ProduceResponse): Produced {
  const { topic, partition } = operation
  const answer = responses
    .find(({ name }) => name === topic)
    ?.partitionResponses.find(({ index }) => index === partition)
  if (answer === undefined) throw new Violation('wire-format', `a produce to ${topic}-${partition} was not answered`)
  return answer
}

/** The values got their offsets. */
export function placeValues({ operation }: Batch, { errorCode, baseOffset }: Produced): void {
  const { topic, partition, values } = operation
  if (errorCode !== ErrorCode.NONE) return
  if (baseOffset < 0)
    throw new Violation('wire-format', `a produce to ${topic}-${partition} went well at offset ${baseOffset}`)
  values.forEach((value, at) => {
    value.offset = baseOffset + at
  })
}

/** Ends the operation of a batch. */
export function endBatch(client: SimClient, { operation }: Batch, outcome: Operation['outcome']): void {
  operation.outcome = outcome
  operation.endedUs = client.nowUs
  client.crowd.ended(operation)
}
