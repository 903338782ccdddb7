import { ErrorCode, type Uuid, ZERO_UUID } from '@millrace/base'
import { ConsumerGroupHeartbeatApi, type ConsumerGroupHeartbeatResponse } from '@millrace/protocol'
import type { SimClient } from '../client.ts'
import type { WireConnection } from '../wire.ts'
import type { Membership } from './holdings.ts'
import { Member, type MemberShape } from './member.ts'
import type { Place } from './subscription.ts'

const JOIN = 0
const LEAVE = -1
const REBALANCE_MS = 5_000
const AGAIN_US = 100_000
/** The first version of OffsetCommit and OffsetFetch that takes member epochs. */
const EPOCHS_SINCE = 9

interface Told {
  readonly connection: WireConnection
  readonly askedUs: number
}

/** A member of a group of the newer protocol: the coordinator tells it what to read, and it gives up what it is to give up before it gets more. */
export class ConsumerMember extends Member {
  private memberId: string
  private epoch = JOIN
  private heartbeatDueUs = 0
  /** What the coordinator wants it to have; null when it did not say since the member joined. */
  private target: readonly { readonly topicId: Uuid; readonly partitions: readonly number[] }[] | null = null
  /** The coordinator is to be told what the member has, or wants. */
  private news = true
  private readonly assignor: string | null

  constructor(client: SimClient, shape: MemberShape) {
    super(client, shape)
    const { draw } = client
    client.view.wantIds()
    this.memberId = `${client.name}-${draw.between(0, 1_000_000)}`
    this.assignor = draw.pick([null, 'uniform', 'range'])
  }

  protected get membership(): Membership {
    return { memberId: this.memberId, instanceId: null, generation: this.epoch, leastVersion: EPOCHS_SINCE }
  }

  protected step(connection: WireConnection): void {
    const { nowUs } = this.client
    if (this.wasAsleep() && this.epoch > 0) return this.commit(connection, () => {})
    if (this.epoch > 0 && this.leaves()) return this.leave(connection)
    if (this.epoch > 0 && this.changes()) this.news = true
    if (nowUs >= this.heartbeatDueUs || this.news) return this.heartbeat(connection, this.epoch)
    if (nowUs >= this.commitDueUs) this.commit(connection, () => {})
  }

  private heartbeat(connection: WireConnection, memberEpoch: number): void {
    const { shape, memberId, news } = this
    const joins = memberEpoch === JOIN
    const all = joins || news
    const request = {
      groupId: shape.group,
      memberId,
      memberEpoch,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: all ? REBALANCE_MS : -1,
      subscribedTopicNames: all ? this.topics : null,
      subscribedTopicRegex: null,
      serverAssignor: all ? this.assignor : null,
      topicPartitions: joins ? [] : all ? this.owned() : null,
    }
    this.news = false
    const told = { connection, askedUs: this.client.nowUs }
    this.begin()
    connection.ask(
      ConsumerGroupHeartbeatApi,
      connection.version(ConsumerGroupHeartbeatApi),
      request,
      (response: ConsumerGroupHeartbeatResponse | null) => {
        this.end()
        if (memberEpoch === LEAVE) return
        if (response !== null) return this.answered(response, told)
        this.coordinator.doubt()
        this.news = true
      },
    )
  }

  private owned(): { topicId: Uuid; partitions: readonly number[] }[] {
    const { view } = this.client
    const { places } = this.holdings
    return [...new Set(places.map(({ topic }) => topic))].map((topic) => ({
      topicId: view.idOf(topic) ?? ZERO_UUID,
      partitions: places.filter((place) => place.topic === topic).map(({ partition }) => partition),
    }))
  }

  private answered(response: ConsumerGroupHeartbeatResponse, told: Told): void {
    const { errorCode, memberEpoch, heartbeatIntervalMs, assignment } = response
    if (errorCode !== ErrorCode.NONE) return this.refused(errorCode)
    this.heartbeatDueUs = this.client.nowUs + heartbeatIntervalMs * 1000
    this.epoch = memberEpoch
    if (assignment !== null) this.target = assignment.topicPartitions
    if (this.target !== null && assignment !== null) this.reconcile(told)
  }

  /** Gives up first, and tells; what is new it takes as soon as it is told of it. */
  private reconcile(told: Told): void {
    const target = this.places()
    // A topic that this client has not seen yet: it asks again with all that it knows.
    if (target === null) {
      this.news = true
      this.client.view.doubt()
      return this.rest(AGAIN_US)
    }
    const has = (place: Place): boolean =>
      target.some(({ topic, partition }) => topic === place.topic && partition === place.partition)
    const fresh = target.filter((place) => !this.holdings.holds(place))
    const keepsAll = this.holdings.places.every(has)
    if (keepsAll && fresh.length === 0) return
    const begin = (): void => {
      this.holdings.drop((place) => !has(place))
      this.news = true
      this.take(fresh, told)
    }
    if (keepsAll) begin()
    else this.commit(told.connection, begin)
  }

  private take(fresh: readonly Place[], told: Told): void {
    this.begin()
    this.holdings.take(fresh, told, this.membership, (taken) => {
      this.end()
      // It joins anew rather than read from where it does not know.
      if (!taken) this.lose()
    })
  }

  /** The target by name; null while it names what the client does not know. */
  private places(): readonly Place[] | null {
    const { view } = this.client
    const places: Place[] = []
    for (const { topicId, partitions } of this.target ?? []) {
      const topic = view.nameOf(topicId)
      if (topic === null) return null
      for (const partition of partitions) {
        if (view.find(topic, partition) === null) return null
        places.push({ topic, partition })
      }
    }
    return places
  }

  private leave(connection: WireConnection): void {
    this.commit(connection, () => {
      this.holdings.drop(() => true)
      this.heartbeat(connection, LEAVE)
      this.lose()
      this.rest(this.client.draw.between(100_000, 3_000_000))
    })
  }

  protected refused(error: number): void {
    this.news = true
    this.rest(AGAIN_US)
    if (error === ErrorCode.NOT_COORDINATOR || error === ErrorCode.COORDINATOR_NOT_AVAILABLE) this.coordinator.doubt()
    else if (OUT.has(error)) this.lose()
  }

  private lose(): void {
    this.holdings.drop(() => true)
    this.epoch = JOIN
    this.target = null
    this.news = true
  }
}

/** The group goes on without this member, under this id and epoch. */
const OUT: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_MEMBER_ID,
  ErrorCode.FENCED_MEMBER_EPOCH,
  ErrorCode.GROUP_ID_NOT_FOUND,
  ErrorCode.STALE_MEMBER_EPOCH,
])
