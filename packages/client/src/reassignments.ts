import type { ListPartitionReassignmentsResponse } from '@millrace/protocol'

/** Where one partition is to move: to these brokers, the first of which shall lead; null takes back a move that is under way. */
export interface PartitionMove {
  readonly partition: number
  readonly replicas: readonly number[] | null
}

/** A move that is under way. */
export interface Reassignment {
  readonly topic: string
  readonly partition: number
  /** All that have or get a copy: those to stay, then those to go. */
  readonly replicas: readonly number[]
  readonly adding: readonly number[]
  readonly removing: readonly number[]
}

/** What the controller lists, sorted by topic and partition. */
export function reassignmentsOf({ topics }: ListPartitionReassignmentsResponse): readonly Reassignment[] {
  const all = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex, replicas, addingReplicas, removingReplicas }): Reassignment => ({
      topic: name,
      partition: partitionIndex,
      replicas,
      adding: addingReplicas,
      removing: removingReplicas,
    })),
  )
  return all.toSorted((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
}
