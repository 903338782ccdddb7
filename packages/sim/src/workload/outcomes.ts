import { ErrorCode } from '@millrace/base'

/**
 * Answers that say for certain that nothing was appended, whatever acks are: what is wrong with the batch, and too few replicas before the append.
 * UNKNOWN_TOPIC_OR_PARTITION is one of them because no topic is ever deleted here.
 */
const REFUSED: ReadonlySet<number> = new Set([
  ErrorCode.CORRUPT_MESSAGE,
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.MESSAGE_TOO_LARGE,
  ErrorCode.INVALID_TOPIC_EXCEPTION,
  ErrorCode.RECORD_LIST_TOO_LARGE,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.INVALID_REQUIRED_ACKS,
  ErrorCode.INVALID_TIMESTAMP,
  ErrorCode.UNSUPPORTED_VERSION,
  ErrorCode.INVALID_REQUEST,
  ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
  ErrorCode.INVALID_RECORD,
])

/** The first version that has KAFKA_STORAGE_ERROR; before, NOT_LEADER_OR_FOLLOWER stands for it. */
const STORAGE_ERROR_SINCE = 4

/**
 * Whether a produce that was answered so cannot be in the log, now or later. NOT_LEADER_OR_FOLLOWER says so only with acks 1, which is answered as soon as
 * the batch is written: with acks -1 it also ends the wait for replicas of a batch that is in the log. So do 7, 20 and 56.
 */
export function excludesWrite(error: number, acks: 0 | 1 | -1, version: number): boolean {
  if (error === ErrorCode.NOT_LEADER_OR_FOLLOWER) return acks === 1 && version >= STORAGE_ERROR_SINCE
  return REFUSED.has(error)
}

/** Errors that are worth another try, after another look at where the leader is. */
export function isRetriable(error: number): boolean {
  return RETRIABLE.has(error)
}

const RETRIABLE: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.REQUEST_TIMED_OUT,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  ErrorCode.KAFKA_STORAGE_ERROR,
])
