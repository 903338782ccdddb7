import { parseList, type Properties } from '@millrace/base'

/** Which replicas of a topic may be slowed down while they catch up: `*`, or partition:broker pairs. */
export class ThrottledReplicas {
  /** Null: all of them. */
  private readonly brokers: ReadonlyMap<number, ReadonlySet<number>> | null

  private constructor(brokers: ReadonlyMap<number, ReadonlySet<number>> | null) {
    this.brokers = brokers
  }

  /** Null where there are none, as for nearly every topic. */
  static of(configs: Properties, side: 'leader' | 'follower'): ThrottledReplicas | null {
    const text = configs.get(`${side}.replication.throttled.replicas`)?.trim() ?? ''
    if (text === '*') return new ThrottledReplicas(null)
    const brokers = new Map<number, Set<number>>()
    for (const pair of parseList(text)) {
      const [partition, broker] = pair.split(':').map(Number)
      if (partition === undefined || broker === undefined) continue
      brokers.set(partition, (brokers.get(partition) ?? new Set()).add(broker))
    }
    return brokers.size === 0 ? null : new ThrottledReplicas(brokers)
  }

  has(partition: number, broker: number): boolean {
    return this.brokers === null || this.brokers.get(partition)?.has(broker) === true
  }
}
