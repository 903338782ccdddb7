import { ErrorCode } from '@millrace/base'
import {
  HeartbeatApi,
  JoinGroupApi,
  type JoinGroupResponse,
  LeaveGroupApi,
  SyncGroupApi,
  type SyncGroupResponse,
} from '@millrace/protocol'
import type { SimClient } from '../client.ts'
import type { WireConnection } from '../wire.ts'
import type { Membership } from './holdings.ts'
import { Member, type MemberShape } from './member.ts'
import {
  assign,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type Place,
} from './subscription.ts'

const PROTOCOL_TYPE = 'consumer'
const HEARTBEAT_US = 500_000
const AGAIN_US = 100_000
/** The first version of JoinGroup that tells a static member that it leads the group though it is not to divide, and those of the others that know static members. */
const STATIC_JOIN = 9
const STATIC_COMMIT = 7
const STATIC_OTHERS = 3
/** The first version of LeaveGroup in which several leave. */
const SEVERAL_LEAVE = 3

/** A member of a classic group that gives up all its partitions whenever the group rebalances. */
export class ClassicMember extends Member {
  private memberId = ''
  private generation = -1
  private phase: 'out' | 'joined' | 'in' = 'out'
  /** As its leader decided, to be sent with SyncGroup; none for the others. */
  private assignments: { memberId: string; assignment: Uint8Array }[] = []
  private protocol = ''
  /** As the group's leader: the topics that its members read, and how many partitions they had. */
  private led: readonly string[] = []
  private divided = 0
  private heartbeatDueUs = 0
  private readonly sessionMs: number
  private readonly rebalanceMs: number
  private readonly protocols: readonly string[]

  constructor(client: SimClient, shape: MemberShape) {
    super(client, shape)
    this.sessionMs = client.draw.pick([2_000, 4_000])
    this.rebalanceMs = client.draw.pick([2_000, 5_000])
    // What all members support all prefer: a coordinator that loads a group knows of each member the elected protocol alone, as Kafka's does.
    const common = shape.group.endsWith('1') ? 'range' : 'roundrobin'
    this.protocols = client.draw.pick([[common], [common, common === 'range' ? 'roundrobin' : 'range']])
  }

  protected get membership(): Membership {
    const { memberId, generation, shape } = this
    const { instanceId } = shape
    return { memberId, instanceId, generation, leastVersion: instanceId === null ? 0 : STATIC_COMMIT }
  }

  protected step(connection: WireConnection): void {
    const { nowUs } = this.client
    if (this.phase === 'out') return this.join(connection)
    if (this.phase === 'joined') return this.sync(connection)
    if (this.wasAsleep()) return this.commit(connection, () => {})
    if (this.leaves()) return this.leave(connection)
    if (this.changes() || this.hasMore()) return this.rejoin(connection)
    if (nowUs >= this.heartbeatDueUs) return this.heartbeat(connection)
    if (nowUs >= this.commitDueUs) this.commit(connection, () => {})
  }

  private join(connection: WireConnection): void {
    const { shape, memberId, sessionMs, rebalanceMs } = this
    const request = {
      groupId: shape.group,
      sessionTimeoutMs: sessionMs,
      rebalanceTimeoutMs: rebalanceMs,
      memberId,
      groupInstanceId: shape.instanceId,
      protocolType: PROTOCOL_TYPE,
      protocols: this.protocols.map((name) => ({ name, metadata: encodeSubscription(this.topics) })),
      reason: null,
    }
    const least = shape.instanceId === null ? 0 : STATIC_JOIN
    this.ask(
      connection,
      JoinGroupApi,
      least,
      request,
      (response) => this.joined(response),
      (rebalanceMs + 3_000) * 1000,
    )
  }

  private joined(response: JoinGroupResponse): void {
    const { errorCode, memberId, generationId, leader, members, protocolName } = response
    if (errorCode === ErrorCode.MEMBER_ID_REQUIRED) this.memberId = memberId
    else if (errorCode !== ErrorCode.NONE) this.refused(errorCode)
    else {
      this.memberId = memberId
      this.generation = generationId
      this.protocol = protocolName ?? ''
      this.phase = 'joined'
      this.led = []
      this.assignments = leader === memberId ? this.divide(members) : []
      if (!response.skipAssignment) return
      // What the leader decided in its former life counts on; whether there is more by now it does not know.
      this.assignments = []
      this.divided = -1
    }
  }

