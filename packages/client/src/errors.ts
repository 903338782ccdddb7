import { ErrorCode, errorName, isRetriable } from '@millrace/base'
import type { SentRecord } from './records.ts'

/** What a broker answered. `code` is Kafka's; `fix` tells what to do about it. */
export class KafkaError extends Error {
  override readonly name = 'KafkaError'
  readonly code: ErrorCode
  /** The name of the code, e.g. `UNKNOWN_TOPIC_OR_PARTITION`. */
  readonly codeName: string
  /** Whether the same request may succeed later. The client itself has tried again for as long as its timeouts say. */
  readonly retriable: boolean
  /** What the reader can do about it, as a sentence; null where nothing general helps. */
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
  readonly fix: string =
    'Check that the cluster runs, and that this machine reaches the addresses that its brokers advertise.'
}

/** Something was not done in time. `cause` is what the last try failed with, where there was one. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError'
  readonly retriable = true
  readonly fix: string =
    'Check that the cluster is healthy, or allow more time with the timeout that the message names.'
}

/** The other side sent bytes that are not the protocol; the connection is closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly retriable = false
  readonly fix: string =
    'Check that the address is that of a Kafka listener without TLS and SASL, and that its data is whole.'
}

/** The client, producer or consumer was closed before or while it was used. */
export class ClosedError extends Error {
  override readonly name = 'ClosedError'
  readonly retriable = false
  readonly fix: string = 'Close it after its last use, or create another one.'
}

/** Some records of one `sendAll` were not acknowledged. `cause` is the first failure. */
export class SendAllError extends Error {
  override readonly name = 'SendAllError'
  readonly retriable: boolean
  /** One for each record that was given, in their order. */
  readonly outcomes: readonly (SentRecord | Error)[]
  readonly fix: string | null

  constructor(outcomes: readonly (SentRecord | Error)[]) {
    const failures = outcomes.filter((outcome) => outcome instanceof Error)
    const first = failures[0] as Error & { readonly fix?: string | null }
    super(`${failures.length} of ${outcomes.length} records were not written; the first: ${first.message}`, {
      cause: first,
    })
    this.outcomes = outcomes
    this.retriable = failures.every(mayRetry)
    this.fix = first.fix ?? null
  }
}

/** Whether another try may succeed. */
export function mayRetry(error: unknown): boolean {
  return error instanceof Error && (error as { retriable?: boolean }).retriable === true
}

function explanation(code: ErrorCode): string {
  return errorName(code).toLowerCase().replaceAll('_', ' ')
}

const FIXES: Readonly<Partial<Record<number, string>>> = {
  [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]:
    'Create the topic first, or look at its partitions: millrace topic describe NAME.',
  [ErrorCode.TOPIC_ALREADY_EXISTS]: 'Choose another name, or delete the topic first.',
  [ErrorCode.INVALID_PARTITIONS]: 'Ask for at least one partition; their number can only be raised.',
  [ErrorCode.INVALID_REPLICATION_FACTOR]: 'Ask for no more replicas than there are brokers.',
  [ErrorCode.INVALID_CONFIG]: 'Look up the name and the range of the setting: millrace topic describe NAME --json.',
  [ErrorCode.INVALID_TIMESTAMP]:
    'Give milliseconds since 1970 that the topic accepts (message.timestamp.before.max.ms, …after.max.ms).',
  [ErrorCode.INVALID_RECORD]: 'A compacted topic wants a key on every record.',
  [ErrorCode.NOT_ENOUGH_REPLICAS]:
    'Fewer replicas are in sync than min.insync.replicas asks for: start the missing brokers.',
  [ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND]:
    'The record was written but not confirmed: start the missing brokers, then send it again.',
  [ErrorCode.LEADER_NOT_AVAILABLE]: 'No replica can lead now: start the brokers that hold the partition.',
  [ErrorCode.MESSAGE_TOO_LARGE]: 'Raise max.message.bytes of the topic, or send smaller records.',
  [ErrorCode.RECORD_LIST_TOO_LARGE]: 'Raise segment.bytes of the topic, or send smaller records.',
  [ErrorCode.OFFSET_OUT_OF_RANGE]:
    'Those records are gone or not there yet: read from "earliest" or "latest", or set onOutOfRange.',
  [ErrorCode.INVALID_TOPIC_EXCEPTION]: 'Topic names have 1 to 249 of the characters a-z, A-Z, 0-9, ".", "_" and "-".',
  [ErrorCode.GROUP_ID_NOT_FOUND]: 'Look at the names of the groups: millrace group list.',
  [ErrorCode.INVALID_GROUP_ID]: 'A group needs a name that is not empty.',
  [ErrorCode.NON_EMPTY_GROUP]:
    'Stop its consumers first (millrace group describe NAME --members tells who they are), or wait until their sessions end.',
  [ErrorCode.UNKNOWN_MEMBER_ID]:
    'Offsets of a group are set from outside only while it has no members: stop its consumers first, or wait until their sessions end.',
  [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC]: 'Stop the consumers of this group that read the topic first.',
  [ErrorCode.COORDINATOR_NOT_AVAILABLE]:
    'Nobody coordinates the group now: look whether the brokers run and __consumer_offsets has leaders.',
  [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS]: 'The coordinator still reads its groups: try again in a moment.',
  [ErrorCode.GROUP_AUTHORIZATION_FAILED]: 'Ask for the rights on this group.',
  [ErrorCode.UNSUPPORTED_VERSION]: 'Use a broker of Apache Kafka 2.8 or newer, or of the version of this client.',
  [ErrorCode.TOPIC_AUTHORIZATION_FAILED]: 'Ask for the rights on this topic.',
  [ErrorCode.CLUSTER_AUTHORIZATION_FAILED]: 'Ask for the rights on this cluster.',
  [ErrorCode.UNKNOWN_SERVER_ERROR]: 'Look into the log of the broker.',
}
