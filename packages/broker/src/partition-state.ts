import { type ClusterImage, neededInSync, type PartitionImage } from '@millrace/metadata'
import type { BrokerState, PartitionState } from '@millrace/replication'

/** What the machine of a replica needs of the committed metadata. */
export function partitionState(image: PartitionImage, minInsyncReplicas: number): PartitionState {
  const { replicas, isr, elr, leader, leaderEpoch, partitionEpoch } = image
  return {
    replicas,
    isr,
    elr,
    leader,
    leaderEpoch,
    partitionEpoch,
    uncleanlyElected: image.leaderRecovery === 'recovering',
    minInsyncReplicas: neededInSync(image, minInsyncReplicas),
  }
}

/** All brokers as leaders see them. One map for all machines, changed in place. */
export class BrokerStates {
  readonly map = new Map<number, BrokerState>()

  follow(image: ClusterImage): void {
    for (const id of this.map.keys()) if (!image.brokers.has(id)) this.map.delete(id)
    for (const [id, { epoch, fenced, shuttingDown }] of image.brokers) {
      const eligible = !fenced && !shuttingDown
      const known = this.map.get(id)
      if (known === undefined || known.epoch !== epoch || known.eligible !== eligible)
        this.map.set(id, { epoch, eligible })
    }
  }
}
