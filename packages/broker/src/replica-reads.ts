import { type Done, ErrorCode, type IoError, type Logger } from '@millrace/base'
import type { LogSlice, TimestampHit } from '@millrace/storage'
import type { BrokerCounters } from './metrics.ts'
import type { BrokerReplica } from './replica.ts'
import type { FetchState, OffsetAnswer, ReadLimits } from './seams.ts'

/** How clients read from a leader: never at or above the watermark, and only under the epoch that they expect. */
export class ReplicaReads {
  private readonly counters: BrokerCounters
  private readonly log: Logger

  constructor(counters: BrokerCounters, log: Logger) {
    this.counters = counters
    this.log = log
  }

  fetchState(replica: BrokerReplica, offset: number, limits: ReadLimits): FetchState {
    const { machine, log } = replica
    const error = readError(replica, limits.currentLeaderEpoch)
    if (error !== ErrorCode.NONE) return unreadable(error)
    const { highWatermark, logStart } = machine
    if (offset < logStart || offset > log.endOffset) return unreadable(ErrorCode.OFFSET_OUT_OF_RANGE)
    return {
      error,
      highWatermark,
      lastStableOffset: highWatermark,
      logStart,
      availableBytes: offset >= highWatermark ? 0 : estimatedBytes(replica, highWatermark - offset),
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
      done(now, hit !== null && hit.offset < replica.machine.highWatermark ? hit : null)
    })
  }

  epochEnd(
    replica: BrokerReplica,
    epoch: number,
    currentLeaderEpoch: number,
  ): { readonly error: ErrorCode; readonly epoch: number; readonly endOffset: number } {
    const error = readError(replica, currentLeaderEpoch)
    if (error !== ErrorCode.NONE) return { error, epoch: -1, endOffset: -1 }
    const { machine, log } = replica
    if (epoch === machine.leaderEpoch) return { error, epoch, endOffset: log.endOffset }
    const found = epoch > machine.leaderEpoch ? null : log.epochEnd(epoch)
    return { error, epoch: found?.epoch ?? -1, endOffset: found?.endOffset ?? -1 }
  }

  private readFailed(replica: BrokerReplica, error: IoError): void {
    this.log.error({ topic: replica.topic, partition: replica.partition, error }, 'log not readable')
  }
}

/** The fences of a read: not the leader here (6), or not under the epoch that the reader expects (74, 75). */
export function readError(replica: BrokerReplica, currentLeaderEpoch: number): ErrorCode {
  const error = replica.leaderError()
  if (error !== ErrorCode.NONE || currentLeaderEpoch === -1) return error
  const { leaderEpoch } = replica.machine
  if (currentLeaderEpoch < leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH
  return currentLeaderEpoch > leaderEpoch ? ErrorCode.UNKNOWN_LEADER_EPOCH : ErrorCode.NONE
}

function unreadable(error: ErrorCode): FetchState {
  return { error, highWatermark: -1, lastStableOffset: -1, logStart: -1, availableBytes: 0 }
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
