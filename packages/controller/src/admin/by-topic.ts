/** What is told of each partition, gathered by topic in the order in which topics come first. */
export function byTopic<P extends { readonly topic: string }, R>(
  partitions: readonly P[],
  tell: (partition: P) => R,
): readonly (readonly [topic: string, told: readonly R[]])[] {
  const topics = new Map<string, R[]>()
  for (const partition of partitions) {
    const known = topics.get(partition.topic)
    if (known === undefined) topics.set(partition.topic, [tell(partition)])
    else known.push(tell(partition))
  }
  return [...topics]
}
