import type { ErrorCode, Uuid } from '@millrace/base'

/** Keys of server.properties that a coordinator works by; times in milliseconds. */
export interface GroupsConfig {
  /** `group.min.session.timeout.ms`, `group.max.session.timeout.ms`: what a classic member may ask for. */
  readonly minSessionTimeoutMs: number
  readonly maxSessionTimeoutMs: number
  /** `group.initial.rebalance.delay.ms` */
  readonly initialRebalanceDelayMs: number
  /** `group.max.size` */
  readonly maxSize: number
  /** `offset.metadata.max.bytes` */
  readonly maxMetadataBytes: number
  /** `offsets.retention.minutes`, in milliseconds. */
  readonly offsetsRetentionMs: number
  /** `offsets.retention.check.interval.ms` */
  readonly offsetsCheckMs: number
  /** `group.consumer.*`: groups of the newer protocol. */
  readonly consumer: ConsumerTimes & {
    /** What counts for a group that may have times of its own; asked at each use, so that a change counts from the next heartbeat on. */
    timesOf?(groupId: string): ConsumerTimes
    readonly maxSize: number
    /** By name, the default first. */
    readonly assignors: readonly ('uniform' | 'range')[]
    /** `group.consumer.migration.policy` */
    readonly migrationPolicy: MigrationPolicy
  }
}

/** The pace of a group of the newer protocol, in milliseconds. */
export interface ConsumerTimes {
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  /** The least time between two assignments of the group. */
  readonly assignmentIntervalMs: number
}

/** Which groups with members may change their type: classic ones to the newer protocol (upgrade), the others back (downgrade), both, or none. */
export type MigrationPolicy = 'bidirectional' | 'upgrade' | 'downgrade' | 'disabled'

/** What a coordinator sees of the cluster's topics, as its broker's image has it now. */
export interface TopicsView {
  /** Larger after every change of what follows. */
  readonly version: number
  byName(name: string): TopicFacts | null
  byId(id: Uuid): TopicFacts | null
  names(): Iterable<string>
}

export interface TopicFacts {
  readonly id: Uuid
  readonly name: string
  readonly partitions: number
  /** The racks that have a replica of this partition, empty where racks are unknown. */
  racksOf(partition: number): readonly string[]
}

/** Who is answered: given with a request, handed back with the response. The machine never calls it. */
export type Reply<R> = (response: R) => void

/** One answer: `reply(response)` once everything that was decided before is committed. */
export interface GroupAnswer<R = never> {
  readonly groupId: string
  readonly reply: Reply<R>
  readonly response: R
}

