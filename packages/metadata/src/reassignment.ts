import { type PartitionImage, UNASSIGNED } from './image.ts'

/**
 * Where a partition's replicas are and go to (KIP-455). While it moves, `replicas` are the target, in its order, and after it those to be
 * removed, so the first one is the leader to be. It is there when the whole target is in sync.
 */
export interface Assignment {
  readonly replicas: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
}

/** A reassignment of this partition is under way. */
export function isReassigning({ addingReplicas, removingReplicas }: PartitionImage): boolean {
  return addingReplicas.length > 0 || removingReplicas.length > 0
}

/** Where the partition is to be, or is. */
export function targetOf({ replicas, removingReplicas }: PartitionImage): readonly number[] {
  return without(replicas, removingReplicas)
}

/** Where the partition was before anything began to move; in an order of its own, because Kafka's records do not keep the old one. */
export function originOf({ replicas, addingReplicas }: PartitionImage): readonly number[] {
  return without(replicas, addingReplicas)
}

/** On the way to `target`, from where the partition was: what an earlier reassignment adds and this one does not want is dropped. */
export function towards(partition: PartitionImage, target: readonly number[]): Assignment {
  const origin = originOf(partition)
  const removingReplicas = without(origin, target)
  return { replicas: [...target, ...removingReplicas], addingReplicas: without(target, origin), removingReplicas }
}

/** At rest there. */
export function settled(replicas: readonly number[]): Assignment {
  return { replicas, addingReplicas: [], removingReplicas: [] }
}

/** The partition as it is once it is assigned so; who is not among the replicas has no standing any more. */
export function assigned(partition: PartitionImage, assignment: Assignment): PartitionImage {
  const stays = (broker: number): boolean => assignment.replicas.includes(broker)
  return {
    ...partition,
    ...assignment,
    directories: assignment.replicas.map(
      (broker) => partition.directories[partition.replicas.indexOf(broker)] ?? UNASSIGNED,
    ),
    isr: partition.isr.filter(stays),
    elr: partition.elr.filter(stays),
    lastKnownElr: partition.lastKnownElr.filter(stays),
  }
}

/**
 * How many replicas must be in sync before anything is committed: min.insync.replicas, or all where there are fewer. Replicas that are
 * still being added do not count, or a partition with few replicas would take no writes until its new ones have caught up.
 */
export function neededInSync(partition: PartitionImage, minInsyncReplicas: number): number {
  return Math.max(1, Math.min(minInsyncReplicas, partition.replicas.length - partition.addingReplicas.length))
}

function without(brokers: readonly number[], others: readonly number[]): readonly number[] {
  return others.length === 0 ? brokers : brokers.filter((broker) => !others.includes(broker))
}
