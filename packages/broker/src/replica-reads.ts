import { type Done, ErrorCode, type IoError, type Logger } from '@millrace/base'
import type { EpochEnd, LogSlice, TimestampHit } from '@millrace/storage'
import type { BrokerCounters } from './metrics.ts'
import type { BrokerReplica } from './replica.ts'
import type { FetchState, OffsetAnswer, ReadLimits, ReplicaSelector } from './seams.ts'

/** How clients read from a replica: never at or above its watermark, and only under the epoch that they expect. */
export class ReplicaReads {
  private readonly counters: BrokerCounters
  private readonly log: Logger

  constructor(counters: BrokerCounters, log: Logger) {
    this.counters = counters
    this.log = log
  }

  /** In the order in which Kafka looks: the fences, where else to read, whether the logs part, the range. */
  fetchState(replica: BrokerReplica, offset: number, limits: ReadLimits): FetchState {
    const { machine, log } = replica
    const error = readError(replica, limits.currentLeaderEpoch, limits.leaderOnly)
    if (error !== ErrorCode.NONE) return unreadable(error)
    const { highWatermark, logStart } = machine
    const preferredReplica = preferred(replica, offset, limits.selector)
    const elsewhere = preferredReplica >= 0
    const { lastFetchedEpoch = -1 } = limits
    let diverging: EpochEnd | null = null
    if (!elsewhere && lastFetchedEpoch >= 0) {
      const ending = this.epochEnd(replica, lastFetchedEpoch, -1, limits.leaderOnly)
      if (ending.endOffset < 0 || offset < logStart) return unreadable(ErrorCode.OFFSET_OUT_OF_RANGE)
      if (ending.epoch < lastFetchedEpoch || ending.endOffset < offset)
        diverging = { epoch: ending.epoch, endOffset: ending.endOffset }
    }
    const idle = elsewhere || diverging !== null
    if (!idle && (offset < logStart || offset > log.endOffset)) return unreadable(ErrorCode.OFFSET_OUT_OF_RANGE)
    return {
      error,
      highWatermark,
      lastStableOffset: highWatermark,
      logStart,
      availableBytes: idle || offset >= highWatermark ? 0 : estimatedBytes(replica, highWatermark - offset),
      diverging,
      preferredReplica,
    }
  }

  read(replica: BrokerReplica, offset: number, limits: ReadLimits, done: Done<LogSlice>): LogSlice | null {
    const { maxBytes, memory } = limits
    const answer: Done<LogSlice> = (error, late) => {
      if (error === null) this.counters.fetchedBytes += late.bytes
      else this.readFailed(replica, error)
      done(error, late)
    }
    const slice = replica.log.read(offset, maxBytes, replica.machine.highWatermark, answer, memory)
    if (slice !== null) this.counters.fetchedBytes += slice.bytes
    return slice
  }

  latestOffset(replica: BrokerReplica, currentLeaderEpoch: number, _isolation: 0 | 1): OffsetAnswer {
    const { machine } = replica
    const error = readError(replica, currentLeaderEpoch)
    if (error !== ErrorCode.NONE) return { error, offset: -1, leaderEpoch: -1 }
    if (!machine.latestKnown) return { error: ErrorCode.OFFSET_NOT_AVAILABLE, offset: -1, leaderEpoch: -1 }
    return { error, offset: machine.highWatermark, leaderEpoch: machine.leaderEpoch }
  }

  earliestOffset(replica: BrokerReplica, currentLeaderEpoch: number): OffsetAnswer {
    const error = readError(replica, currentLeaderEpoch)
    if (error !== ErrorCode.NONE) return { error, offset: -1, leaderEpoch: -1 }
    const { logStart } = replica.machine
    return { error, offset: logStart, leaderEpoch: epochAt(replica, logStart) }
  }

