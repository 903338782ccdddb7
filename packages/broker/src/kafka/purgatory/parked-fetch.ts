import { ErrorCode } from '@millrace/base'
import type { IoError } from '@millrace/base'
import type { FetchRequest } from '@millrace/protocol'
import { codec, wholeBatchBytes } from '@millrace/records'
import type { LogSlice } from '@millrace/storage'
import type { FetchState, ReadLimits, Replica } from '../../seams.ts'
import type { FetchMemory } from '../fetch-memory.ts'
import type { FetchedPartition } from '../fetch-response.ts'
import type { Services } from '../services.ts'
import { fetchError } from '../version-errors.ts'
import { PartitionWaiter } from './partition-watches.ts'
import { Deadline } from './timing-wheel.ts'

type AskedPartition = FetchRequest['topics'][number]['partitions'][number]

/** The first version that may carry zstd. */
const ZSTD_SINCE = 10
const NOTHING: readonly Uint8Array[] = Object.freeze([])

/** One partition of a fetch: what was asked, how it stands, what was read. */
export class FetchPartition extends PartitionWaiter implements FetchedPartition {
  readonly index: number
  readonly offset: number
  readonly limits: ReadLimits
  readonly replica: Replica | null
  fetch: ParkedFetch | null = null
  error: ErrorCode = ErrorCode.NONE
  highWatermark = -1
  lastStableOffset = -1
  logStart = -1
  parts: readonly Uint8Array[] = NOTHING
  bytes = 0
  /** What could be read, at most what was asked for. */
  available = 0

  constructor(found: Replica | ErrorCode, asked: AskedPartition, isolation: 0 | 1) {
    super()
    this.index = asked.partition
    this.offset = asked.fetchOffset
    this.limits = {
      maxBytes: Math.max(0, asked.partitionMaxBytes),
      currentLeaderEpoch: asked.currentLeaderEpoch,
      isolation,
    }
    this.replica = typeof found === 'number' ? null : found
    if (typeof found === 'number') this.error = found
  }

  /** Looks again how the partition stands. */
  refresh(): void {
    if (this.replica === null) return
    const state: FetchState = this.replica.fetchState(this.offset, this.limits)
    if (state.error === ErrorCode.NONE) {
      this.highWatermark = state.highWatermark
      this.lastStableOffset = state.lastStableOffset
      this.logStart = state.logStart
      this.available = Math.min(state.availableBytes, this.limits.maxBytes)
      // A limit below the smallest batch still counts as something to read.
      if (this.available === 0 && state.availableBytes > 0) this.available = 1
    } else this.fail(state.error)
  }

  fail(error: ErrorCode): void {
    this.error = error
    this.highWatermark = -1
    this.lastStableOffset = -1
    this.logStart = -1
    this.available = 0
    this.drop()
  }

  drop(): void {
    this.parts = NOTHING
    this.bytes = 0
  }

  take(slice: LogSlice): void {
    this.parts = slice.parts
    this.bytes = slice.bytes
  }

  moved(): void {
    this.fetch?.moved(this)
  }
}

export interface FetchPlan {
  readonly version: number
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  /** In the order of the request. */
  readonly partitions: readonly FetchPartition[]
  /** Where to they are read; released by whoever takes the answer. */
  readonly memory: FetchMemory
  /** Everything is read. Called once, unless the fetch is abandoned. */
  ready(): void
  /** Runs what happens later on behalf of the client. */
  guard(run: () => void): void
  /** Something that happened later threw. */
  failed(error: unknown): void
}

type Phase = 'new' | 'parked' | 'due' | 'reading' | 'over'

/**
 * A fetch from the first look to the last byte read. While what it may read is less than it wants it is parked: in the timing wheel for
 * its deadline, and in the watches of its partitions, each of which is looked at again only when it moves. All that moved in one
 * turn is read together, at the end of that turn.
 */
export class ParkedFetch extends Deadline {
  private readonly services: Services
  private readonly plan: FetchPlan
  private phase: Phase = 'new'
  private available = 0
  private failed = false
  private roomLeft = 0
  /** What of the listener's output this fetch counts for while it reads. */
  private reserved = 0
  private reads = 0
  /** Whether some partition was given the right to exceed the limits. */
  private firstGiven = false
  /** A later partition whose first batch was larger than its limit. */
  private tooLarge: { partition: FetchPartition; slice: LogSlice } | null = null

  constructor(services: Services, plan: FetchPlan) {
    super()
    this.services = services
    this.plan = plan
  }

  begin(): void {
    const { partitions, maxWaitMs } = this.plan
    for (const partition of partitions) {
      partition.fetch = this
      partition.refresh()
      this.count(partition)
    }
    if (maxWaitMs <= 0 || partitions.length === 0 || this.satisfied) this.read()
    else this.park()
  }

