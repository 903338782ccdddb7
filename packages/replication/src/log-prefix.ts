import type { OwnLog } from './own-log.ts'

/** Where two logs part, in the terms of the leader's epochs. `epoch` -1: no epoch says it, the offset alone does. */
export interface Divergence {
  readonly epoch: number
  readonly endOffset: number
}

/**
 * Leader's side: whether a log that ends with (endOffset, lastEpoch) is a prefix of the own one; null when it is. Two logs that hold
 * a record of the same epoch at the same place agree below it, because an epoch has one writer (KIP-101). The leader names its
 * largest epoch at or below the follower's and where it ends, so each round walks back at least one epoch (KIP-279).
 */
export function divergence(log: OwnLog, endOffset: number, lastEpoch: number): Divergence | null {
  // The follower lacks what is deleted here: it begins anew at the log start.
  if (endOffset < log.logStart) return { epoch: -1, endOffset: log.logStart }
  // Nothing of the follower's log lies at or above the log start: nothing can disagree.
  if (endOffset === log.logStart) return null
  // An empty log can not disagree, but one that is ahead of the leader has to begin anew.
  if (lastEpoch === -1) return endOffset <= log.endOffset ? null : { epoch: -1, endOffset: log.logStart }
  const own = log.history.epochEnd(lastEpoch)
  if (own === null || own.endOffset <= log.logStart) return { epoch: -1, endOffset: log.logStart }
  if (own.epoch < lastEpoch || own.endOffset < endOffset) return own
  return null
}

/** Follower's side: where the own log must end before it can agree with the leader's. It may lie outside the own log. */
export function truncationTarget(log: OwnLog, leaders: Divergence): number {
  if (leaders.epoch === -1) return leaders.endOffset
  const own = log.history.epochEnd(leaders.epoch)
  // Every own record is of a later epoch than the leader knows: none of them is the leader's.
  if (own === null) return Math.min(log.logStart, leaders.endOffset)
  return Math.min(Math.max(own.endOffset, log.logStart), leaders.endOffset)
}
