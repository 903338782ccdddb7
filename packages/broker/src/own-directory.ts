import { ErrorCode, type IoError, type Uuid } from '@millrace/base'
import type { LogDirectory, PartitionLog } from '@millrace/storage'

/** A log and where it lies. */
export interface FoundLog {
  readonly directory: OwnDirectory
  readonly log: PartitionLog
}

/** One of this broker's log directories, and whether it can be used. */
export class OwnDirectory {
  readonly logs: LogDirectory
  readonly path: string
  readonly directoryId: Uuid
  /** Set once, when the disk failed: nothing of this directory is served any more. */
  failure: IoError | null = null
  /** Whether its replicas were told that there is no room. */
  full = false
  /** How many replicas live here. */
  replicas = 0
  /** The last stop was clean. */
  clean = false

  constructor(logs: LogDirectory) {
    this.logs = logs
    this.path = logs.path
    this.directoryId = logs.directoryId
  }

  get error(): ErrorCode {
    return this.failure === null ? ErrorCode.NONE : ErrorCode.KAFKA_STORAGE_ERROR
  }
}
