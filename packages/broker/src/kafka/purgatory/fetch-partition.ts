import { ErrorCode } from '@millrace/base'
import type { FetchRequest } from '@millrace/protocol'
import type { EpochEnd, LogSlice } from '@millrace/storage'
import type { FetchState, ReadLimits, Replica, ReplicaSelector } from '../../seams.ts'
import type { FetchedPartition } from '../fetch-response.ts'
import { PartitionWaiter } from './partition-watches.ts'

type AskedPartition = FetchRequest['topics'][number]['partitions'][number]

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

const NOTHING: readonly Uint8Array[] = Object.freeze([])

/** The fetch that a partition belongs to. */
export interface PartitionFetch {
  moved(partition: FetchPartition): void
}

/** What all partitions of one fetch have in common. */
export interface FetchTerms {
  readonly isolation: 0 | 1
  /** Versions up to 10 know nothing of replicas that are read from. */
  readonly leaderOnly: boolean
  /** Chooses the replica to read from; null: the one that was asked. */
  readonly selector: ReplicaSelector | null
  /** Topics are named by id. */
  readonly byId: boolean
}

/** One partition of a fetch: what was asked, how it stands, what was read. */
export class FetchPartition extends PartitionWaiter implements FetchedPartition {
  readonly index: number
  offset = -1
  replica: Replica | null = null
  fetch: PartitionFetch | null = null
  error: ErrorCode = ErrorCode.NONE
  highWatermark = -1
  lastStableOffset = -1
  logStart = -1
  diverging: EpochEnd | null = null
  preferredReplica = -1
  parts: readonly Uint8Array[] = NOTHING
  bytes = 0
  /** What could be read, at most what was asked for. */
  available = 0
  /** What this fetch has room for, and whether its first batch may be larger. */
  maxBytes = 0
  mayExceed = false
  /** Where the next piece begins. */
  nextOffset = -1
  private readonly mutableLimits: Mutable<ReadLimits> = {
    maxBytes: 0,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    isolation: 0,
    leaderOnly: true,
    selector: null,
  }
  private byId = false

  constructor(asked: AskedPartition) {
    super()
    this.index = asked.partition
    this.ask(asked)
  }

  get limits(): ReadLimits {
    return this.mutableLimits
  }

  /** The answer tells the client something that ends its wait. */
  get decided(): boolean {
    return this.error !== ErrorCode.NONE || this.diverging !== null || this.preferredReplica >= 0
  }

  /** What is to be read, from the next fetch on. */
  ask(asked: AskedPartition): void {
    this.offset = asked.fetchOffset
    const limits = this.mutableLimits
    limits.maxBytes = Math.max(0, asked.partitionMaxBytes)
    limits.currentLeaderEpoch = asked.currentLeaderEpoch
    limits.lastFetchedEpoch = asked.lastFetchedEpoch
  }

  /** A fetch begins with the replica that is here, or the error that says why none is. */
  begin(found: Replica | ErrorCode, { isolation, leaderOnly, selector, byId }: FetchTerms): void {
    const limits = this.mutableLimits
    limits.isolation = isolation
    limits.leaderOnly = leaderOnly
    limits.selector = selector
    this.byId = byId
    this.nextOffset = this.offset
    this.error = ErrorCode.NONE
    this.diverging = null
    this.preferredReplica = -1
    this.available = 0
    this.drop()
    if (typeof found === 'number') {
      this.replica = null
      this.fail(found)
    } else this.replica = found
  }

  /** Looks again how the partition stands. */
  refresh(): void {
    if (this.replica === null) return
    const state: FetchState = this.replica.fetchState(this.offset, this.limits)
    if (state.error !== ErrorCode.NONE) {
      const deleted = this.byId && state.error === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      this.fail(deleted ? ErrorCode.UNKNOWN_TOPIC_ID : state.error)
      return
    }
    this.highWatermark = state.highWatermark
    this.lastStableOffset = state.lastStableOffset
    this.logStart = state.logStart
    this.diverging = state.diverging
    this.preferredReplica = state.preferredReplica
    this.available = Math.min(state.availableBytes, this.limits.maxBytes)
    // A limit below the smallest batch still counts as something to read.
    if (this.available === 0 && state.availableBytes > 0) this.available = 1
  }

  fail(error: ErrorCode): void {
    this.error = error
    this.highWatermark = -1
    this.lastStableOffset = -1
    this.logStart = -1
    this.diverging = null
    this.preferredReplica = -1
    this.available = 0
    this.drop()
  }

  /** Between two fetches of a session nothing is held. */
  rest(): void {
    this.fetch = null
    this.replica = null
    this.drop()
  }

  drop(): void {
    this.parts = NOTHING
    this.bytes = 0
  }

  take(slice: LogSlice): void {
    this.parts = this.bytes === 0 ? slice.parts : [...this.parts, ...slice.parts]
    this.bytes += slice.bytes
    this.nextOffset = slice.nextOffset
    // The watermark may have risen between the look and the read: an answer never holds more than the watermark that it tells.
    this.highWatermark = Math.max(this.highWatermark, slice.nextOffset)
    this.lastStableOffset = Math.max(this.lastStableOffset, slice.nextOffset)
  }

  get roomLeft(): number {
    return Math.max(0, this.maxBytes - this.bytes)
  }

  /** Whether the log has more behind what was read, under the same leadership. */
  get hasMore(): boolean {
    if (this.replica === null) return false
    const { error, availableBytes } = this.replica.fetchState(this.nextOffset, this.limits)
    return error === ErrorCode.NONE && availableBytes > 0
  }

  moved(): void {
    this.fetch?.moved(this)
  }
}
