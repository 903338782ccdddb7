import { ErrorCode } from '@millrace/base'
import { KafkaError } from './errors.ts'

/** What a key, a value or a header may be given as. Text is sent as UTF-8. */
export type Data = string | Uint8Array

/** One header of a record; a key may come several times. */
export interface RecordHeader {
  readonly key: string
  readonly value: Uint8Array | null
}

/** The headers of a record to be produced: by name, or as a list where a name comes several times. */
export type ProducerHeaders =
  | Readonly<Record<string, Data | null>>
  | readonly { readonly key: string; readonly value: Data | null }[]

/** A record to be produced. A null value is a tombstone on a compacted topic. Its bytes are copied when it is accepted. */
export interface ProducerRecord {
  readonly topic: string
  readonly key?: Data | null
  readonly value: Data | null
  readonly headers?: ProducerHeaders
  /** Chosen by the key where it is left out, and spread by batches where there is no key. */
  readonly partition?: number
  /** Milliseconds since 1970; now where it is left out. */
  readonly timestamp?: number
}

/** Where a record ended up. */
export interface SentRecord {
  readonly topic: string
  readonly partition: number
  /** -1 with acks 0. */
  readonly offset: number
  /** The record's own, or the time at which the broker appended it where the topic asks for that. */
  readonly timestamp: number
}

/** A record that was read. Bytes are views of what was fetched: copy what is kept for long. */
export interface ConsumedRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
}

/** More than any broker takes by default in one request; such a record would only break connections. */
const MAX_RECORD_BYTES = 100 * 1024 * 1024

/** Throws `TypeError` for what is no record, and `KafkaError` for what no broker takes. */
export function checkRecord(record: ProducerRecord): void {
  if (typeof record.topic !== 'string' || record.topic === '')
    throw new TypeError(`a record needs the name of a topic, not ${describe(record.topic)}`)
  checkData('key', record.key ?? null)
  checkData('value', record.value)
  if (record.headers !== undefined) checkHeaders(record.headers)
  const { timestamp, key, value } = record
  if (timestamp !== undefined && !(Number.isSafeInteger(timestamp) && timestamp >= 0))
    throw new KafkaError(ErrorCode.INVALID_TIMESTAMP, `record for topic ${record.topic}`, `${timestamp} is not a time`)
  if ((key?.length ?? 0) + (value?.length ?? 0) > MAX_RECORD_BYTES)
    throw new KafkaError(
      ErrorCode.MESSAGE_TOO_LARGE,
      `record for topic ${record.topic}`,
      `it is larger than ${MAX_RECORD_BYTES} bytes`,
    )
}

function checkHeaders(headers: ProducerHeaders): void {
  for (const [key, value] of headerEntries(headers)) {
    if (typeof key !== 'string') throw new TypeError(`the key of a header is text, not ${describe(key)}`)
    checkData(`header ${key}`, value)
  }
}

function checkData(what: string, data: Data | null): void {
  if (typeof data !== 'string' && data !== null && !(data instanceof Uint8Array))
    throw new TypeError(`the ${what} of a record is text, bytes or null, not ${describe(data)}`)
}

function describe(value: unknown): string {
  return value === null ? 'null' : `a value of type ${typeof value}`
}

/** Names and values of headers in either form, in order. */
export function headerEntries(headers: ProducerHeaders): readonly (readonly [string, Data | null])[] {
  if (!Array.isArray(headers)) return Object.entries(headers)
  return (headers as readonly RecordHeader[]).map(({ key, value }) => [key, value])
}
