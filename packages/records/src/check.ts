// The checks of a client's append, cheap ones first, with the codes and the leniencies of Kafka's brokers where those are sound.
import { type Codec, ErrorCode, errorName } from '@millrace/base'
import { wholeBatchBytes } from './batches.ts'
import { InvalidBatch } from './errors.ts'
import * as header from './header.ts'
import { RecordReader } from './record-reader.ts'

/** What the topic and the request allow. Milliseconds and bytes; `LONG_MAX` or `Infinity` where there is no limit. */
export interface ProduceRules {
  readonly maxMessageBytes: number
  readonly segmentBytes: number
  /** `cleanup.policy` contains compact: every record needs a key. */
  readonly compacted: boolean
  readonly timestampType: 'CreateTime' | 'LogAppendTime'
  readonly timestampBeforeMaxMs: number
  readonly timestampAfterMaxMs: number
  /** Whether the request's version is one that may carry zstd (Produce 7 and later). */
  readonly zstdAllowed: boolean
}

/** What is wrong with one record of a batch; `index` is its place in the batch. */
export interface RecordError {
  readonly index: number
  readonly message: string
}

/** The outcome of checking a client's batch before it is appended. */
export type BatchVerdict =
  | { readonly error: typeof ErrorCode.NONE }
  | { readonly error: ErrorCode; readonly message: string; readonly recordErrors?: readonly RecordError[] }

/** What a look into the records found; `maxTimestamp` is the truth that the header should tell. */
export type RecordsVerdict =
  | { readonly error: typeof ErrorCode.NONE; readonly maxTimestamp: number }
  | { readonly error: ErrorCode; readonly message: string; readonly recordErrors?: readonly RecordError[] }

const ACCEPTED: BatchVerdict = Object.freeze({ error: ErrorCode.NONE })
/** An answer names at most so many records. */
const MAX_RECORD_ERRORS = 100
const NO_TIMESTAMP = -1

/**
 * Checks everything that needs no look into the records: exactly one whole batch of the one format, its size, CRC, counts,
 * attributes, producer fields and header timestamps. `records` are the bytes of one partition in a produce request; after
 * NONE the batch is `records.subarray(0, batchBytes(records, 0))`, and bytes after it are to be dropped. Never throws.
 */
export function checkProducedBatch(records: Uint8Array | null, rules: ProduceRules, nowMs: number): BatchVerdict {
  return (
    checkShape(records ?? new Uint8Array(0), rules) ??
    checkHeader(records as Uint8Array, rules) ??
    checkProducer(records as Uint8Array) ??
    checkHeaderTimestamps(records as Uint8Array, rules, nowMs) ??
    ACCEPTED
  )
}

function checkShape(records: Uint8Array, rules: ProduceRules): BatchVerdict | null {
  if (records.length < 17) return invalid('a partition of a produce request holds no record batch')
  const magic = header.magic(records, 0)
  if (magic === 0 || magic === 1) return invalid(`message format ${magic} is not supported, only 2`)
  if (magic !== header.MAGIC) return refuse(ErrorCode.CORRUPT_MESSAGE, `message format ${magic} does not exist`)
  const size = header.batchBytes(records, 0)
  if (size < header.BATCH_HEADER_BYTES) return invalid(`a batch of ${size} bytes has no room for its header`)
  if (size > rules.maxMessageBytes)
    return refuse(
      ErrorCode.MESSAGE_TOO_LARGE,
      `the batch has ${size} bytes, max.message.bytes of the topic is ${rules.maxMessageBytes}`,
    )
  if (size > rules.segmentBytes)
    return refuse(
      ErrorCode.RECORD_LIST_TOO_LARGE,
      `the batch has ${size} bytes, segment.bytes of the topic is ${rules.segmentBytes}`,
    )
  if (size > records.length) return invalid(`the batch claims ${size} bytes where ${records.length} were sent`)
  if (wholeBatchBytes(records, size) > 0) return invalid('a partition of a produce request holds more than one batch')
  return header.crcMatches(records, 0)
    ? null
    : refuse(ErrorCode.CORRUPT_MESSAGE, "the batch's CRC does not match its bytes")
}

function checkHeader(records: Uint8Array, rules: ProduceRules): BatchVerdict | null {
  if (header.baseOffset(records, 0) !== 0) return invalid("a producer's batch begins at offset 0")
  const count = header.recordCount(records, 0)
  if (count <= 0) return invalid(`a batch of ${count} records`)
  if (header.lastOffsetDelta(records, 0) + 1 !== count)
    return invalid(`${count} records do not end at offset delta ${header.lastOffsetDelta(records, 0)}`)
  if (header.isControl(records, 0)) return invalid('clients write no control batches')
  const codec: Codec | null = header.codec(records, 0)
  if (codec === null) return invalid('the batch names a codec that does not exist')
  if (codec === 'zstd' && !rules.zstdAllowed)
    return refuse(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, 'zstd needs version 7 or later of the produce request')
  return null
}

