import { ErrorCode } from '@millrace/base'
import type { Codec, Done } from '@millrace/base'
import {
  assembleBatch,
  baseSequence,
  baseTimestamp,
  batchBytes,
  checkProducedBatch,
  checkProducedRecords,
  clearLogAppendTime,
  codec,
  compress,
  isLogAppendTime,
  lastOffsetDelta,
  maxTimestamp,
  producerEpoch,
  producerId,
  recordCount,
  recordsSection,
  isTransactional,
  setMaxTimestamp,
} from '@millrace/records'
import type { ProducePartition } from './produce-partition.ts'
import type { Services } from './services.ts'
import type { ParsedTopic } from './topic-settings.ts'

/** What of the request counts for its batches. */
export interface IntakeRequest {
  readonly version: number
  readonly transactionalId: string | null
  readonly nowMs: number
}

/** Zstd came with this version of Produce. */
const ZSTD_SINCE = 7
/** TRANSACTION_ABORTABLE came with this one. */
const ABORTABLE_SINCE = 11

/**
 * Checks what a client wants to append and makes it what the topic stores. Header and CRC always; every record of an uncompressed batch,
 * because walking them costs little (30 ns each); the records of a compressed one only where something depends on them: on compacted
 * topics, where a record without a key would never go away, and on topics with a codec of their own. Inflating costs more than all
 * the rest together, so a compressed batch is otherwise believed about what is inside.
 */
export class BatchIntake {
  private readonly services: Services
  private readonly request: IntakeRequest

  constructor(services: Services, request: IntakeRequest) {
    this.services = services
    this.request = request
  }

  /**
   * Sets the partition's `batch` or refuses it. Returns false when that is done, true when the records are being inflated: then `later` is
   * called with what is left to do.
   */
  take(partition: ProducePartition, later: (finish: () => void) => void): boolean {
    const topic = this.services.settings.topic(partition.topic)
    const rules = this.request.version >= ZSTD_SINCE ? topic.rules : topic.rulesWithoutZstd
    const verdict = checkProducedBatch(partition.records, rules, this.request.nowMs)
    if (verdict.error !== ErrorCode.NONE) {
      partition.refuse(verdict.error, verdict.message)
      return false
    }
    const batch = firstBatch(partition.records as Uint8Array)
    const refusal = this.transactionProblem(batch)
    const used = codec(batch, 0) ?? 'none'
    if (refusal !== ErrorCode.NONE) partition.refuse(refusal)
    else if (used === 'none') this.takeRecords(partition, batch, recordsSection(batch, 0), topic)
    else if (rules.compacted || storedCodec(topic, used) !== used) {
      this.inflate(batch, (error, section) =>
        later(() => {
          if (error === null) this.takeRecords(partition, batch, section, topic)
          else partition.refuse(ErrorCode.INVALID_RECORD, `the records cannot be decompressed: ${error.message}`)
        }),
      )
      return true
    } else accept(partition, batch, topic)
    return false
  }

  /** No transaction is under way here, so no partition is part of one. */
  private transactionProblem(batch: Uint8Array): ErrorCode {
    if (!isTransactional(batch, 0)) return ErrorCode.NONE
    if (this.request.transactionalId === null) return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    return this.request.version >= ABORTABLE_SINCE ? ErrorCode.TRANSACTION_ABORTABLE : ErrorCode.INVALID_TXN_STATE
  }

  private inflate(batch: Uint8Array, done: Done<Uint8Array>): void {
    const { world, config } = this.services.broker
    world.compute.inflate(codec(batch, 0) ?? 'none', recordsSection(batch, 0), config.maxRequestBytes, done)
  }

  private takeRecords(partition: ProducePartition, batch: Uint8Array, section: Uint8Array, topic: ParsedTopic): void {
    const verdict = checkProducedRecords(batch, section, topic.rules, this.request.nowMs)
    if ('message' in verdict) {
      partition.refuse(verdict.error, verdict.message, verdict.recordErrors ?? null)
      return
    }
    // Kafka keeps the records' own time right in the header, because the time index is built from it.
    const newest = verdict.maxTimestamp
    if (topic.rules.timestampType === 'CreateTime' && maxTimestamp(batch, 0) !== newest)
      setMaxTimestamp(batch, 0, newest)
    const used = codec(batch, 0) ?? 'none'
    const stored = storedCodec(topic, used)
    accept(partition, stored === used ? batch : recompressed(batch, section, stored), topic)
  }
}

/** Bytes after the first batch are dropped, as Kafka does. */
function firstBatch(records: Uint8Array): Uint8Array {
  const size = batchBytes(records, 0)
  return size === records.length ? records : records.subarray(0, size)
}

/** The codec in which the topic stores a batch that came in `used`. */
function storedCodec({ config }: ParsedTopic, used: Codec): Codec {
  const { compressionType } = config
  if (compressionType === 'producer') return used
  return compressionType === 'uncompressed' ? 'none' : compressionType
}

function recompressed(batch: Uint8Array, section: Uint8Array, stored: Codec): Uint8Array {
  return assembleBatch(
    {
      section,
      recordCount: recordCount(batch, 0),
      lastOffsetDelta: lastOffsetDelta(batch, 0),
      baseTimestamp: baseTimestamp(batch, 0),
      maxTimestamp: maxTimestamp(batch, 0),
    },
    compress(stored, section),
    {
      codec: stored,
      logAppendTime: isLogAppendTime(batch, 0),
      producerId: producerId(batch, 0),
      producerEpoch: producerEpoch(batch, 0),
      baseSequence: baseSequence(batch, 0),
    },
  )
}

/** The log itself stamps log-append time; here only a producer's claim to it is taken back. */
function accept(partition: ProducePartition, batch: Uint8Array, { config, rules }: ParsedTopic): void {
  if (batch.length > rules.maxMessageBytes) {
    partition.refuse(
      ErrorCode.MESSAGE_TOO_LARGE,
      `the batch has ${batch.length} bytes once stored as compression.type=${config.compressionType}, max.message.bytes is ${rules.maxMessageBytes}`,
    )
    return
  }
  if (rules.timestampType === 'CreateTime' && isLogAppendTime(batch, 0)) clearLogAppendTime(batch, 0)
  partition.batch = batch
}
