import type { Uuid } from '@millrace/base'
import type { ClusterImage } from '@millrace/metadata'
import type { PartitionMachine } from '@millrace/replication'
import type { PartitionLog } from '@millrace/storage'
import type { BrokerCounters, BrokerStatus } from './metrics.ts'

/** A replica in service as it is now, for checks: references to live state, never to be changed. */
export interface ReplicaInspection {
  readonly topicId: Uuid
  readonly topic: string
  readonly partition: number
  readonly directory: { readonly directoryId: Uuid }
  readonly log: PartitionLog
  readonly machine: Omit<PartitionMachine, 'step' | 'carried'>
  /** Moves with everything that its machine is told; while it stands still, nothing about the replica has changed. */
  readonly steps: number
}

/** A broker as it is now, for checks: getters over live state, without a copy. */
export interface BrokerInspection {
  readonly phase: BrokerStatus['phase']
  /** -1 before the first registration. */
  readonly brokerEpoch: number
  /** The image holds the own registration. */
  readonly applied: boolean
  readonly image: ClusterImage
  /** `replicaSteps` moves with everything that happens to any replica. */
  readonly counters: Readonly<BrokerCounters>
  /** Those in service; a replica in doubt or being made is not among them. */
  replicas(): Iterable<ReplicaInspection>
}