  private divide(members: JoinGroupResponse['members']): { memberId: string; assignment: Uint8Array }[] {
    const subscribers = members.map(({ memberId, metadata }) => ({ memberId, topics: decodeSubscription(metadata) }))
    this.led = [...new Set(subscribers.flatMap(({ topics }) => topics))]
    this.divided = this.placesOf(this.led).length
    const places = this.placesOf(this.led).toSorted((a, b) =>
      a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
    )
    const assigned = assign(this.protocol, subscribers, places)
    return [...assigned].map(([memberId, own]) => ({ memberId, assignment: encodeAssignment(own) }))
  }

  private placesOf(topics: readonly string[]): readonly Place[] {
    return this.client.view.partitions.filter(({ topic }) => topics.includes(topic))
  }

  /** Whether topics that this member divided have more partitions by now: its leader has the group rebalance. */
  private hasMore(): boolean {
    return this.led.length > 0 && this.placesOf(this.led).length !== this.divided
  }

  private sync(connection: WireConnection): void {
    const { shape, memberId, generation, assignments, protocol } = this
    const request = {
      groupId: shape.group,
      generationId: generation,
      memberId,
      groupInstanceId: shape.instanceId,
      protocolType: PROTOCOL_TYPE,
      protocolName: protocol,
      assignments,
    }
    const askedUs = this.client.nowUs
    const done = (response: SyncGroupResponse): void => this.synced(response, { connection, askedUs })
    this.ask(connection, SyncGroupApi, this.leastVersion, request, done, this.rebalanceMs * 1000)
  }

  private get leastVersion(): number {
    return this.shape.instanceId === null ? 0 : STATIC_OTHERS
  }

  private synced(
    { errorCode, assignment }: SyncGroupResponse,
    over: { connection: WireConnection; askedUs: number },
  ): void {
    if (errorCode !== ErrorCode.NONE) return this.refused(errorCode)
    this.phase = 'in'
    this.heartbeatDueUs = this.client.nowUs + HEARTBEAT_US
    this.commitDueUs = this.client.nowUs + this.habits.commitUs
    this.begin()
    this.holdings.take(decodeAssignment(assignment), over, this.membership, (taken) => {
      this.end()
      if (!taken) this.lose()
    })
  }

  private heartbeat(connection: WireConnection): void {
    const { shape, memberId, generation } = this
    this.heartbeatDueUs = this.client.nowUs + HEARTBEAT_US
    const request = { groupId: shape.group, generationId: generation, memberId, groupInstanceId: shape.instanceId }
    this.ask(connection, HeartbeatApi, this.leastVersion, request, ({ errorCode }) => {
      if (errorCode === ErrorCode.REBALANCE_IN_PROGRESS) this.rejoin(connection)
      else if (errorCode !== ErrorCode.NONE) this.refused(errorCode)
    })
  }

  /** Commits, gives everything up, and joins again. */
  private rejoin(connection: WireConnection): void {
    this.commit(connection, () => this.lose())
  }

  private leave(connection: WireConnection): void {
    const { shape, memberId } = this
    this.commit(connection, () => {
      this.lose()
      this.rest(this.client.draw.between(100_000, 3_000_000))
      // A static member goes without a word.
      if (shape.instanceId !== null || memberId === '') return
      const version = connection.version(LeaveGroupApi)
      const request =
        version >= SEVERAL_LEAVE
          ? {
              groupId: shape.group,
              memberId: '',
              members: [{ memberId, groupInstanceId: null, reason: 'the tape says so' }],
            }
          : { groupId: shape.group, memberId, members: [] }
      this.memberId = ''
      this.ask(connection, LeaveGroupApi, 0, request, () => {})
    })
  }

  protected refused(error: number): void {
    switch (error) {
      case ErrorCode.UNKNOWN_MEMBER_ID:
      case ErrorCode.FENCED_INSTANCE_ID:
        this.memberId = ''
        return this.lose()
      case ErrorCode.ILLEGAL_GENERATION:
      case ErrorCode.REBALANCE_IN_PROGRESS:
        return this.lose()
      case ErrorCode.NOT_COORDINATOR:
      case ErrorCode.COORDINATOR_NOT_AVAILABLE:
        this.coordinator.doubt()
        return this.rest(AGAIN_US)
      default:
        return this.rest(AGAIN_US)
    }
  }

  private lose(): void {
    this.holdings.drop(() => true)
    this.phase = 'out'
  }
}
