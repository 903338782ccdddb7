import { ErrorCode } from '@millrace/base'
import type { Done, IoError } from '@millrace/base'
import { codec, wholeBatchBytes } from '@millrace/records'
import type { LogSlice } from '@millrace/storage'
import type { Replica } from '../../seams.ts'
import type { FetchMemory } from '../fetch-memory.ts'
import type { Services } from '../services.ts'
import { fetchError } from '../version-errors.ts'
import type { FetchPartition, PartitionFetch } from './fetch-partition.ts'
import { Deadline } from './timing-wheel.ts'

/** The first version that may carry zstd. */
const ZSTD_SINCE = 10
/** What is read of a partition at once: what fits into one buffer. */
const PIECE_BYTES = 1024 * 1024

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
export class ParkedFetch extends Deadline implements PartitionFetch {
  private readonly services: Services
  private readonly plan: FetchPlan
  private phase: Phase = 'new'
  private available = 0
  /** Some partition has news that nobody waits with: an error, or where else to read. */
  private decided = false
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
    return this.decided || this.available >= this.plan.minBytes
  }

  private count(partition: FetchPartition): void {
    this.available += partition.available
    if (partition.decided) this.decided = true
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
    partition.maxBytes = maxBytes
    partition.mayExceed = first
    this.reads++
    if (this.readPieces(partition)) {
      this.roomLeft = Math.max(0, this.roomLeft - partition.bytes)
      // Nothing was there after all: the right to exceed the limits is still to be given.
      if (first && partition.bytes === 0) this.firstGiven = false
      this.reads--
    } else this.roomLeft -= Math.min(maxBytes, partition.available)
  }

  /** Reads the partition piece by piece. False when an answer of the log comes later, which then goes on here. */
  private readPieces(partition: FetchPartition): boolean {
    const { memory } = this.plan
    for (;;) {
      const maxBytes = Math.min(partition.roomLeft, PIECE_BYTES)
      memory.readBegan()
      const answer: Done<LogSlice> = (error, slice) => {
        memory.readEnded()
        if (this.phase === 'over') return
        this.plan.guard(() => {
          if (this.pieceDone(partition, error, slice) || this.readPieces(partition)) this.finishRead()
        })
      }
      const limits = { ...partition.limits, maxBytes, memory }
      const now = (partition.replica as Replica).read(partition.nextOffset, limits, answer)
      if (now === null) return false
      memory.readEnded()
      if (this.pieceDone(partition, null, now)) return true
    }
  }

  /** Takes what was read. True when it was the partition's last piece. */
  private pieceDone(partition: FetchPartition, error: IoError | null, slice: LogSlice): boolean {
    const isLater = partition.bytes > 0
    // A later piece that is no good is the first of the next fetch, which tells of it.
    if (isLater && (error !== null || slice.bytes > partition.roomLeft)) return true
    this.readDone(partition, error, slice)
    return slice.bytes === 0 || partition.bytes === 0 || partition.roomLeft < PIECE_BYTES / 2 || !partition.hasMore
  }

  private readDone(partition: FetchPartition, error: IoError | null, slice: LogSlice): void {
    if (error !== null) {
      partition.fail(ErrorCode.KAFKA_STORAGE_ERROR)
      return
    }
    if (this.plan.version < ZSTD_SINCE && holdsZstd(slice.parts)) {
      partition.fail(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
      return
    }
    if (partition.mayExceed || slice.bytes <= partition.roomLeft) partition.take(slice)
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
