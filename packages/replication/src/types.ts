import type { Random, Uuid } from '@millrace/base'

/** What the controller decided about a partition, as far as its replicas need it. Offsets and epochs are numbers. */
export interface PartitionState {
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly elr: readonly number[]
  /** -1: leaderless. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly partitionEpoch: number
  /**
   * A leader was elected outside ISR and ELR: followers may truncate below their own watermark, and take the leader's for theirs. It
   * stays so through later elections until every replica has been in the ISR again.
   */
  readonly uncleanlyElected: boolean
  /** Already capped to the number of replicas. */
  readonly minInsyncReplicas: number
}

/** A broker as the leader's image knows it; only unfenced ones that are not shutting down may enter the ISR. */
export interface BrokerState {
  readonly epoch: number
  readonly eligible: boolean
}

export interface ReplicaIdentity {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly topicId: Uuid
  readonly partition: number
}

/** What the machine knows of its own log at the start. */
export interface LogState {
  readonly logStart: number
  readonly endOffset: number
  readonly durableEnd: number
  readonly lastEpoch: number
  readonly highWatermark: number
  readonly generation: number
}

/** What a replica promises when it acknowledges an offset: that it is on disk, or that its log holds it. */
export type FlushMode = 'fsync' | 'pagecache'

/** What one machine is told once. */
export interface PartitionConfig {
  /** This broker's own mode; a follower's acks mean what the follower's mode promises. */
  readonly flushMode: FlushMode
  /** `replica.lag.time.max.ms`, in microseconds. Ticks more than half of it apart count as a sleep: nobody is judged by them. */
  readonly lagTimeMaxUs: number
  /** Session numbers are drawn from it: 53 bits, so that sessions of all partitions of a node differ. */
  readonly random: Random
}

export interface AlterPartition {
  readonly requestId: number
  readonly leaderEpoch: number
  readonly partitionEpoch: number
  readonly isr: readonly { readonly brokerId: number; readonly brokerEpoch: number }[]
}

export type AlterResult =
  | {
      readonly kind: 'applied'
      readonly isr: readonly number[]
      readonly partitionEpoch: number
      readonly leaderEpoch: number
    }
  /** A Kafka error code: 74, 95, 107, 42, 41, 3 … */
  | { readonly kind: 'rejected'; readonly error: number }
  /** No answer: the controller changed or the stream broke. */
  | { readonly kind: 'lost' }

/** Messages between the replicas of one partition. `to` is a broker id; the node finds the stream. */
export type PartitionMessage =
  | {
      readonly kind: 'follow'
      readonly to: number
      readonly leaderEpoch: number
      readonly session: number
      readonly endOffset: number
      readonly lastEpoch: number
      readonly logStart: number
    }
  | { readonly kind: 'unfollow'; readonly to: number; readonly session: number }
  | {
      readonly kind: 'ack'
      readonly to: number
      readonly session: number
      readonly durableEnd: number
      readonly logStart: number
    }
  | {
      readonly kind: 'accepted'
      readonly to: number
      readonly session: number
      readonly leaderEpoch: number
      readonly highWatermark: number
      readonly logStart: number
    }
  | {
      readonly kind: 'diverging'
      readonly to: number
      readonly session: number
      readonly epoch: number
      readonly endOffset: number
    }
  | { readonly kind: 'refused'; readonly to: number; readonly session: number; readonly code: RefusedCode }
  | {
      readonly kind: 'progress'
      readonly to: number
      readonly session: number
      readonly highWatermark: number
      readonly logStart: number
    }

/** retry: the leader's image is behind; fenced: the follower's epochs are old; notLeader: ask the image again. */
export type RefusedCode = 'retry' | 'fenced' | 'notLeader' | 'outOfRange'

/**
 * The header of an Append. The node asks `mayWrite` first; when that holds it writes the batches and then steps with the header,
 * else it drops the batches and steps with the header all the same, so that the machine can follow anew.
 */