  /** The client is gone. */
  abandon(): void {
    if (this.phase === 'parked' || this.phase === 'due') this.unpark()
    this.release()
    this.phase = 'over'
  }

  expire(): void {
    if (this.phase === 'parked') this.plan.guard(() => this.unparkAndRead())
  }

  /** A partition changed while this fetch is parked. Others wait to be told after this one, so nothing is thrown. */
  moved(partition: FetchPartition): void {
    if (this.phase !== 'parked') return
    try {
      this.lookAt(partition)
    } catch (error) {
      this.plan.failed(error)
    }
  }

  private lookAt(partition: FetchPartition): void {
    this.available -= partition.available
    partition.refresh()
    this.count(partition)
    if (!this.satisfied) return
    this.phase = 'due'
    this.services.broker.world.timers.endOfTurn(() => {
      if (this.phase === 'due') this.plan.guard(() => this.unparkAndRead())
    })
  }

  private get satisfied(): boolean {
    return this.failed || this.available >= this.plan.minBytes
  }

  private count(partition: FetchPartition): void {
    this.available += partition.available
    if (partition.error !== ErrorCode.NONE) this.failed = true
  }

  private park(): void {
    this.phase = 'parked'
    this.services.wheel.add(this, this.plan.maxWaitMs)
    for (const partition of this.plan.partitions)
      if (partition.replica !== null) this.services.watches.add(partition.replica, partition)
  }

  private unpark(): void {
    this.cancel()
    for (const partition of this.plan.partitions) partition.leave()
  }

  private unparkAndRead(): void {
    this.unpark()
    this.available = 0
    for (const partition of this.plan.partitions) {
      partition.refresh()
      this.count(partition)
    }
    this.read()
  }

  /** Cold reads go on side by side, each with its share of the room taken beforehand. */
  private read(): void {
    const { output } = this.services
    this.phase = 'reading'
    this.roomLeft = Math.min(output.room(Math.max(0, this.plan.maxBytes)), this.plan.memory.room)
    this.reserved = Math.min(this.roomLeft, this.available)
    output.add(this.reserved)
    this.reads = 1
    for (const partition of this.plan.partitions) {
      if (partition.available > 0 && partition.error === ErrorCode.NONE) this.readPartition(partition)
    }
    this.finishRead()
  }

  private readPartition(partition: FetchPartition): void {
    const first = !this.firstGiven
    const maxBytes = Math.min(partition.limits.maxBytes, this.roomLeft)
    if (!first && maxBytes === 0) return
    this.firstGiven = true
    this.reads++
    const { memory } = this.plan
    const limits = { ...partition.limits, maxBytes, memory }
    memory.readBegan()
    const now = (partition.replica as Replica).read(partition.offset, limits, (error, slice) => {
      memory.readEnded()
      if (this.phase === 'over') return
      this.plan.guard(() => {
        this.readDone(partition, error, slice, first ? Number.POSITIVE_INFINITY : maxBytes)
        this.finishRead()
      })
    })
    if (now !== null) memory.readEnded()
    if (now === null) this.roomLeft -= Math.min(maxBytes, partition.available)
    else {
      this.readDone(partition, null, now, first ? Number.POSITIVE_INFINITY : maxBytes)
      this.roomLeft = Math.max(0, this.roomLeft - partition.bytes)
      // Nothing was there after all: the right to exceed the limits is still to be given.
      if (first && partition.bytes === 0) this.firstGiven = false
      this.reads--
    }
  }

  private readDone(partition: FetchPartition, error: IoError | null, slice: LogSlice, limit: number): void {
    if (error !== null) {
      partition.fail(ErrorCode.KAFKA_STORAGE_ERROR)
      return
    }
    if (this.plan.version < ZSTD_SINCE && holdsZstd(slice.parts)) {
      partition.fail(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
      return
    }
    if (slice.bytes <= limit) partition.take(slice)
    else this.tooLarge ??= { partition, slice }
  }

  private release(): void {
    this.services.output.take(this.reserved)
    this.reserved = 0
  }

  private finishRead(): void {
    if (--this.reads > 0) return
    this.release()
    this.phase = 'over'
    const { partitions, version } = this.plan
    const { tooLarge } = this
    if (tooLarge !== null && partitions.every(({ bytes, error }) => bytes === 0 && error === ErrorCode.NONE))
      tooLarge.partition.take(tooLarge.slice)
    for (const partition of partitions) partition.error = fetchError(partition.error, version)
    this.plan.ready()
  }
}

function holdsZstd(parts: readonly Uint8Array[]): boolean {
  for (const part of parts) {
    for (let at = 0; at < part.length;) {
      const size = wholeBatchBytes(part, at)
      if (size <= 0) break
      if (codec(part, at) === 'zstd') return true
      at += size
    }
  }
  return false
}
