import type { InSyncFollower, ReplicaSelector } from '../seams.ts'
import { endpointOf } from './endpoints.ts'
import type { Services } from './services.ts'

const RACK_AWARE = 'org.apache.kafka.common.replica.RackAwareReplicaSelector'

/** The selector of `replica.selector.class` for a consumer that says in which rack it is; null where the leader serves everybody. */
export function selectorFor(services: Services, rack: string): ReplicaSelector | null {
  if (rack === '' || services.settings.broker('replica.selector.class') !== RACK_AWARE) return null
  // The leader stands nearest itself: nobody in its rack is sent away.
  return rack === services.broker.config.rack ? null : new RackSelector(services, rack)
}

/** As Kafka's: the follower in the reader's rack that has most, and of those that have as much the one with the largest id. */
class RackSelector implements ReplicaSelector {
  private readonly services: Services
  private readonly rack: string

  constructor(services: Services, rack: string) {
    this.services = services
    this.rack = rack
  }

  choose(followers: readonly InSyncFollower[]): number {
    let best: InSyncFollower | null = null
    for (const one of followers) {
      if (!this.near(one.brokerId)) continue
      const ahead = best === null ? 1 : one.durableEnd - best.durableEnd || one.brokerId - best.brokerId
      if (ahead > 0) best = one
    }
    return best?.brokerId ?? -1
  }

  private near(brokerId: number): boolean {
    const { broker, listener } = this.services
    const image = broker.image.brokers.get(brokerId)
    if (image === undefined || image.fenced || image.rack !== this.rack) return false
    return endpointOf(image, listener.name) !== null
  }
}