/** A record of `__consumer_offsets` in bytes; `value` null is a tombstone. */
export interface GroupLogRecord {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/**
 * What one call decided. The records are one atomic batch, which the machine already counts as written: whoever can not append
 * them discards the machine. An answer waits until every record of its group that was decided before it, these included, is committed.
 */
export interface Outcome {
  readonly records: readonly GroupLogRecord[]
  readonly answers: readonly GroupAnswer[]
  readonly rebalances: readonly Rebalance[]
}

/** A rebalance that came to its end, and why it was. */
export interface Rebalance {
  readonly groupId: string
  /** The generation, or the group epoch, that it led to. */
  readonly generation: number
  readonly causes: readonly RebalanceCause[]
  readonly startedMs: number
  readonly endedMs: number
  readonly members: number
  /** Topic partitions that have another owner than before; null where the assignment is not the coordinator's to read. */
  readonly moved: number | null
  /** Which these are: the first hundred of them. */
  readonly moves: readonly PartitionMoves[]
}

/** Partitions of a topic that went from one member to another. */
export interface PartitionMoves {
  /** In classic groups, whose members name topics; null in others. */
  readonly topic: string | null
  /** In groups of the newer protocol, which know topics by id; null in others. */
  readonly topicId: Uuid | null
  readonly partitions: readonly number[]
  /** The instance id of a static member, else the member id; null where nobody had them. */
  readonly from: string | null
  readonly to: string
}

export type RebalanceReason =
  | 'joined'
  | 'left'
  | 'removed'
  | 'session-timeout'
  | 'rebalance-timeout'
  | 'subscription-changed'
  | 'leader-rejoined'
  | 'partitions-changed'
  | 'static-replaced'
  | 'assignor-changed'

export interface RebalanceCause {
  readonly reason: RebalanceReason
  /** Empty where no member is the cause. */
  readonly memberId: string
  readonly clientId: string
  /** What the member itself gave as its reason, or which topic changed; empty if nothing. */
  readonly detail: string
}

/** Groups and offsets of one partition of `__consumer_offsets`. Pure: it changes by these calls alone. */
export interface GroupShard {
  /** A record that the log holds, in order, when the machine is built. Throws `DecodeError` on bytes that are no such record. */
  replay(key: Uint8Array, value: Uint8Array | null): void
  /** All of the log was replayed: timers of the members that it told begin at `nowMs`. */
  loaded(nowMs: number): Outcome
  handle(request: GroupRequest, nowMs: number): Outcome
  /** Does what is due: sessions, rebalances, expired offsets, topics that changed. */
  tick(nowMs: number): Outcome
  /** When `tick` has something to do, if nothing comes before; Infinity when never. */
  readonly nextDueMs: number
  /** Topics were deleted: their offsets go. */
  topicsDeleted(topics: readonly { readonly name: string; readonly id: Uuid }[], nowMs: number): Outcome
  /** For metrics and lag; live views that the caller does not change or keep. */
  groups(): Iterable<GroupView>
  group(groupId: string): GroupView | null
}

export type GroupState =
  | 'Empty'
  | 'PreparingRebalance'
  | 'CompletingRebalance'
  | 'Assigning'
  | 'Reconciling'
  | 'Stable'
  | 'Dead'

export interface GroupView {
  readonly groupId: string
  readonly type: 'classic' | 'consumer'
  readonly state: GroupState
  /** Empty for a group that only ever committed by hand. */
  readonly protocolType: string
  /** The generation, or the group epoch. */
  readonly generation: number
  readonly members: number
  offsets(): Iterable<CommittedOffset>
  /** Who is in it and has what, as DescribeGroups and ConsumerGroupDescribe would tell. */
  roster(): Iterable<GroupMemberView>
  /** The last rebalances, oldest first; at most 20. */
  readonly rebalances: readonly Rebalance[]
}

export interface GroupMemberView extends ClientFacts {
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** Empty where it is not the coordinator's to read, and while a classic group is not stable. */
  readonly assigned: readonly { readonly topic: string; readonly partitions: readonly number[] }[]
}

export interface CommittedOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** -1 where it is not known. */
  readonly leaderEpoch: number
  readonly metadata: string
  readonly commitMs: number
}

/** A member's address book entry, as the listener saw it. */
export interface ClientFacts {
  readonly clientId: string
  readonly clientHost: string
}

export type GroupRequest =
  | JoinGroup
  | SyncGroup
  | Heartbeat
  | LeaveGroup
  | OffsetCommit
  | OffsetFetch
  | OffsetDelete
  | DescribeGroup
  | ListGroups
  | DeleteGroup
  | ConsumerHeartbeat
  | DescribeConsumerGroup

export interface JoinGroup extends ClientFacts {
  readonly kind: 'joinGroup'
  readonly groupId: string
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocolType: string
  readonly protocols: readonly { readonly name: string; readonly metadata: Uint8Array }[]
  readonly reason: string | null
  /** From version 4: a member without an id is told one first. */
  readonly requireKnownMemberId: boolean
  /** From version 9. */
  readonly supportsSkippingAssignment: boolean
  readonly reply: Reply<JoinGroupResponse>
}

export interface JoinGroupResponse {
  readonly error: ErrorCode
  readonly generation: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string
  readonly skipAssignment: boolean
  readonly memberId: string
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly metadata: Uint8Array
  }[]
}

/** What a member of a classic group proves itself with. */
export interface MemberClaim {
  readonly groupId: string
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generation: number
}

export interface SyncGroup extends MemberClaim {
  readonly kind: 'syncGroup'
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[]
  readonly reply: Reply<SyncGroupResponse>
}

export interface SyncGroupResponse {
  readonly error: ErrorCode
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Uint8Array
}

export interface Heartbeat extends MemberClaim {
  readonly kind: 'heartbeat'
  readonly reply: Reply<{ readonly error: ErrorCode }>
}

export interface LeaveGroup {
  readonly kind: 'leaveGroup'
  readonly groupId: string
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly reason: string | null
  }[]
  readonly reply: Reply<LeaveGroupResponse>
}

export interface LeaveGroupResponse {
  readonly error: ErrorCode
  /** In the order of the request. */
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly error: ErrorCode
  }[]
}

export interface OffsetCommit {
  readonly kind: 'offsetCommit'
  readonly groupId: string
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** The generation, or the member epoch; -1 for a commit by hand. */
  readonly generation: number
  /** The request is of version 9 or later: it may speak of member epochs, and a group that is unknown is told by its own error. */
  readonly knowsMemberEpochs: boolean
  /** Of versions 2 to 4; -1 for the broker's. */
  readonly retentionMs: number
  /** Topics that exist; whoever calls has answered for the others. */
  readonly topics: readonly {
    readonly name: string
    readonly id: Uuid
    readonly partitions: readonly {
      readonly partition: number
      readonly offset: number
      readonly leaderEpoch: number
      readonly metadata: string
    }[]
  }[]
  readonly reply: Reply<OffsetCommitResponse>
}

