// What a scenario asks of a client, whatever its language: one JSON object a line, answered by one JSON object a line.

/** A record as adapters take and give it; bytes are base64. */
export interface PlainRecord {
  readonly partition: number
  /** Set in what was read. */
  readonly offset?: number
  /** Milliseconds; left out, the client's clock decides. */
  readonly timestamp?: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [name: string, value: string | null])[]
}

/** A record that was read. */
export type ReadRecord = PlainRecord & { readonly offset: number; readonly timestamp: number }

export type CodecName = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
export type GroupProtocol = 'classic' | 'consumer'
/** Offsets by partition. */
export type Offsets = Readonly<Record<string, number>>

export interface ProduceArgs {
  readonly topic: string
  readonly records: readonly PlainRecord[]
  readonly codec?: CodecName
  readonly acks?: 0 | 1 | -1
  readonly idempotent?: boolean
}

export interface FetchArgs {
  readonly topic: string
  /** Where to begin in each partition: an offset, or -2 for the earliest. */
  readonly from: Offsets
  /** Ends after so many records. */
  readonly count: number
  readonly timeoutMs: number
}

export interface JoinArgs {
  /** The name by which the scenario speaks of this member. */
  readonly member: string
  readonly group: string
  readonly topic: string
  readonly protocol: GroupProtocol
}

export interface PollAnswer {
  readonly records: readonly ReadRecord[]
  /** The partitions that the member owns now, where the client tells. */
  readonly assigned: readonly number[] | null
}

export interface PartitionDescription {
  readonly partition: number
  readonly leader: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
}

export interface GroupDescription {
  readonly state: string
  readonly members: number
}

/** Every operation: its arguments and its answer. An adapter may lack some; what it lacks is refused by name. */
export interface Operations {
  produce: [ProduceArgs, { readonly offsets: readonly number[] | null }]
  fetch: [FetchArgs, { readonly records: readonly ReadRecord[] }]
  offsetsAt: [{ topic: string; partitions: readonly number[]; timestamp: number }, { readonly offsets: Offsets }]
  join: [JoinArgs, object]
  poll: [{ member: string; timeoutMs: number }, PollAnswer]
  commit: [{ member: string }, object]
  leave: [{ member: string }, object]
  createTopic: [
    { topic: string; partitions: number; replication: number; config: Readonly<Record<string, string>> },
    object,
  ]
  listTopics: [object, { readonly topics: readonly string[] }]
  describeTopic: [{ topic: string }, { readonly partitions: readonly PartitionDescription[] }]
  deleteTopic: [{ topic: string }, object]
  createPartitions: [{ topic: string; count: number }, object]
  deleteRecords: [{ topic: string; partition: number; before: number }, object]
  topicConfig: [{ topic: string }, { readonly config: Readonly<Record<string, string | null>> }]
  alterTopicConfig: [{ topic: string; set: Readonly<Record<string, string>> }, object]
  listGroups: [object, { readonly groups: readonly string[] }]
  describeGroup: [{ group: string }, GroupDescription]
  groupOffsets: [{ group: string; topic: string }, { readonly offsets: Offsets }]
  deleteGroup: [{ group: string }, object]
}

export type OperationName = keyof Operations
export type Arguments<O extends OperationName> = Operations[O][0]
export type Answer<O extends OperationName> = Operations[O][1]

/** Kafka's APIs behind each operation, for the message of a failure. */
export const APIS: Readonly<Record<OperationName, string>> = {
  produce: 'Metadata, Produce',
  fetch: 'ListOffsets, Fetch',
  offsetsAt: 'ListOffsets',
  join: 'FindCoordinator, JoinGroup or ConsumerGroupHeartbeat',
  poll: 'JoinGroup, SyncGroup, Heartbeat, OffsetFetch, Fetch',
  commit: 'OffsetCommit',
  leave: 'LeaveGroup',
  createTopic: 'CreateTopics',
  listTopics: 'Metadata',
  describeTopic: 'Metadata or DescribeTopicPartitions',
  deleteTopic: 'DeleteTopics',
  createPartitions: 'CreatePartitions',
  deleteRecords: 'DeleteRecords',
  topicConfig: 'DescribeConfigs',
  alterTopicConfig: 'IncrementalAlterConfigs or AlterConfigs',
  listGroups: 'ListGroups',
  describeGroup: 'DescribeGroups or ConsumerGroupDescribe',
  groupOffsets: 'OffsetFetch',
  deleteGroup: 'DeleteGroups',
}