export interface AppendHeader {
  readonly kind: 'append'
  readonly session: number
  readonly baseOffset: number
  /** Own end offset after the node wrote the batches, or as it was when they were dropped. */
  readonly endOffset: number
  /** The largest batch leader epoch in the message. */
  readonly lastEpoch: number
  readonly highWatermark: number
  readonly logStart: number
}

export type FromLeader =
  | {
      readonly kind: 'accepted'
      readonly session: number
      readonly leaderEpoch: number
      readonly highWatermark: number
      readonly logStart: number
    }
  | { readonly kind: 'diverging'; readonly session: number; readonly epoch: number; readonly endOffset: number }
  | { readonly kind: 'refused'; readonly session: number; readonly code: RefusedCode }
  | { readonly kind: 'progress'; readonly session: number; readonly highWatermark: number; readonly logStart: number }
  | AppendHeader

/**
 * What happens to one replica. Epoch questions about the own log (`epochEnd`) are answered by the `EpochHistory` given at
 * construction; the node keeps it equal to the log. What the node owes the machine:
 *
 * - `metadata` comes only from an image that holds this broker's own registration, and whenever a broker of `replicas` changes; its
 *   parts are of one image. `brokers` is kept and asked later, so it may be the image's own live map.
 * - After `truncated` the node reports `durable` once the truncation is on disk, even when nothing is appended. A truncation also
 *   removes epochs that were begun at or above its offset, even when no record is cut.
 * - `peerOpened` and `peerClosed` may be of either stream with that peer. `peerClosed` comes before anything of a new stream.
 *   Messages to a peer without a stream are dropped; the machine asks again.
 * - `alterReply` lost comes once for a request whose answer can no longer come; its repetition may wait for the next stream.
 *   The controller ignores an AlterPartition of a stream that it has seen closed.
 */
export type PartitionInput =
  | { readonly kind: 'metadata'; readonly state: PartitionState; readonly brokers: ReadonlyMap<number, BrokerState> }
  | { readonly kind: 'appended'; readonly endOffset: number; readonly generation: number }
  | { readonly kind: 'durable'; readonly endOffset: number; readonly generation: number }
  | { readonly kind: 'truncated'; readonly endOffset: number; readonly generation: number }
  | { readonly kind: 'logStart'; readonly offset: number }
  | {
      readonly kind: 'follow'
      readonly from: number
      readonly brokerEpoch: number
      readonly leaderEpoch: number
      readonly session: number
      readonly endOffset: number
      readonly lastEpoch: number
      readonly logStart: number
    }
  | { readonly kind: 'unfollow'; readonly from: number; readonly session: number }
  | {
      readonly kind: 'ack'
      readonly from: number
      readonly session: number
      readonly durableEnd: number
      readonly logStart: number
    }
  | { readonly kind: 'fromLeader'; readonly from: number; readonly message: FromLeader }
  | { readonly kind: 'peerOpened'; readonly peer: number }
  | { readonly kind: 'peerClosed'; readonly peer: number }
  | { readonly kind: 'alterReply'; readonly requestId: number; readonly result: AlterResult }
  /** Own disk is full or failing: ask to leave the ISR. */
  | { readonly kind: 'unfit'; readonly unfit: boolean }
  | { readonly kind: 'tick'; readonly nowUs: number }

/**
 * The machine's answer. The node acts in this order: truncate, alter state, send, answer waiters. One object per machine, filled
 * anew by each step: read it before the next step. `send`, its messages and `alter` are never changed once given and may be kept.
 */
export interface PartitionOutput {
  /** Truncate the own log to this offset, then feed `truncated` before any other input. */
  readonly truncateTo: number | null
  /** Start the own log anew at this offset (leader's log start is above the own end), then feed `truncated`. */
  readonly restartAt: number | null
  /** Leader only: record (leaderEpoch, endOffset) in the epoch history before anything is appended. */
  readonly beginEpoch: number | null
  readonly highWatermark: number
  readonly logStart: number
  readonly send: readonly PartitionMessage[]
  readonly alter: AlterPartition | null
  /** Produces parked under this leader epoch are answered NOT_LEADER_OR_FOLLOWER. */
  readonly failWaitersOfEpoch: number | null
  /** The replica can not be trusted: it leaves ISR and ELR and refetches. */
  readonly quarantine: string | null
}

