import { ErrorCode } from '@millrace/base'
import { ListOffsetsApi } from '@millrace/protocol'
import type { ListOffsetsRequest, ListOffsetsResponse } from '@millrace/protocol'
import type { TimestampHit } from '@millrace/storage'
import type { Replica } from '../seams.ts'
import type { Exchange } from './exchange.ts'
import type { Handler, Services } from './services.ts'
import { listOffsetsError } from './version-errors.ts'

type Asked = ListOffsetsRequest['topics'][number]['partitions'][number]
type Answer = ListOffsetsResponse['topics'][number]['partitions'][number]

const LATEST = -1
const EARLIEST = -2
/** Special times, and the first version that knows each. */
const MAX_TIMESTAMP = -3
const EARLIEST_LOCAL = -4
const LATEST_TIERED = -5
const EARLIEST_PENDING_UPLOAD = -6
const KNOWN_SINCE: ReadonlyMap<number, number> = new Map([
  [LATEST, 1],
  [EARLIEST, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
])
const UNKNOWN = -1

/**
 * Offsets by time, from the leader. A time that no record has reached is offset -1 without an error. Right after an election "latest" is
 * not known yet: OFFSET_NOT_AVAILABLE, which clients retry. Nothing is tiered, so the tiered times find nothing. A partition named twice
 * is INVALID_REQUEST, a time that the version does not know UNSUPPORTED_VERSION.
 */
export function listOffsetsHandler(services: Services): Handler<ListOffsetsRequest, ListOffsetsResponse> {
  return {
    api: ListOffsetsApi,
    serve: (exchange, request) => new ListOffsetsRun(services, exchange, request).begin(),
  }
}

class ListOffsetsRun {
  private readonly services: Services
  private readonly exchange: Exchange<ListOffsetsResponse>
  private readonly request: ListOffsetsRequest
  private unanswered = 1

  constructor(services: Services, exchange: Exchange<ListOffsetsResponse>, request: ListOffsetsRequest) {
    this.services = services
    this.exchange = exchange
    this.request = request
  }

  begin(): void {
    const topics = this.request.topics.map(({ name, partitions }) => {
      const answers: Answer[] = Array.from(partitions, ({ partitionIndex }) => failed(partitionIndex, ErrorCode.NONE))
      return { name, partitions: answers }
    })
    const seen = new Map<string, Set<number>>()
    this.request.topics.forEach(({ name, partitions }, topic) => {
      const indexes = seen.get(name) ?? new Set<number>()
      seen.set(name, indexes)
      partitions.forEach((asked, at) => {
        this.unanswered++
        const set = (answer: Answer): void => {
          const answers = (topics[topic] as (typeof topics)[number]).partitions
          answers[at] = { ...answer, errorCode: listOffsetsError(answer.errorCode as ErrorCode, this.exchange.version) }
          this.answered(topics)
        }
        if (indexes.has(asked.partitionIndex)) set(failed(asked.partitionIndex, ErrorCode.INVALID_REQUEST))
        else this.look(name, asked, set)
        indexes.add(asked.partitionIndex)
      })
    })
    this.answered(topics)
  }

  private answered(topics: ListOffsetsResponse['topics']): void {
    if (--this.unanswered === 0) this.exchange.respond({ throttleTimeMs: 0, topics })
  }

  private look(topic: string, asked: Asked, set: (answer: Answer) => void): void {
    const { partitionIndex: index, timestamp } = asked
    if (this.request.replicaId >= 0) return set(failed(index, ErrorCode.CLUSTER_AUTHORIZATION_FAILED))
    if (timestamp < 0 && !((KNOWN_SINCE.get(timestamp) ?? Infinity) <= this.exchange.version))
      return set(failed(index, ErrorCode.UNSUPPORTED_VERSION))
    const found = this.services.broker.replicas.find(topic, index)
    if (typeof found === 'number') return set(failed(index, found))
    this.ask(found, asked, set)
  }

  private ask(replica: Replica, asked: Asked, set: (answer: Answer) => void): void {
    const { partitionIndex: index, timestamp, currentLeaderEpoch: epoch } = asked
    const isolation = this.request.isolationLevel === 1 ? 1 : 0
    const found = (error: ErrorCode, hit: TimestampHit | null): void =>
      this.exchange.connection.guard(() => set(error === ErrorCode.NONE ? fromHit(index, hit) : failed(index, error)))
    if (timestamp === LATEST) set(fromOffset(index, replica.latestOffset(epoch, isolation)))
    else if (timestamp === EARLIEST || timestamp === EARLIEST_LOCAL)
      set(fromOffset(index, replica.earliestOffset(epoch)))
    else if (timestamp === MAX_TIMESTAMP) replica.maxTimestamp(epoch, found)
    else if (timestamp >= 0) replica.offsetForTimestamp(timestamp, epoch, found)
    else set(failed(index, replica.earliestOffset(epoch).error))
  }
}

function fromOffset(
  partitionIndex: number,
  { error, offset, leaderEpoch }: { error: ErrorCode; offset: number; leaderEpoch: number },
): Answer {
  if (error !== ErrorCode.NONE) return failed(partitionIndex, error)
  return { partitionIndex, errorCode: ErrorCode.NONE, timestamp: UNKNOWN, offset, leaderEpoch }
}

function fromHit(partitionIndex: number, hit: TimestampHit | null): Answer {
  if (hit === null) return failed(partitionIndex, ErrorCode.NONE)
  const { timestamp, offset, leaderEpoch } = hit
  return { partitionIndex, errorCode: ErrorCode.NONE, timestamp, offset, leaderEpoch }
}

function failed(partitionIndex: number, errorCode: ErrorCode): Answer {
  return { partitionIndex, errorCode, timestamp: UNKNOWN, offset: UNKNOWN, leaderEpoch: UNKNOWN }
}