export interface OffsetCommitResponse {
  /** In the order of the request. */
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partition: number; readonly error: ErrorCode }[]
  }[]
}

export interface OffsetFetch {
  readonly kind: 'offsetFetch'
  readonly groupId: string
  /** Null and -1 unless a member of a `consumer` group asks (version 9 and later). */
  readonly memberId: string | null
  readonly memberEpoch: number
  /** Null: all that the group has. */
  readonly topics: readonly { readonly name: string; readonly partitions: readonly number[] }[] | null
  readonly reply: Reply<OffsetFetchResponse>
}

export interface OffsetFetchResponse {
  readonly error: ErrorCode
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly partition: number
      /** -1 where nothing was committed. */
      readonly offset: number
      readonly leaderEpoch: number
      readonly metadata: string
      readonly error: ErrorCode
    }[]
  }[]
}

export interface OffsetDelete {
  readonly kind: 'offsetDelete'
  readonly groupId: string
  readonly topics: readonly { readonly name: string; readonly partitions: readonly number[] }[]
  readonly reply: Reply<OffsetCommitResponse & { readonly error: ErrorCode }>
}

export interface DescribeGroup {
  readonly kind: 'describeGroup'
  readonly groupId: string
  readonly reply: Reply<DescribeGroupResponse>
}

export interface DescribeGroupResponse {
  /** GROUP_ID_NOT_FOUND where there is none; versions before 6 tell it as the state Dead. */
  readonly error: ErrorCode
  readonly state: string
  readonly protocolType: string
  readonly protocol: string
  readonly members: readonly (ClientFacts & {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly metadata: Uint8Array
    readonly assignment: Uint8Array
  })[]
}

export interface ListGroups {
  readonly kind: 'listGroups'
  /** Empty: all. Compared without regard to case. */
  readonly states: readonly string[]
  readonly types: readonly string[]
  readonly reply: Reply<{
    readonly groups: readonly {
      readonly groupId: string
      readonly protocolType: string
      readonly state: string
      readonly type: string
    }[]
  }>
}

export interface DeleteGroup {
  readonly kind: 'deleteGroup'
  readonly groupId: string
  readonly reply: Reply<{ readonly error: ErrorCode }>
}

/** A topic's partitions, as the newer protocol names them. */
export interface TopicPartitions {
  readonly topicId: Uuid
  readonly partitions: readonly number[]
}

export interface ConsumerHeartbeat extends ClientFacts {
  readonly kind: 'consumerHeartbeat'
  readonly groupId: string
  /** Empty in version 0 at the first time. */
  readonly memberId: string
  /** 0 joins, -1 leaves, -2 leaves for a while (static members). */
  readonly memberEpoch: number
  /** In what follows null, or -1, says that nothing changed. */
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly rebalanceTimeoutMs: number
  readonly topicNames: readonly string[] | null
  readonly topicRegex: string | null
  readonly serverAssignor: string | null
  readonly owned: readonly TopicPartitions[] | null
  readonly reply: Reply<ConsumerHeartbeatResponse>
}

export interface ConsumerHeartbeatResponse {
  readonly error: ErrorCode
  readonly message: string | null
  readonly memberId: string | null
  readonly memberEpoch: number
  readonly heartbeatIntervalMs: number
  /** Null where nothing changed. */
  readonly assignment: readonly TopicPartitions[] | null
}

export interface DescribeConsumerGroup {
  readonly kind: 'describeConsumerGroup'
  readonly groupId: string
  readonly reply: Reply<DescribeConsumerGroupResponse>
}

export interface NamedPartitions extends TopicPartitions {
  readonly topic: string
}

export interface DescribeConsumerGroupResponse {
  readonly error: ErrorCode
  readonly message: string | null
  readonly state: string
  readonly epoch: number
  readonly assignmentEpoch: number
  readonly assignor: string
  readonly members: readonly (ClientFacts & {
    readonly memberId: string
    readonly instanceId: string | null
    readonly rackId: string | null
    readonly memberEpoch: number
    readonly topicNames: readonly string[]
    /** Empty where there is none. */
    readonly topicRegex: string
    readonly assignment: readonly NamedPartitions[]
    readonly targetAssignment: readonly NamedPartitions[]
    /** -1 unknown, 0 classic, 1 consumer. */
    readonly memberType: number
  })[]
}
