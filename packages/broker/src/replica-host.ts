import type { IoError, World } from '@millrace/base'
import type { AlterPartition, PartitionMessage } from '@millrace/replication'
import type { Answers } from './answers.ts'
import type { BrokerCounters } from './metrics.ts'
import type { PartitionLines } from './partition-lines.ts'
import type { BrokerReplica } from './replica.ts'
import type { ReplicaReads } from './replica-reads.ts'

/** What a replica needs of its broker. */
export interface ReplicaHost {
  readonly world: World
  readonly brokerId: number
  readonly answers: Answers
  readonly counters: BrokerCounters
  readonly reads: ReplicaReads
  readonly lines: PartitionLines
  /** The own registration is applied, and this node did not sleep. */
  serving(): boolean
  /** Something is to be written at the end of the turn. */
  staged(replica: BrokerReplica): void
  inbound(replica: BrokerReplica): void
  /** The watermark, the log start or the leadership moved. */
  touched(replica: BrokerReplica): void
  /** The machine may have changed its role or its leader. */
  follows(replica: BrokerReplica): void
  send(replica: BrokerReplica, message: PartitionMessage): void
  alter(replica: BrokerReplica, alter: AlterPartition): void
  quarantine(replica: BrokerReplica, reason: string): void
  /** The disk has no room: the replica asks to leave the ISR until there is. */
  diskFull(replica: BrokerReplica, error: IoError): void
  diskFailed(replica: BrokerReplica, error: IoError): void
  ended(replica: BrokerReplica): void
}
