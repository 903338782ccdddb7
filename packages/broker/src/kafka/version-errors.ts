import { ErrorCode } from '@millrace/base'

// A client that does not know a code treats it as fatal, so each version gets the nearest code that it knows.

/** Fetch: version 6 brought KAFKA_STORAGE_ERROR; 11 OFFSET_NOT_AVAILABLE, which clients retry after they have looked for the leader. */
export function fetchError(error: ErrorCode, version: number): ErrorCode {
  if (error === ErrorCode.KAFKA_STORAGE_ERROR && version <= 5) return ErrorCode.NOT_LEADER_OR_FOLLOWER
  if (error === ErrorCode.OFFSET_NOT_AVAILABLE && version <= 10) return ErrorCode.NOT_LEADER_OR_FOLLOWER
  return error
}

/** Produce: version 4 brought KAFKA_STORAGE_ERROR. */
export function produceError(error: ErrorCode, version: number): ErrorCode {
  return error === ErrorCode.KAFKA_STORAGE_ERROR && version <= 3 ? ErrorCode.NOT_LEADER_OR_FOLLOWER : error
}

/** ListOffsets: version 5 brought OFFSET_NOT_AVAILABLE. */
export function listOffsetsError(error: ErrorCode, version: number): ErrorCode {
  return error === ErrorCode.OFFSET_NOT_AVAILABLE && version < 5 ? ErrorCode.LEADER_NOT_AVAILABLE : error
}

/** Metadata: version 6 brought LISTENER_NOT_FOUND. */
export function metadataError(error: ErrorCode, version: number): ErrorCode {
  return error === ErrorCode.LISTENER_NOT_FOUND && version < 6 ? ErrorCode.LEADER_NOT_AVAILABLE : error
}