export interface EpochHistory {
  /** The largest epoch at or below `epoch` that the log knows, and where it ends; null when it knows none. */
  epochEnd(epoch: number): { readonly epoch: number; readonly endOffset: number } | null
}

/** What the node asks between steps. */
export interface PartitionView {
  readonly role: 'leader' | 'follower' | 'none'
  readonly leaderEpoch: number
  readonly highWatermark: number
  /**
   * What the watermark's checkpoint may say: as far as the own log is on disk. A follower's watermark may be ahead of its disk, and
   * a power cut may bring back what was truncated before it; a checkpoint of `highWatermark` would then call that committed. It
   * falls below an earlier checkpoint only after an unclean election, and is then to be on disk before what is appended next.
   */
  readonly durableHighWatermark: number
  readonly logStart: number
  /** Leader: a new leader's watermark has reached its epoch's start, so "latest" may be answered. */
  readonly latestKnown: boolean
  /** Leader: acks=all may be appended (|ISR| ≥ min.insync.replicas). */
  readonly enoughReplicas: boolean
  /** Leader: where its epoch begins in its log; -1 in other roles. */
  readonly epochStart: number
  /** Leader: the committed ISR as it knows it by metadata and replies; empty in other roles. */
  readonly isr: readonly number[]
  /**
   * Leader: sessions of accepted followers, for the node to stream to. Another array when somebody comes or goes; its members are
   * live: their fields change with the steps, `session` too when a follower begins a new one.
   */
  readonly followers: readonly FollowerProgress[]
}

export interface FollowerProgress {
  readonly brokerId: number
  readonly session: number
  /** What the follower's log held when it was accepted; the node moves its own send cursor from here. */
  readonly acceptedEnd: number
  /** What the follower acknowledged in this session; -1 before its first ack. */
  readonly durableEnd: number
  readonly inSync: boolean
  /** The follower's log start, for the low watermark of DeleteRecords. */
  readonly logStart: number
}

/** What a follower promised to hold, as its leader counts it: -1 for nothing, or by an incarnation that is not known. */
export interface FollowerPromise {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly durableEnd: number
}

/** What only checks ask, as it is now: getters over live state, without a copy. */
export interface PartitionInspection {
  /** As the latest metadata had it; -1 before any. */
  readonly partitionEpoch: number
  /** The own log as the machine knows it. */
  readonly endOffset: number
  readonly durableEnd: number
  readonly generation: number
  /** Leader: the ISR as metadata has it; empty in other roles. */
  readonly confirmedIsr: readonly number[]
  /** Leader: everybody who is or may already be in the ISR, so whom the watermark waits for; empty in other roles. */
  readonly maximalIsr: readonly number[]
  /** Leader: what it counts of each other replica, present or not; empty in other roles. */
  readonly promises: readonly FollowerPromise[]
  /** Follower: the most that it has acknowledged in this leader epoch; -1 for nothing, and in other roles. */
  readonly acknowledged: number
  /** Leader: an ISR change whose fate is open. */
  readonly isrPending: boolean
  /** Leader: min.insync.replicas, capped to the number of replicas; 0 in other roles. */
  readonly minInsyncReplicas: number
  /** The machine is inert, because its log is in doubt. */
  readonly quarantined: boolean
}

export interface PartitionMachine extends PartitionView {
  /** Throws `BrokenInvariant` when the node breaks the contract of an input; never for what a peer or the controller sent. */
  step(input: PartitionInput): PartitionOutput
  /** Follower: whether the batches of this Append continue the own log and may be written. Changes nothing. */
  mayWrite(from: number, append: Pick<AppendHeader, 'session' | 'baseOffset' | 'lastEpoch'>): boolean
  /** Leader: an Append of this session carried the present watermark and log start, so the next tick needs no Progress. */
  carried(session: number): void
  readonly inspection: PartitionInspection
}
