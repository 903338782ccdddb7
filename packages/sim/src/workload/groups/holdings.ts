import { ErrorCode, ZERO_UUID } from '@millrace/base'
import { OffsetCommitApi, type OffsetCommitRequest, type OffsetCommitResponse } from '@millrace/protocol'
import type { Operation } from '../../seams.ts'
import type { SimClient } from '../client.ts'
import { Consumer, drawNaming, type ReadingStyle } from '../consumer.ts'
import { Reading } from '../reading.ts'
import type { WireConnection } from '../wire.ts'
import { askCommitted } from './committed.ts'
import type { Place } from './subscription.ts'

/** What a member proves itself with. */
export interface Membership {
  readonly memberId: string
  readonly instanceId: string | null
  /** The generation, or the member epoch. */
  readonly generation: number
  /** The first version of OffsetCommit and OffsetFetch that knows of such members. */
  readonly leastVersion: number
}

/**
 * An answer about what is committed counts for so long after the member asked for what it was told to read: nobody else can have come to own the partition
 * meanwhile, and committed for it, because sessions are longer.
 */
const SURE_US = 1_500_000

/** The partitions that a member of a group has: it reads them from where the group is, and commits how far it came. */
export class Holdings {
  readonly consumer: Consumer
  readonly group: string
  private readonly client: SimClient
  /** What was committed last, by reading. */
  private readonly committed = new Map<Reading, number>()

  constructor(client: SimClient, group: string) {
    this.client = client
    this.group = group
    this.consumer = new Consumer(client, drawStyle(client))
    client.view.wantEpochs()
  }

  get places(): readonly Place[] {
    return this.consumer.readings.map(({ view }) => view)
  }

  holds({ topic, partition }: Place): boolean {
    return this.places.some((place) => place.topic === topic && place.partition === partition)
  }

  drop(which: (place: Place) => boolean): void {
    const { readings } = this.consumer
    for (let at = readings.length - 1; at >= 0; at--) {
      const reading = readings[at] as Reading
      if (!which(reading.view)) continue
      readings.splice(at, 1)
      this.committed.delete(reading)
    }
  }

  /**
   * The coordinator said over this connection, asked at `askedUs`, that these are the member's. Begins to read them when it is known from where; `done` tells false when
   * that can not be found out, or not in time: then the member does not have them.
   */
  take(
    places: readonly Place[],
    over: { readonly connection: WireConnection; readonly askedUs: number },
    as: Membership,
    done: (taken: boolean) => void,
  ): void {
    const { client, group } = this
    for (const place of places) this.claim(place, as)
    if (places.length === 0) return done(true)
    askCommitted(client, { connection: over.connection, group, as, places }, (offsets, invokedUs) => {
      const sure = offsets !== null && client.nowUs - over.askedUs <= SURE_US
      if (offsets === null || !sure) return done(false)
      places.forEach((place, at) => {
        const answer = offsets[at] as number
        client.crowd.ended({
          ...this.operation('committed', place, as),
          invokedUs,
          endedUs: client.nowUs,
          outcome: 'ok',
          answer,
        })
        this.read(place, answer)
      })
      done(true)
      this.consumer.wake()
    })
  }

  private claim(place: Place, as: Membership): void {
    const owner = as.instanceId ?? as.memberId
    const { client } = this
    client.crowd.ended({ ...this.operation('claim', place, as), endedUs: client.nowUs, outcome: 'ok', owner })
  }

  private read({ topic, partition }: Place, offset: number): void {
    const view = this.client.view.find(topic, partition)
    if (view === null) return
    const reading = new Reading(view)
    if (offset >= 0) reading.seek(offset)
    this.committed.set(reading, offset)
    this.consumer.readings.push(reading)
  }

  /** Commits what was read since the last time; tells the first error, or null for no answer. */
  commit(connection: WireConnection, as: Membership, done: (error: number | null) => void): void {
    const { client } = this
    const moved = this.consumer.readings.filter(
      (reading) => reading.offset !== null && reading.offset !== (this.committed.get(reading) ?? -1),
    )
    if (moved.length === 0) return done(ErrorCode.NONE)
    const commits = moved.map((reading) => {
      const operation: Operation = { ...this.operation('commit', reading.view, as), from: reading.offset as number }
      client.crowd.begun(operation)
      return { operation, reading, offset: reading.offset as number }
    })
    const version = connection.version(OffsetCommitApi, as.leastVersion)
    connection.ask(OffsetCommitApi, version, this.request(moved, as), (response) => {
      let first: number | null = response === null ? null : ErrorCode.NONE
      for (const { operation, reading, offset } of commits) {
        const error = response === null ? null : errorOf(response, operation)
        if (error !== null && error !== ErrorCode.NONE) {
          operation.error = error
          first ||= error
        }
        if (error === ErrorCode.NONE) this.committed.set(reading, offset)
        operation.outcome = error === ErrorCode.NONE ? 'ok' : 'info'
        operation.endedUs = client.nowUs
        client.crowd.ended(operation)
      }
      done(first)
    })
  }

  private request(readings: readonly Reading[], as: Membership): OffsetCommitRequest {
    const names = [...new Set(readings.map(({ view }) => view.topic))]
    return {
      groupId: this.group,
      generationIdOrMemberEpoch: as.generation,
      memberId: as.memberId,
      groupInstanceId: as.instanceId,
      retentionTimeMs: -1,
      topics: names.map((name) => ({
        name,
        topicId: ZERO_UUID,
        partitions: readings
          .filter(({ view }) => view.topic === name)
          .map(({ view, offset, batchEpoch }) => ({
            partitionIndex: view.partition,
            committedOffset: offset as number,
            committedLeaderEpoch: batchEpoch,
            committedMetadata: '',
          })),
      })),
    }
  }

  private operation(kind: Operation['kind'], { topic, partition }: Place, { generation }: Membership): Operation {
    const { client, group } = this
    const times = { invokedUs: client.nowUs, endedUs: Number.POSITIVE_INFINITY }
    return { client: client.name, kind, ...times, outcome: 'info', topic, partition, values: [], group, generation }
  }
}

function errorOf({ topics }: OffsetCommitResponse, { topic, partition }: Operation): number {
  const told = topics
    .find(({ name }) => name === topic)
    ?.partitions.find(({ partitionIndex }) => partitionIndex === partition)
  return told?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
}

function drawStyle(client: SimClient): ReadingStyle {
  const { draw } = client
  return {
    final: false,
    maxBytes: draw.pick([5_000, 50_000_000]),
    partitionMaxBytes: draw.pick([2_000, 1_000_000]),
    minBytes: draw.pick([1, 500]),
    maxWaitMs: draw.pick([100, 500]),
    isolationLevel: 0,
    thinkUs: draw.pick([100_000, 300_000]),
    // A leader of the past tells anybody else that its log ends below what the group has read, and the group would begin again.
    fencedPercent: 100,
    ...drawNaming(client),
  }
}
