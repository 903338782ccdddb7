import { ErrorCode } from '@millrace/base'
import type { FetchResponse } from '@millrace/protocol'

export type Answered = FetchResponse['responses'][number]['partitions'][number]

/** The answer about one empty partition, but for what is told. */
export function answered(partitionIndex: number, told: Partial<Answered> = {}): Answered {
  return {
    partitionIndex,
    errorCode: ErrorCode.NONE,
    highWatermark: 0,
    lastStableOffset: 0,
    logStartOffset: 0,
    divergingEpoch: { epoch: -1, endOffset: -1 },
    currentLeader: { leaderId: -1, leaderEpoch: -1 },
    snapshotId: { endOffset: -1, epoch: -1 },
    abortedTransactions: null,
    preferredReadReplica: -1,
    records: null,
    ...told,
  }
}
