import { ErrorCode } from '@millrace/base'
import { ListOffsetsApi, type ListOffsetsResponse, OffsetForLeaderEpochApi } from '@millrace/protocol'
import type { SimClient } from './client.ts'
import type { Reading } from './reading.ts'
import type { WireConnection } from './wire.ts'

const EPOCH_SINCE = 4
const LATEST = -1
const EARLIEST = -2
const BACKOFF_US = 100_000

/** How a consumer looks things up; see `ReadingStyle`. */
interface LookupStyle {
  readonly final: boolean
  readonly fencedPercent: number
}

/** What a consumer looks up of its partitions: where to begin, and after a change of leaders whether what it read is still in the log. */
export class Lookups {
  underWay = 0
  private readonly client: SimClient
  private readonly style: LookupStyle
  private readonly done: () => void

  constructor(client: SimClient, style: LookupStyle, done: () => void) {
    this.client = client
    this.style = style
    this.done = done
  }

  /** Begins what this partition needs, if anything. */
  lookIfDue(reading: Reading, connection: WireConnection): void {
    const { epoch } = reading.view
    if (reading.offset === null) this.findStart(reading, connection)
    else if (epoch > reading.comparedEpoch) {
      reading.comparedEpoch = epoch
      if (reading.batchEpoch >= 0 && reading.batchEpoch < epoch && this.client.draw.chance(50))
        this.compare(reading, connection, reading.offset)
    }
  }

  private findStart(reading: Reading, connection: WireConnection): void {
    const { client } = this
    const { topic, partition } = reading.view
    const { start } = reading
    const version = connection.version(ListOffsetsApi)
    const epoch = version >= EPOCH_SINCE && client.draw.chance(this.style.fencedPercent) ? reading.view.epoch : -1
    const timestamp = start === 'latest' ? LATEST : start === 'earliest' ? EARLIEST : start
    const invokedUs = this.begin(reading)
    const partitions = [{ partitionIndex: partition, currentLeaderEpoch: epoch, timestamp }]
    const request = { replicaId: -1, isolationLevel: 0, topics: [{ name: topic, partitions }], timeoutMs: 1000 }
    connection.ask(ListOffsetsApi, version, request, (response) => {
      const answer = partitionOf(response)
      if (answer?.errorCode === ErrorCode.NONE) {
        this.record(reading, { asked: askedOf(start), invokedUs, epoch, from: timestamp, answer: answer.offset })
        // No record is that young yet.
        if (answer.offset < 0) reading.start = 'latest'
        else reading.offset = answer.offset
      } else this.refused(reading)
      this.end(reading)
    })
  }

  /** Asks where the epoch of what was last read ends in the leader's log: before the position would mean that it is lost (KIP-320). */
  private compare(reading: Reading, connection: WireConnection, position: number): void {
    const { topic, partition, epoch } = reading.view
    const version = connection.version(OffsetForLeaderEpochApi)
    const invokedUs = this.begin(reading)
    const partitions = [{ partition, currentLeaderEpoch: epoch, leaderEpoch: reading.batchEpoch }]
    connection.ask(OffsetForLeaderEpochApi, version, { replicaId: -1, topics: [{ topic, partitions }] }, (response) => {
      const answer = response?.topics[0]?.partitions[0]
      if (answer?.errorCode === ErrorCode.NONE)
        this.record(reading, { asked: 'epoch-end', invokedUs, epoch, from: position, answer: answer.endOffset })
      else this.refused(reading)
      this.end(reading)
    })
  }

  private begin(reading: Reading): number {
    reading.busy = true
    this.underWay++
    return this.client.nowUs
  }

  private end(reading: Reading): void {
    reading.busy = false
    this.underWay--
    this.done()
  }

  private refused(reading: Reading): void {
    const { client } = this
    client.view.doubt()
    reading.notBeforeUs = client.nowUs + BACKOFF_US
    client.after(BACKOFF_US, this.done)
  }

  private record(
    { view }: Reading,
    told: { asked: string; invokedUs: number; epoch: number; from: number; answer: number },
  ): void {
    const { client } = this
    client.crowd.ended({
      client: client.name,
      kind: 'lookup',
      endedUs: client.nowUs,
      outcome: 'ok',
      topic: view.topic,
      partition: view.partition,
      values: [],
      final: this.style.final,
      ...told,
    })
  }
}

function askedOf(start: Reading['start']): string {
  return typeof start === 'number' ? 'timestamp' : start
}

function partitionOf(response: ListOffsetsResponse | null): { errorCode: number; offset: number } | undefined {
  return response?.topics[0]?.partitions[0]
}
