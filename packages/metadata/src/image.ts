import { type Uuid, ZERO_UUID } from '@millrace/base'

/** Kafka's reserved id of a replica that is in no directory (KIP-858). */
export const UNASSIGNED: Uuid = ZERO_UUID

/** One partition as the committed metadata has it. */
export interface PartitionImage {
  readonly topicId: Uuid
  readonly topic: string
  readonly partition: number
  readonly replicas: readonly number[]
  /**
   * The directory id of each replica, in the order of `replicas`. {@link UNASSIGNED} for one that never held anything: its broker was
   * away when the partition was made, and still is, or the partition has no leader. Then it gets a directory.
   */
  readonly directories: readonly Uuid[]
  readonly isr: readonly number[]
  readonly elr: readonly number[]
  readonly lastKnownElr: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
  /** -1: leaderless. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly partitionEpoch: number
  /** `recovering`: the leader was elected uncleanly and has not finished. */
  readonly leaderRecovery: 'recovered' | 'recovering'
}

export interface TopicImage {
  readonly id: Uuid
  readonly name: string
  /** Index = partition. */
  readonly partitions: readonly PartitionImage[]
}

export interface EndpointImage {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly securityProtocol: string
}

export interface BrokerImage {
  readonly id: number
  readonly epoch: number
  readonly incarnationId: Uuid
  readonly rack: string | null
  /** Client listeners by name, `PEER`, the inter-node address, and `HTTP` where there is an endpoint. */
  readonly endpoints: readonly EndpointImage[]
  /** The log directories that are online. A replica in any other cannot lead or be in sync. */
  readonly directories: readonly Uuid[]
  readonly flushMode: 'fsync' | 'pagecache'
  /** Of the inter-node protocol. */
  readonly protocolVersion: number
  readonly fenced: boolean
  readonly shuttingDown: boolean
}

export type ConfigResource = { readonly kind: 'topic' | 'broker' | 'group'; readonly name: string }

/** What one applied entry changed, for those who follow the image. Keys are topic ids. */
export interface ImageChanges {
  /** Everything may have changed (a snapshot was loaded): compare with what you hold. The lists are then empty. */
  readonly all: boolean
  /** Partitions created or changed, as they are after the entry. */
  readonly partitions: readonly PartitionImage[]
  readonly createdTopics: readonly TopicImage[]
  /** As they were. One created and deleted by the same entry is in neither list. */
  readonly deletedTopics: readonly TopicImage[]
  readonly brokers: readonly number[]
  readonly configs: readonly ConfigResource[]
}

/** The cluster's state as of one committed entry: what brokers serve from. Read-only to them. */
export interface ClusterImage {
  /** The last entry applied; 0 for the empty image. */
  readonly index: number
  /** Null until the cluster formed. */
  readonly clusterId: Uuid | null
  /** By id. The maps are live; what they hold is replaced on change, never changed. */
  readonly brokers: ReadonlyMap<number, BrokerImage>
  /** By id. */
  readonly topics: ReadonlyMap<Uuid, TopicImage>
  /** The level of each named format that the whole cluster writes. */
  readonly features: ReadonlyMap<string, number>
  /** The first producer id that nobody was given. */
  readonly nextProducerId: number
  topicByName(name: string): TopicImage | null
  partition(topicId: Uuid, partition: number): PartitionImage | null
  /** Overrides of one resource; the broker name "" is the cluster-wide default. Never null, may be empty. */
  configs(resource: ConfigResource): ReadonlyMap<string, string>
  /** The resources of a kind that have settings of their own, by name. */
  configured(kind: ConfigResource['kind']): ReadonlyMap<string, ReadonlyMap<string, string>>
  /** Partitions that have a replica on this broker. */
  partitionsOf(brokerId: number): Iterable<PartitionImage>
}

/** An image that follows the log. Brokers hold one; the controller holds two (committed, speculative). */
export interface FollowedImage extends ClusterImage {
  /**
   * Applies one entry's payload (a batch of metadata records), all of it or, when it throws `MetadataDecodeError` for bytes that are
   * none, nothing. Indexes rise; entries that are not metadata leave gaps.
   */
  apply(index: number, payload: Uint8Array): ImageChanges
  /** Replaces everything by a {@link snapshot} taken at the entry `index`. Throws `MetadataDecodeError` and changes nothing. */
  load(index: number, snapshot: Uint8Array): ImageChanges
  /** The whole state in bytes; the index is not part of it. */
  snapshot(): Uint8Array
}