  /** A search in the log; what it finds at or above the watermark is nothing. */
  find(
    replica: BrokerReplica,
    currentLeaderEpoch: number,
    search: (answer: Done<TimestampHit | null>) => void,
    done: (error: ErrorCode, hit: TimestampHit | null) => void,
  ): void {
    const error = readError(replica, currentLeaderEpoch)
    if (error !== ErrorCode.NONE) return replica.later(() => done(error, null))
    search((failure, hit) => {
      // The log may have changed hands while the search ran.
      const now = failure === null ? readError(replica, currentLeaderEpoch) : ErrorCode.KAFKA_STORAGE_ERROR
      if (failure !== null) this.readFailed(replica, failure)
      if (now !== ErrorCode.NONE) return done(now, null)
      if (hit !== null && hit.offset < replica.machine.highWatermark) return done(now, hit)
      // What a new leader holds above its watermark may be committed already: whether nothing is that young is not known yet.
      done(replica.machine.latestKnown ? now : ErrorCode.OFFSET_NOT_AVAILABLE, null)
    })
  }

  epochEnd(
    replica: BrokerReplica,
    epoch: number,
    currentLeaderEpoch: number,
    leaderOnly = true,
  ): { readonly error: ErrorCode; readonly epoch: number; readonly endOffset: number } {
    const error = readError(replica, currentLeaderEpoch, leaderOnly)
    if (error !== ErrorCode.NONE) return { error, epoch: -1, endOffset: -1 }
    const { machine, log } = replica
    // An epoch that wrote nothing yet is the leader's all the same.
    const newest = machine.role === 'leader' ? machine.leaderEpoch : log.lastEpoch
    if (epoch < 0 || epoch > newest) return { error, epoch: -1, endOffset: -1 }
    if (epoch === newest) return { error, epoch, endOffset: log.endOffset }
    // What an epoch wrote before the log's start is gone, so it ends there: a reader that stands at the start has missed nothing.
    return { error, ...(log.epochEnd(epoch) ?? { epoch, endOffset: log.logStart }) }
  }

  private readFailed(replica: BrokerReplica, error: IoError): void {
    this.log.error({ topic: replica.topic, partition: replica.partition, error }, 'log not readable')
  }
}

/** The fences of a read: not served here, not under the epoch that the reader expects (74, 75), not the leader (6). */
export function readError(replica: BrokerReplica, currentLeaderEpoch: number, leaderOnly = true): ErrorCode {
  const error = replica.serviceError()
  if (error !== ErrorCode.NONE) return error
  const { leaderEpoch, role } = replica.machine
  if (currentLeaderEpoch !== -1 && currentLeaderEpoch < leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH
  if (currentLeaderEpoch > leaderEpoch) return ErrorCode.UNKNOWN_LEADER_EPOCH
  // A copy that nobody leads may be a blank one, whose emptiness says nothing of the partition.
  const serves = role === 'leader' || (!leaderOnly && replica.image.leader !== -1)
  return serves ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER
}

/** Of the followers that have the offset, the one that the selector sends the reader to; -1: this leader serves. */
function preferred({ machine }: BrokerReplica, offset: number, selector: ReplicaSelector | null | undefined): number {
  if (selector === null || selector === undefined || machine.role !== 'leader') return -1
  return selector.choose(
    machine.followers.filter(
      ({ inSync, durableEnd, logStart }) => inSync && durableEnd >= offset && logStart <= offset,
    ),
  )
}

const NOTHING_TO_READ = { availableBytes: 0, diverging: null, preferredReplica: -1 } as const

function unreadable(error: ErrorCode): FetchState {
  return { error, highWatermark: -1, lastStableOffset: -1, logStart: -1, ...NOTHING_TO_READ }
}

/** From the average size of a record in this log: enough to decide whether `min.bytes` may be there. */
function estimatedBytes(replica: BrokerReplica, records: number): number {
  const { sizeBytes, endOffset, logStart } = replica.log
  const span = Math.max(1, endOffset - logStart)
  return Math.max(1, Math.ceil((sizeBytes * Math.min(records, span)) / span))
}

/** The epoch of the record at `offset`: the smallest one that ends above it. */
function epochAt(replica: BrokerReplica, offset: number): number {
  const { log, machine } = replica
  if (offset >= log.endOffset) return machine.leaderEpoch
  let low = 0
  let high = machine.leaderEpoch
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if ((log.epochEnd(middle)?.endOffset ?? 0) > offset) high = middle
    else low = middle + 1
  }
  return log.epochEnd(low)?.epoch ?? -1
}
