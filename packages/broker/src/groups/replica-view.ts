import type { ErrorCode, Uuid } from '@millrace/base'
import type { PartitionLog } from '@millrace/storage'
import type { AppendAnswer } from '../seams.ts'

/** What a coordinator needs of the replica that holds its records. */
export interface CoordinatedReplica {
  readonly topicId: Uuid
  readonly topic: string
  readonly partition: number
  readonly log: Pick<PartitionLog, 'logStart' | 'endOffset' | 'read'>
  readonly machine: {
    readonly role: 'leader' | 'follower' | 'none'
    readonly leaderEpoch: number
    readonly highWatermark: number
  }
  readonly settings: { readonly config: { readonly maxMessageBytes: number } }
  /** No longer served: why, or NONE. */
  readonly outOfService: ErrorCode
  /** Why an append would be refused now, or NONE. */
  appendRefusal(acks: 0 | 1 | -1): ErrorCode
  append(batch: Uint8Array, acks: 0 | 1 | -1, answer: AppendAnswer): void
  watch(moved: () => void): () => void
}
