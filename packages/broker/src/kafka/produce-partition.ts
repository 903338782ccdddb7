import { ErrorCode } from '@millrace/base'
import type { ProduceResponse } from '@millrace/protocol'
import type { RecordError } from '@millrace/records'
import type { Replica } from '../seams.ts'

export type ProduceAnswer = ProduceResponse['responses'][number]['partitionResponses'][number]

export const NO_LEADER: ProduceAnswer['currentLeader'] = Object.freeze({ leaderId: -1, leaderEpoch: -1 })
const NO_RECORD_ERRORS: ProduceAnswer['recordErrors'] = Object.freeze([])

/** One partition of a produce request: what came, what of it is appended, and the answer once there is one. */
export class ProducePartition {
  readonly topic: string
  readonly index: number
  /** What came; null once it is appended or refused. */
  records: Uint8Array | null
  replica: Replica | null = null
  /** The batch that passed the checks, mostly a view of `records`. */
  batch: Uint8Array | null = null
  answered = false
  error: ErrorCode = ErrorCode.NONE
  baseOffset = -1
  logStart = -1
  logAppendTimeMs = -1
  currentLeader = NO_LEADER
  private message: string | null = null
  private recordErrors: readonly RecordError[] | null = null

  constructor(topic: string, index: number, records: Uint8Array | null) {
    this.topic = topic
    this.index = index
    this.records = records
  }

  /** Lets go of the request's bytes, and of the replica. */
  release(): void {
    this.records = null
    this.batch = null
    this.replica = null
  }

  refuse(error: ErrorCode, message: string | null = null, recordErrors: readonly RecordError[] | null = null): void {
    this.error = error
    this.message = message
    this.recordErrors = recordErrors
    this.baseOffset = -1
    this.logAppendTimeMs = -1
  }

  answer(): ProduceAnswer {
    return {
      index: this.index,
      errorCode: this.error,
      baseOffset: this.baseOffset,
      logAppendTimeMs: this.logAppendTimeMs,
      logStartOffset: this.logStart,
      recordErrors:
        this.recordErrors === null
          ? NO_RECORD_ERRORS
          : this.recordErrors.map(({ index, message }) => ({ batchIndex: index, batchIndexErrorMessage: message })),
      errorMessage: this.message,
      currentLeader: this.currentLeader,
    }
  }
}
