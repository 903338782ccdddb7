import type { Address, Done, ErrorCode, Uuid, World } from '@millrace/base'
import type { GroupRequest, GroupView, Reply } from '@millrace/groups'
import type { ClusterImage, PartitionImage } from '@millrace/metadata'
import type { EpochEnd, FlushMode, LogSlice, ReadMemory, TimestampHit } from '@millrace/storage'
import type { ProducerView } from '@millrace/transactions'
import type { BufferPool } from './kafka/buffer-pool.ts'
import type { ProducerIdBlocks } from './producer-id-blocks.ts'
import type { FetchSessions } from './kafka/fetch-sessions.ts'

/** How a broker is set up. Values are already validated; times in milliseconds. */
export interface BrokerConfig {
  readonly nodeId: number
  /** As the directories' `meta.properties` has it; null until this node met its cluster. Another cluster's controller is refused. */
  readonly clusterId: Uuid | null
  /** Called once, when a null `clusterId` becomes known through registration: the owner writes it into `meta.properties`. */
  readonly clusterIdLearned: (id: Uuid) => void
  readonly rack: string | null
  readonly incarnationId: Uuid
  /** Client listeners: where to bind, and what clients are told. */
  readonly listeners: readonly BrokerListenerConfig[]
  /** Where other nodes reach this node's peer listener. */
  readonly peerAddress: Address
  /** Where people and programs reach this node's HTTP endpoint, if it has one; other nodes tell it to those who ask the wrong one. */
  readonly httpAddress?: Address | null
  /** All nodes that may lead the controller quorum. */
  readonly controllers: readonly { readonly id: number; readonly address: Address }[]
  readonly logDirs: readonly { readonly path: string; readonly directoryId: Uuid }[]
  readonly flushMode: FlushMode
  /** Every key of server.properties as text, for DescribeConfigs and topic defaults. */
  readonly properties: ReadonlyMap<string, string>
  readonly heartbeatMs: number
  readonly sessionTimeoutMs: number
  readonly replicaLagTimeMaxMs: number
  readonly maxRequestBytes: number
  readonly idleConnectionMs: number
  readonly controlledShutdownTimeoutMs: number
}

export interface BrokerListenerConfig {
  readonly name: string
  readonly bind: Address
  readonly advertised: Address
  readonly securityProtocol: 'PLAINTEXT'
}

/** The answer to an append. `baseOffset`, `logStart` and `logAppendTimeMs` are -1 where there is an error or nothing to tell. */
export type AppendAnswer = (
  error: ErrorCode,
  baseOffset: number,
  logStart: number,
  logAppendTimeMs: number,
  /** For people, with an error that does not tell all. */
  message?: string,
) => void

export interface ReadLimits {
  readonly maxBytes: number
  /** The fetcher's idea of the leader epoch; -1 skips the check. */
  readonly currentLeaderEpoch: number
  /** The epoch of the last record that the fetcher has; -1 when it does not say. Then its log is held against this one. */
  readonly lastFetchedEpoch?: number
  /** 0 read uncommitted, 1 read committed. */
  readonly isolation: 0 | 1
  /** Unless false only the leader answers, else any replica below its own watermark. */
  readonly leaderOnly?: boolean
  /** Where the leader sends the fetcher instead of answering. */
  readonly selector?: ReplicaSelector | null
  /** Where to the records are read; memory of their own unless given. */
  readonly memory?: ReadMemory
}

export interface OffsetAnswer {
  readonly error: ErrorCode
  readonly offset: number
  readonly leaderEpoch: number
}

/** A follower in the ISR, as far as its leader knows it. */
export interface InSyncFollower {
  readonly brokerId: number
  /** Up to where it has acknowledged; -1 when it has not said. */
  readonly durableEnd: number
  readonly logStart: number
}

/** Chooses among those that may serve a fetch (KIP-392). */
export interface ReplicaSelector {
  /** The broker of a follower to read from; -1: the leader. */
  choose(followers: readonly InSyncFollower[]): number
}

/** Where a partition stands for a consumer. `error` is 0 when the other fields count. */
export interface FetchState {
  readonly error: ErrorCode
  readonly highWatermark: number
  readonly lastStableOffset: number
  readonly logStart: number
  /** Bytes that could be served from the offset on, an estimate that is 0 only when nothing can be. */
  readonly availableBytes: number
  /** Where this log and the fetcher's part; then nothing is available. */
  readonly diverging: EpochEnd | null
  /** The broker to fetch from instead, of an in-sync replica that has the offset; then nothing is available. -1: none. */
  readonly preferredReplica: number
}

/**
 * A partition replica on this broker, as the Kafka handlers see it. Everything answers in terms of protocol outcomes; nothing here
 * waits on a promise. Epoch fences, the sleeping-node rule and "own registration applied" are checked inside.
 */