function checkProducer(records: Uint8Array): BatchVerdict | null {
  const id = header.producerId(records, 0)
  if (id < header.NONE || !Number.isSafeInteger(id)) return invalid(`${id} is not a producer id`)
  const transactional = header.isTransactional(records, 0)
  if (id === header.NONE) return transactional ? invalid('a transactional batch has no producer id') : null
  if (header.baseSequence(records, 0) < 0) return invalid('a batch with a producer id has no sequence')
  return header.producerEpoch(records, 0) < 0 ? invalid('a batch with a producer id has no producer epoch') : null
}

function checkHeaderTimestamps(records: Uint8Array, rules: ProduceRules, nowMs: number): BatchVerdict | null {
  if (header.isLogAppendTime(records, 0) && rules.timestampType === 'LogAppendTime')
    return refuse(ErrorCode.INVALID_TIMESTAMP, 'a producer does not set the timestamp type to log-append time')
  const base = header.baseTimestamp(records, 0)
  const max = header.maxTimestamp(records, 0)
  if (!isTimestamp(base) || !isTimestamp(max))
    return refuse(ErrorCode.INVALID_TIMESTAMP, `${isTimestamp(base) ? max : base} is not a timestamp`)
  if (header.isLogAppendTime(records, 0) && base === NO_TIMESTAMP)
    return refuse(ErrorCode.INVALID_TIMESTAMP, 'a batch that claims log-append time has no timestamp')
  if (rules.timestampType === 'LogAppendTime') return null
  const problem = timestampProblem(base, rules, nowMs) ?? timestampProblem(max, rules, nowMs)
  return problem === null ? null : refuse(ErrorCode.INVALID_TIMESTAMP, problem)
}

function isTimestamp(value: number): boolean {
  return value >= NO_TIMESTAMP && Number.isSafeInteger(value)
}

function timestampProblem(timestamp: number, rules: ProduceRules, nowMs: number): string | null {
  if (timestamp === NO_TIMESTAMP) return null
  if (timestamp < nowMs - rules.timestampBeforeMaxMs)
    return `timestamp ${timestamp} is more than message.timestamp.before.max.ms=${rules.timestampBeforeMaxMs} before ${nowMs}`
  if (timestamp > nowMs + rules.timestampAfterMaxMs)
    return `timestamp ${timestamp} is more than message.timestamp.after.max.ms=${rules.timestampAfterMaxMs} after ${nowMs}`
  return null
}

/**
 * Looks into the records of a batch that `checkProducedBatch` accepted: their count and offset deltas, keys on compacted
 * topics, timestamps. `section` is the inflated records section. Never throws.
 */
export function checkProducedRecords(
  batch: Uint8Array,
  section: Uint8Array,
  rules: ProduceRules,
  nowMs: number,
): RecordsVerdict {
  try {
    return walkRecords(new RecordReader(batch, 0, section), rules, nowMs)
  } catch (error) {
    if (error instanceof InvalidBatch) return { error: error.code, message: error.message }
    throw error
  }
}

function walkRecords(reader: RecordReader, rules: ProduceRules, nowMs: number): RecordsVerdict {
  const problems = new RecordProblems()
  let maxTimestamp = NO_TIMESTAMP
  for (let index = 0; reader.next(); index++) {
    if (reader.offsetDelta !== index)
      return { error: ErrorCode.INVALID_RECORD, message: `record ${index} has offset delta ${reader.offsetDelta}` }
    if (rules.compacted && !reader.hasKey)
      problems.add(ErrorCode.INVALID_RECORD, index, 'a record without a key on a compacted topic')
    const problem = isTimestamp(reader.timestamp)
      ? rules.timestampType === 'CreateTime' && timestampProblem(reader.timestamp, rules, nowMs)
      : `${reader.timestamp} is not a timestamp`
    if (typeof problem === 'string') problems.add(ErrorCode.INVALID_TIMESTAMP, index, problem)
    maxTimestamp = Math.max(maxTimestamp, reader.timestamp)
  }
  return problems.verdict() ?? { error: ErrorCode.NONE, maxTimestamp }
}

/** The records that are wrong for the reason that was found first: an answer has one code. */
class RecordProblems {
  private error: ErrorCode = ErrorCode.NONE
  private readonly found: RecordError[] = []

  add(error: ErrorCode, index: number, message: string): void {
    if (this.error === ErrorCode.NONE) this.error = error
    if (error === this.error && this.found.length < MAX_RECORD_ERRORS) this.found.push({ index, message })
  }

  verdict(): RecordsVerdict | null {
    const first = this.found[0]
    if (first === undefined) return null
    return {
      error: this.error,
      message: `${errorName(this.error)}: record ${first.index}: ${first.message}`,
      recordErrors: this.found,
    }
  }
}

function invalid(message: string): BatchVerdict {
  return refuse(ErrorCode.INVALID_RECORD, message)
}

function refuse(error: ErrorCode, message: string): BatchVerdict {
  return { error, message }
}
