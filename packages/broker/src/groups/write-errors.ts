import { ErrorCode } from '@millrace/base'

/**
 * What the members of a group are told when their coordinator could not write: what Kafka tells them, so that clients look for the
 * coordinator again, or give up.
 */
export function coordinatorError(error: ErrorCode): ErrorCode {
  switch (error) {
    case ErrorCode.NONE:
      return error
    case ErrorCode.NOT_LEADER_OR_FOLLOWER:
    case ErrorCode.KAFKA_STORAGE_ERROR:
      return ErrorCode.NOT_COORDINATOR
    case ErrorCode.MESSAGE_TOO_LARGE:
    case ErrorCode.RECORD_LIST_TOO_LARGE:
    case ErrorCode.INVALID_FETCH_SIZE:
      return ErrorCode.UNKNOWN_SERVER_ERROR
    default:
      return ErrorCode.COORDINATOR_NOT_AVAILABLE
  }
}