export interface Replica {
  readonly topicId: Uuid
  readonly topic: string
  readonly partition: number
  /**
   * Stages one checked batch (a slice of the request frame, which it may patch and keep). The write happens at the end of this turn,
   * one per partition; acks 1 is answered then, acks -1 when the watermark passes, acks 0 never except with an error. What an idempotent
   * producer repeats is not written again but answered as it was the first time; what does not continue its numbers is refused.
   * The answer comes once, never inside this call.
   */
  append(batch: Uint8Array, acks: 0 | 1 | -1, answer: AppendAnswer): void
  fetchState(offset: number, limits: ReadLimits): FetchState
  /** Whole batches below the watermark; as PartitionLog.read. Check `fetchState` first. */
  read(offset: number, limits: ReadLimits, done: Done<LogSlice>): LogSlice | null
  /** LEADER_NOT_AVAILABLE / OFFSET_NOT_AVAILABLE mapping by request version is the handler's affair: this gives 78. */
  latestOffset(currentLeaderEpoch: number, isolation: 0 | 1): OffsetAnswer
  earliestOffset(currentLeaderEpoch: number): OffsetAnswer
  /** A hit at or beyond the watermark is null. */
  offsetForTimestamp(
    timestamp: number,
    currentLeaderEpoch: number,
    done: (error: ErrorCode, hit: TimestampHit | null) => void,
  ): void
  maxTimestamp(currentLeaderEpoch: number, done: (error: ErrorCode, hit: TimestampHit | null) => void): void
  /** OffsetForLeaderEpoch: (-1, -1) when unknown. */
  epochEnd(
    epoch: number,
    currentLeaderEpoch: number,
  ): { readonly error: ErrorCode; readonly epoch: number; readonly endOffset: number }
  /** DeleteRecords; -1 is the watermark. Answers the new low watermark once every replica has it, or REQUEST_TIMED_OUT from the handler. */
  deleteRecords(offset: number, done: (error: ErrorCode, lowWatermark: number) => void): void
  /** What the leader knows of idempotent producers, as of now; an error where this is not the leader. */
  activeProducers(): Iterable<ProducerView> | ErrorCode
  /** Calls `moved` at the end of each turn in which the watermark rose, the log start moved, or leadership changed; returns the undo. */
  watch(moved: () => void): () => void
  readonly sizeBytes: number
  /** log end − watermark, for DescribeLogDirs of followers. */
  readonly lag: number
}

/** All replicas of this broker, and why one is missing. */
export interface Replicas {
  /** The local replica, or the error a client gets: 3 unknown, 6 not here, 56 offline, 100 unknown id. */
  find(topic: string, partition: number): Replica | ErrorCode
  findById(topicId: Uuid, partition: number): Replica | ErrorCode
  all(): Iterable<Replica>
  directories(): readonly {
    readonly path: string
    readonly usableBytes: number
    readonly totalBytes: number
    readonly error: ErrorCode
    readonly replicas: readonly Replica[]
  }[]
}

/** What the admin handlers need of the controller. */
export interface ControllerLink {
  /**
   * Sends an admin request (Kafka encoding, body only) to the active controller and answers once this broker has applied what it
   * decided. NOT_CONTROLLER or REQUEST_TIMED_OUT when no controller decided in time.
   */
  forward(request: ForwardRequest, done: (error: ErrorCode, body: Uint8Array | null) => void): void
  /**
   * A block of producer ids that no other broker ever gets: `count` of them from `first` on. COORDINATOR_LOAD_IN_PROGRESS while no
   * controller answers; the caller tries again.
   */
  allocateProducerIds(done: (error: ErrorCode, first: number, count: number) => void): void
  /** The active controller's node id, or -1. */
  readonly controllerId: number
  readonly brokerEpoch: number
}

export interface ForwardRequest {
  readonly apiKey: number
  readonly apiVersion: number
  readonly clientId: string
  readonly body: Uint8Array
  readonly timeoutMs: number
}

/**
 * A request to the coordinator of one group, and what is done with its answer: one of the two ends is called once, or, after it was dropped,
 * none. They may be called at once.
 */
export interface GroupQuestion<R> {
  readonly groupId: string
  request(reply: Reply<R>): GroupRequest
  answered(response: R): void
  /** COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR or UNKNOWN_SERVER_ERROR. */
  failed(error: ErrorCode): void
}

export type ListedGroups = readonly {
  readonly groupId: string
  readonly protocolType: string
  readonly state: string
  readonly type: string
}[]

/** The groups that this broker coordinates, as the handlers see them. */
export interface Groups {
  /** Asks the coordinator of a group, if that is this broker. Returns how to drop the question. */
  ask<R>(question: GroupQuestion<R>): () => void
  /** The partition whose leader coordinates a group; null while the topic is not there, which is then about to be made. */
  homeOf(groupId: string): PartitionImage | null
  /** All groups of this broker, by state and type; COORDINATOR_LOAD_IN_PROGRESS while those of any partition are not known. */
  list(states: readonly string[], types: readonly string[]): ListedGroups | ErrorCode
  /**
   * A group of this broker as it is now. GROUP_ID_NOT_FOUND where there is none of this name, NOT_COORDINATOR where another broker
   * would know, COORDINATOR_LOAD_IN_PROGRESS or COORDINATOR_NOT_AVAILABLE while nobody does.
   */
  view(groupId: string): GroupView | ErrorCode
  /** Every group of this broker as it is now, for metrics; partitions that load are left out. Live views. */
  views(): Iterable<GroupView>
}

/** What every Kafka handler gets. */
export interface BrokerContext {
  readonly world: World
  readonly config: BrokerConfig
  readonly image: ClusterImage
  readonly replicas: Replicas
  readonly controller: ControllerLink
  readonly groups: Groups
  readonly producerIds: ProducerIdBlocks
  /** What all listeners of the node read records into. */
  readonly buffers: BufferPool
  /** The fetch sessions of the node's clients. */
  readonly fetchSessions: FetchSessions
}

export type { PartitionImage }
