import type { Uuid } from '@millrace/base'

/** Which partitions have a replica on which broker, and how many of them name it first. */
export class ReplicaIndex {
  private readonly byBroker = new Map<number, Map<Uuid, Set<number>>>()
  private readonly replicaCounts = new Map<number, number>()
  private readonly preferredCounts = new Map<number, number>()

  add(topicId: Uuid, partition: number, replicas: readonly number[]): void {
    for (const broker of replicas) {
      const topics = getOrMake(this.byBroker, broker, () => new Map<Uuid, Set<number>>())
      getOrMake(topics, topicId, () => new Set<number>()).add(partition)
      count(this.replicaCounts, broker, 1)
    }
    if (replicas.length > 0) count(this.preferredCounts, replicas[0] as number, 1)
  }

  remove(topicId: Uuid, partition: number, replicas: readonly number[]): void {
    for (const broker of replicas) {
      const topics = this.byBroker.get(broker)
      const partitions = topics?.get(topicId)
      if (topics === undefined || partitions === undefined || !partitions.delete(partition)) continue
      if (partitions.size === 0) topics.delete(topicId)
      if (topics.size === 0) this.byBroker.delete(broker)
      count(this.replicaCounts, broker, -1)
    }
    if (replicas.length > 0) count(this.preferredCounts, replicas[0] as number, -1)
  }

  topicsOf(broker: number): ReadonlyMap<Uuid, ReadonlySet<number>> {
    return this.byBroker.get(broker) ?? NONE
  }

  replicasOn(broker: number): number {
    return this.replicaCounts.get(broker) ?? 0
  }

  /** Partitions whose first replica is this broker: where leaderships return to. */
  preferredOn(broker: number): number {
    return this.preferredCounts.get(broker) ?? 0
  }

  clone(): ReplicaIndex {
    const copy = new ReplicaIndex()
    for (const [broker, topics] of this.byBroker)
      copy.byBroker.set(broker, new Map([...topics].map(([topic, partitions]) => [topic, new Set(partitions)])))
    for (const [broker, replicas] of this.replicaCounts) copy.replicaCounts.set(broker, replicas)
    for (const [broker, preferred] of this.preferredCounts) copy.preferredCounts.set(broker, preferred)
    return copy
  }
}

const NONE: ReadonlyMap<Uuid, ReadonlySet<number>> = new Map()

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}

function count(counts: Map<number, number>, broker: number, by: number): void {
  const next = (counts.get(broker) ?? 0) + by
  if (next === 0) counts.delete(broker)
  else counts.set(broker, next)
}
