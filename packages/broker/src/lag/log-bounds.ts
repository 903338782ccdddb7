import type { Uuid } from '@millrace/base'
import type { BrokerReplica } from '../replica.ts'

/** Where the log of a partition begins and ends for consumers. */
export interface LogBounds {
  readonly logStart: number
  readonly highWatermark: number
}

/** The replicas of this broker that are in service. */
export interface LocalReplicas {
  local(topicId: Uuid, partition: number): BrokerReplica | null
}

/** As the leader has it; null where it is not the leader, or does not know yet what is committed. */
export function boundsOfLeader(replica: BrokerReplica | null): LogBounds | null {
  return replica?.machine.role === 'leader' && replica.machine.latestKnown ? boundsOf(replica) : null
}

/** As an in-sync follower has it: at rest the same, and never far behind, or it would not be in sync. */
export function boundsOfFollower(replica: BrokerReplica | null, brokerId: number): LogBounds | null {
  if (replica?.machine.role !== 'follower') return null
  return replica.image.leader !== -1 && replica.image.isr.includes(brokerId) ? boundsOf(replica) : null
}

function boundsOf({ machine }: BrokerReplica): LogBounds {
  return { logStart: machine.logStart, highWatermark: machine.highWatermark }
}
