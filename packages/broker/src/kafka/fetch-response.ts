import type { ErrorCode, Uuid } from '@millrace/base'
import { FetchApi } from '@millrace/protocol'
import { uuid, Writer } from '@millrace/schema'
import type { EpochEnd } from '@millrace/storage'
import type { ClientEndpoint } from './endpoints.ts'

/** One partition of the answer to a fetch. */
export interface FetchedPartition {
  readonly index: number
  readonly error: ErrorCode
  /** These three are -1 when there is an error. */
  readonly highWatermark: number
  readonly lastStableOffset: number
  readonly logStart: number
  /** Where the reader's log and this one part; null when they do not, or nobody asked. */
  readonly diverging: EpochEnd | null
  /** The in-sync replica to read from instead; -1: none. */
  readonly preferredReplica: number
  /** Whole batches, sent as they are. */
  readonly parts: readonly Uint8Array[]
  readonly bytes: number
}

export interface FetchedTopic {
  /** The name travels up to version 12, the id from 13 on. */
  readonly name: string
  readonly id: Uuid
  readonly partitions: readonly FetchedPartition[]
}

/** Where the leader of a partition is that was asked of the wrong broker. */
export interface NewLeader {
  readonly leaderId: number
  readonly leaderEpoch: number
}

export interface FetchAnswer {
  readonly version: number
  readonly correlationId: number
  readonly error: ErrorCode
  /** 0: none. */
  readonly sessionId: number
  readonly readCommitted: boolean
  readonly topics: readonly FetchedTopic[]
  /** The leaders of partitions that are led elsewhere, where the answer tells them, and where those brokers are. */
  readonly leaders: ReadonlyMap<FetchedPartition, NewLeader>
  readonly endpoints: readonly ClientEndpoint[]
}

/** The first version that names topics by id (KIP-516). */
export const IDS_SINCE = 13
/** The first version that says where the leader went (KIP-951). */
export const NAMES_LEADER_SINCE = 16
const FLEXIBLE_SINCE = FetchApi.flexible ?? 0
const uuidCodec = uuid.bind({ version: 0, flexible: true, tagged: false })

/**
 * A Fetch response frame as parts, written field by field because the record bytes of a partition are many slices of the log and go
 * into the one write as they are. Held against the declaration of the message by a test. Nothing is aborted.
 */
export function encodeFetchAnswer(answer: FetchAnswer): Uint8Array[] {
  const { version } = answer
  const flexible = version >= FLEXIBLE_SINCE
  const writer = new Writer()
  writer.int32(0)
  writer.int32(answer.correlationId)
  if (flexible) writer.uint8(0)
  writer.int32(0)
  if (version >= 7) {
    writer.int16(answer.error)
    writer.int32(answer.sessionId)
  }
  writeCount(writer, answer.topics.length, flexible)
  for (const topic of answer.topics) {
    if (version >= IDS_SINCE) uuidCodec.write(writer, topic.id)
    else writer.text(topic.name, flexible)
    writeCount(writer, topic.partitions.length, flexible)
    for (const partition of topic.partitions) writePartition(writer, partition, answer, flexible)
    if (flexible) writer.uint8(0)
  }
  if (flexible) writeEndpoints(writer, answer.endpoints)
  return framed(writer)
}

function writePartition(writer: Writer, partition: FetchedPartition, answer: FetchAnswer, flexible: boolean): void {
  const { version } = answer
  writer.int32(partition.index)
  writer.int16(partition.error)
  writer.int64(partition.highWatermark)
  writer.int64(partition.lastStableOffset)
  if (version >= 5) writer.int64(partition.logStart)
  // Aborted transactions: null says that nobody asked, none that there are none.
  if (answer.readCommitted) writeCount(writer, 0, flexible)
  else if (flexible) writer.uvarint(0)
  else writer.int32(-1)
  if (version >= 11) writer.int32(partition.preferredReplica)
  writeCount(writer, partition.bytes, flexible)
  for (const part of partition.parts) writer.append(part)
  if (flexible) writePartitionTags(writer, partition.diverging, answer.leaders.get(partition) ?? null)
}

function writePartitionTags(writer: Writer, diverging: EpochEnd | null, leader: NewLeader | null): void {
  writer.uvarint((diverging === null ? 0 : 1) + (leader === null ? 0 : 1))
  if (diverging !== null) {
    writer.uvarint(0)
    const mark = writer.beginSized()
    writer.int32(diverging.epoch)
    writer.int64(diverging.endOffset)
    writer.uint8(0)
    writer.endSized(mark)
  }
  if (leader === null) return
  writer.uvarint(1)
  const mark = writer.beginSized()
  writer.int32(leader.leaderId)
  writer.int32(leader.leaderEpoch)
  writer.uint8(0)
  writer.endSized(mark)
}

function writeEndpoints(writer: Writer, endpoints: readonly ClientEndpoint[]): void {
  if (endpoints.length === 0) {
    writer.uint8(0)
    return
  }
  writer.uvarint(1)
  writer.uvarint(0)
  const mark = writer.beginSized()
  writeCount(writer, endpoints.length, true)
  for (const { nodeId, host, port, rack } of endpoints) {
    writer.int32(nodeId)
    writer.text(host, true)
    writer.int32(port)
    if (rack === null) writer.uvarint(0)
    else writer.text(rack, true)
    writer.uint8(0)
  }
  writer.endSized(mark)
}

function writeCount(writer: Writer, count: number, flexible: boolean): void {
  if (flexible) writer.uvarint(count + 1)
  else writer.int32(count)
}

function framed(writer: Writer): Uint8Array[] {
  const length = writer.size - 4
  const parts = writer.parts()
  const first = parts[0] as Uint8Array
  new DataView(first.buffer, first.byteOffset).setInt32(0, length)
  return parts
}
