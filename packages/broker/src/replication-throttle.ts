import { type Clock, LONG_MAX, parseWhole } from '@millrace/base'
import type { ClusterImage, PartitionImage } from '@millrace/metadata'
import type { SendSession } from './send-session.ts'
import { ThrottledReplicas } from './throttled-replicas.ts'

export interface ReplicationThrottleHost {
  readonly clock: Clock
  readonly image: ClusterImage
  readonly brokerId: number
}

/** How often a follower's rate is divided anew. */
const SHARES_LAST_US = 1_000_000

interface Share {
  readonly of: number
  readonly untilUs: number
}

/**
 * Slows down what is sent to followers that are not in sync, where the topic names the replica and the broker has a rate (KIP-73): so a
 * partition that moves leaves the others what they need. What in-sync followers get is never slowed down.
 *
 * Both rates are kept here, on the leader's side, because followers do not ask for batches but get them: the leader's own, and the follower's,
 * which committed metadata tells everybody. Leaders that send to one follower have equal parts of its rate.
 */
export class ReplicationThrottle {
  private readonly host: ReplicationThrottleHost
  private readonly own: Bucket
  private readonly followers = new Map<number, { readonly bucket: Bucket; share: Share }>()

  constructor(host: ReplicationThrottleHost) {
    this.host = host
    this.own = new Bucket(host.clock)
  }

  /** How long the session must not be sent anything; 0: not at all. */
  waitUs(session: SendSession): number {
    let waitUs = 0
    for (const bucket of this.bucketsOf(session)) waitUs = Math.max(waitUs, bucket.waitUs())
    return waitUs
  }

  /** Returns whether the bytes counted. */
  sent(session: SendSession, bytes: number): boolean {
    const buckets = this.bucketsOf(session)
    for (const bucket of buckets) bucket.take(bytes)
    return buckets.length > 0
  }

  private bucketsOf({ replica, brokerId: follower }: SendSession): readonly Bucket[] {
    const { throttledLeaders, throttledFollowers } = replica.settings
    if (throttledLeaders === null && throttledFollowers === null) return NONE
    if (replica.machine.isr.includes(follower)) return NONE
    const buckets: Bucket[] = []
    const { brokerId } = this.host
    if (throttledLeaders?.has(replica.partition, brokerId)) {
      this.own.rate = this.rateOf('leader', brokerId)
      buckets.push(this.own)
    }
    if (throttledFollowers?.has(replica.partition, follower)) buckets.push(this.followerBucket(follower))
    return buckets
  }

  private followerBucket(follower: number): Bucket {
    const nowUs = this.host.clock.monotonicUs()
    let known = this.followers.get(follower)
    if (known === undefined || known.share.untilUs <= nowUs) {
      const share = { of: Math.max(1, this.leadersOf(follower)), untilUs: nowUs + SHARES_LAST_US }
      if (known === undefined) this.followers.set(follower, (known = { bucket: new Bucket(this.host.clock), share }))
      else known.share = share
    }
    known.bucket.rate = this.rateOf('follower', follower) / known.share.of
    return known.bucket
  }

  /** How many leaders send to this follower under its rate. */
  private leadersOf(follower: number): number {
    const { image } = this.host
    const lists = new Map<string, ThrottledReplicas | null>()
    const throttled = ({ topic, partition }: PartitionImage): boolean => {
      let list = lists.get(topic)
      if (list === undefined)
        lists.set(topic, (list = ThrottledReplicas.of(image.configs({ kind: 'topic', name: topic }), 'follower')))
      return list?.has(partition, follower) === true
    }
    const leaders = new Set<number>()
    for (const partition of image.partitionsOf(follower))
      if (partition.leader !== -1 && !partition.isr.includes(follower) && throttled(partition))
        leaders.add(partition.leader)
    return leaders.size
  }

  /** Bytes in a second. These settings are dynamic ones only, as Kafka has them. */
  private rateOf(side: 'leader' | 'follower', broker: number): number {
    const { image } = this.host
    const name = `${side}.replication.throttled.rate`
    const own = image.configs({ kind: 'broker', name: String(broker) })
    const text = own.get(name) ?? image.configs({ kind: 'broker', name: '' }).get(name)
    const rate = text === undefined ? LONG_MAX : parseWhole(text)
    return rate >= LONG_MAX ? Number.POSITIVE_INFINITY : rate
  }
}

const NONE: readonly Bucket[] = Object.freeze([])
/** What no rate brings about is looked at again after this time. */
const LONGEST_WAIT_US = 1_000_000

/** Holds what a second brings. A batch goes when anything is there, however large it is; what it takes too much is waited for. */
class Bucket {
  private readonly clock: Clock
  private bytesPerSecond = Number.POSITIVE_INFINITY
  private bytes = 0
  private atUs = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  set rate(bytesPerSecond: number) {
    if (bytesPerSecond === this.bytesPerSecond) return
    // What was saved or owed under another rate says nothing under this one.
    this.bytesPerSecond = bytesPerSecond
    this.bytes = bytesPerSecond
    this.atUs = this.clock.monotonicUs()
  }

  waitUs(): number {
    if (this.bytesPerSecond === Number.POSITIVE_INFINITY) return 0
    this.fill()
    if (this.bytes > 0) return 0
    return Math.min(LONGEST_WAIT_US, Math.ceil(((1 - this.bytes) / this.bytesPerSecond) * 1e6))
  }

  take(bytes: number): void {
    if (this.bytesPerSecond !== Number.POSITIVE_INFINITY) this.bytes -= bytes
  }

  private fill(): void {
    const nowUs = this.clock.monotonicUs()
    this.bytes = Math.min(this.bytesPerSecond, this.bytes + ((nowUs - this.atUs) / 1e6) * this.bytesPerSecond)
    this.atUs = nowUs
  }
}
