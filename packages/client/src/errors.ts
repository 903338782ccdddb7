import { ErrorCode, errorName, isRetriable } from '@millrace/base'

/** What a broker answered, or what kept an answer from coming. `code` is Kafka's; `fix` tells what to do about it. */
export class KafkaError extends Error {
  override readonly name = 'KafkaError'
  readonly code: ErrorCode
  /** The name of the code, e.g. `UNKNOWN_TOPIC_OR_PARTITION`. */
  readonly codeName: string
  readonly retriable: boolean
  readonly fix: string | null

  constructor(code: ErrorCode, what: string, detail: string | null = null) {
    super(`${what}: ${detail ?? explanation(code)}`)
    this.code = code
    this.codeName = errorName(code)
    this.retriable = isRetriable(code)
    this.fix = FIXES[code] ?? null
  }
}

/** No broker could be reached, or a connection broke: the request may or may not have been carried out. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  readonly retriable = true
}

/** A request was not answered in time. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError'
  readonly retriable = true
}

/** The other side sent bytes that are not the protocol; the connection is closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly retriable = false
}

/** Whether another try may succeed. */
export function mayRetry(error: unknown): boolean {
  return error instanceof Error && (error as { retriable?: boolean }).retriable === true
}

function explanation(code: ErrorCode): string {
  return errorName(code).toLowerCase().replaceAll('_', ' ')
}

const FIXES: Readonly<Partial<Record<number, string>>> = {
  [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]: 'Create the topic first: millrace topic create NAME.',
  [ErrorCode.TOPIC_ALREADY_EXISTS]: 'Choose another name, or delete the topic first.',
  [ErrorCode.INVALID_REPLICATION_FACTOR]: 'Ask for no more replicas than there are brokers.',
  [ErrorCode.NOT_ENOUGH_REPLICAS]:
    'Fewer replicas are in sync than min.insync.replicas asks for: start the missing brokers.',
  [ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND]:
    'The record was written but not confirmed: start the missing brokers, then send it again.',
  [ErrorCode.MESSAGE_TOO_LARGE]: 'Raise max.message.bytes of the topic, or send smaller records.',
  [ErrorCode.OFFSET_OUT_OF_RANGE]: 'Those records are gone or not there yet: read from "earliest" or "latest".',
  [ErrorCode.INVALID_TOPIC_EXCEPTION]: 'Topic names have 1 to 249 of the characters a-z, A-Z, 0-9, ".", "_" and "-".',
}
