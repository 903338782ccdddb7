import { ErrorCode } from '@millrace/base'
import type { PartitionImage } from '@millrace/metadata'
import type { ClientEndpoint } from './endpoints.ts'

/** Where a partition's leader is, for the clients of one listener. */
export interface LeaderView {
  readonly error: ErrorCode
  /** -1: none that these clients can reach. */
  readonly leaderId: number
}

/** LEADER_NOT_AVAILABLE for a partition without a leader, LISTENER_NOT_FOUND for a leader that these clients cannot reach. */
export function leaderOf(partition: PartitionImage, live: ReadonlyMap<number, ClientEndpoint>): LeaderView {
  if (partition.leader < 0) return { error: ErrorCode.LEADER_NOT_AVAILABLE, leaderId: -1 }
  if (live.has(partition.leader)) return { error: ErrorCode.NONE, leaderId: partition.leader }
  return { error: ErrorCode.LISTENER_NOT_FOUND, leaderId: -1 }
}

/** The replicas whose brokers these clients cannot reach. */
export function offlineReplicas(
  partition: PartitionImage,
  live: ReadonlyMap<number, ClientEndpoint>,
): readonly number[] {
  return partition.replicas.every((id) => live.has(id)) ? NOBODY : partition.replicas.filter((id) => !live.has(id))
}

const NOBODY: readonly number[] = Object.freeze([])
