import type { Uuid } from '@millrace/base'

/** One partition as the committed metadata has it. */
export interface PartitionImage {
  readonly topicId: Uuid
  readonly topic: string
  readonly partition: number
  readonly replicas: readonly number[]
  /** The directory id of each replica, in the order of `replicas`. */
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
  /** Client listeners by name, and `PEER`, the inter-node address. */
  readonly endpoints: readonly EndpointImage[]
  readonly directories: readonly Uuid[]
  readonly flushMode: 'fsync' | 'pagecache'
  readonly fenced: boolean
  readonly shuttingDown: boolean
}

export type ConfigResource = { readonly kind: 'topic' | 'broker'; readonly name: string }

/** What one applied entry changed, for those who follow the image. Keys are topic ids. */
export interface ImageChanges {
  /** Everything may have changed (a snapshot was loaded). */
  readonly all: boolean
  /** Partitions created or changed. */
  readonly partitions: readonly PartitionImage[]
  readonly createdTopics: readonly TopicImage[]
  readonly deletedTopics: readonly TopicImage[]
  readonly brokers: readonly number[]
  readonly configs: readonly ConfigResource[]
}

/** The cluster's state as of one committed entry: what brokers serve from. Read-only to them. */
export interface ClusterImage {
  /** The last entry applied; 0 for the empty image. */
  readonly index: number
  readonly clusterId: Uuid | null
  readonly brokers: ReadonlyMap<number, BrokerImage>
  readonly topics: ReadonlyMap<Uuid, TopicImage>
  topicByName(name: string): TopicImage | null
  partition(topicId: Uuid, partition: number): PartitionImage | null
  /** Overrides of one resource; the broker name "" is the cluster-wide default. Never null, may be empty. */
  configs(resource: ConfigResource): ReadonlyMap<string, string>
  /** Partitions that have a replica on this broker. */
  partitionsOf(brokerId: number): Iterable<PartitionImage>
}

/** An image that follows the log. Brokers hold one; the controller holds two (committed, speculative). */
export interface FollowedImage extends ClusterImage {
  /** Applies one entry's payload (a batch of metadata records). Throws `MetadataDecodeError` for bytes that are none. */
  apply(index: number, payload: Uint8Array): ImageChanges
  load(index: number, snapshot: Uint8Array): ImageChanges
  snapshot(): Uint8Array
}
