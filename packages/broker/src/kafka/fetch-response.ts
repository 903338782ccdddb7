import type { ErrorCode } from '@millrace/base'
import { FetchApi } from '@millrace/protocol'
import { Writer } from '@millrace/schema'

/** One partition of the answer to a fetch. */
export interface FetchedPartition {
  readonly index: number
  readonly error: ErrorCode
  /** These three are -1 when there is an error. */
  readonly highWatermark: number
  readonly lastStableOffset: number
  readonly logStart: number
  /** Whole batches, sent as they are. */
  readonly parts: readonly Uint8Array[]
  readonly bytes: number
}

export interface FetchedTopic {
  readonly name: string
  readonly partitions: readonly FetchedPartition[]
}

export interface FetchAnswer {
  readonly version: number
  readonly correlationId: number
  readonly error: ErrorCode
  readonly readCommitted: boolean
  readonly topics: readonly FetchedTopic[]
}

const NO_SESSION = 0
const NO_PREFERRED_REPLICA = -1
const FLEXIBLE_SINCE = FetchApi.flexible ?? 0

/**
 * A Fetch response frame as parts, written field by field because the record bytes of a partition are many slices of the log and go
 * into the one write as they are. Held against the declaration of the message by a test. Sessions are never granted, and nothing is aborted.
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
    writer.int32(NO_SESSION)
  }
  writeCount(writer, answer.topics.length, flexible)
  for (const topic of answer.topics) {
    writer.text(topic.name, flexible)
    writeCount(writer, topic.partitions.length, flexible)
    for (const partition of topic.partitions) writePartition(writer, partition, answer, flexible)
    if (flexible) writer.uint8(0)
  }
  if (flexible) writer.uint8(0)
  return framed(writer)
}

function writePartition(
  writer: Writer,
  partition: FetchedPartition,
  { version, readCommitted }: FetchAnswer,
  flexible: boolean,
): void {
  writer.int32(partition.index)
  writer.int16(partition.error)
  writer.int64(partition.highWatermark)
  writer.int64(partition.lastStableOffset)
  if (version >= 5) writer.int64(partition.logStart)
  // Aborted transactions: null says that nobody asked, none that there are none.
  if (readCommitted) writeCount(writer, 0, flexible)
  else if (flexible) writer.uvarint(0)
  else writer.int32(-1)
  if (version >= 11) writer.int32(NO_PREFERRED_REPLICA)
  writeCount(writer, partition.bytes, flexible)
  for (const part of partition.parts) writer.append(part)
  if (flexible) writer.uint8(0)
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
