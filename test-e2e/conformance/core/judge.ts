// What is really in the cluster, asked with raw requests: the word of the client under test is never taken for it.
import { LONG_MAX, ZERO_UUID } from '@millrace/base'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createClient } from '@millrace/client'
import {
  DeleteGroupsApi,
  FetchApi,
  FindCoordinatorApi,
  ListGroupsApi,
  ListOffsetsApi,
  OffsetFetchApi,
  ProduceApi,
} from '@millrace/protocol'
import {
  baseSequence,
  codec,
  encodeBatch,
  inflate,
  producerId,
  readRecords,
  recordsSection,
  splitBatches,
} from '@millrace/records'
import { Wire } from '../../src/wire.ts'
import type { Offsets, PlainRecord, ReadRecord } from './operations.ts'

/** What a batch's header says. */
export interface BatchFacts {
  readonly codec: string
  /** -1 without idempotence. */
  readonly producerId: number
  readonly baseSequence: number
  readonly records: number
}

/** What a partition holds. */
export interface PartitionContents {
  readonly records: readonly ReadRecord[]
  readonly batches: readonly BatchFacts[]
}

const FETCH_BYTES = 50_000_000
const INFLATED_LIMIT = 10_000_000
const ATTEMPTS = 20
const ANSWER_MS = 15_000
const EARLIEST = -2
const LATEST = -1

/** Sets the stage for a scenario and reads what came of it. */
export class Judge {
  readonly client: Client
  private readonly wires = new Map<string, Promise<Wire>>()
  /** As many replicas as the cluster can have, at most three. */
  replication = 1

  private constructor(client: Client) {
    this.client = client
  }

  static async open(bootstrap: readonly string[], brokers: number): Promise<Judge> {
    const judge = new Judge(createClient({ bootstrap: [...bootstrap], retryTimeoutMs: ANSWER_MS }))
    await judge.client.admin.waitForBrokers(brokers)
    const { brokers: alive } = await judge.client.admin.describeCluster()
    judge.replication = Math.min(3, alive.length)
    return judge
  }

  async close(): Promise<void> {
    for (const wire of this.wires.values()) (await wire).close()
    await this.client.close()
  }

  async createTopic(topic: string, partitions: number, replication = this.replication): Promise<void> {
    await this.client.admin.createTopic({ name: topic, partitions, replicationFactor: replication })
  }

  /** Forgets a topic and a group of a cell, as far as they exist. */
  async clean(topic: string, group: string): Promise<void> {
    await this.client.admin.deleteTopic(topic).catch(() => {})
    await this.atCoordinator(group, async (wire) => {
      await wire.ask(DeleteGroupsApi, 2, { groupsNames: [group] })
      return [0, undefined]
    }).catch(() => {})
  }

  /** Writes one batch for each partition that the records name; they keep their order. */
  async seed(topic: string, records: readonly PlainRecord[]): Promise<void> {
    for (const [partition, own] of byPartition(records)) {
      const batch = encodeBatch(
        own.map(({ timestamp, key, value, headers }) => ({
          timestamp: timestamp ?? Date.now(),
          key: bytesOf(key),
          value: bytesOf(value),
          headers: headers.map(([name, content]) => ({ key: name, value: bytesOf(content) })),
        })),
      )
      await this.atLeader(topic, partition, async (wire) => {
        const topicData = [{ name: topic, topicId: ZERO_UUID, partitionData: [{ index: partition, records: batch }] }]
        const request = { transactionalId: null, acks: -1, timeoutMs: 5_000, topicData }
        const answer = await wire.ask(ProduceApi, 9, request)
        return [answer.responses[0]?.partitionResponses[0]?.errorCode ?? -1, undefined]
      })
    }
  }

  /** The whole partition, batch for batch. */
  async contents(topic: string, partition: number): Promise<PartitionContents> {
    const [offset, end] = [await this.offset(topic, partition, EARLIEST), await this.offset(topic, partition, LATEST)]
    const records: ReadRecord[] = []
    const batches: BatchFacts[] = []
    for (let next = offset; next < end; next = (records.at(-1)?.offset ?? end) + 1) {
      const bytes = await this.fetch(topic, partition, next)
      const found = splitBatches(bytes)
      if (found.length === 0) throw new Error(`Fetch of ${topic}-${partition} at ${next} of ${end} gave nothing`)
      for (const batch of found) {
        const own = recordsOf(batch, partition)
        records.push(...own.filter((record) => record.offset >= next))
        batches.push({
          codec: codec(batch, 0) ?? 'unknown',
          producerId: producerId(batch, 0),
          baseSequence: baseSequence(batch, 0),
          records: own.length,
        })
      }
    }
    return { records, batches }
  }

  /** Start (-2), end (-1), or the first offset at a time. */
  offset(topic: string, partition: number, timestamp: number): Promise<number> {
    return this.atLeader(topic, partition, async (wire) => {
      const partitions = [{ partitionIndex: partition, currentLeaderEpoch: -1, timestamp }]
      const topics = [{ name: topic, partitions }]
      const answer = await wire.ask(ListOffsetsApi, 5, { replicaId: -1, isolationLevel: 0, topics, timeoutMs: 0 })
      const found = answer.topics[0]?.partitions[0]
      return [found?.errorCode ?? -1, found?.offset ?? -1]
    })
  }

  async ends(topic: string, partitions: number): Promise<Offsets> {
    const ends: Record<string, number> = {}
    for (let partition = 0; partition < partitions; partition++)
      ends[partition] = await this.offset(topic, partition, LATEST)
    return ends
  }

  /** What the group has committed; partitions without a commit are left out. */
  async committed(group: string, topic: string, partitions: number): Promise<Offsets> {
    const answer = await this.atCoordinator(group, async (wire) => {
      const topics = [{ name: topic, partitionIndexes: Array.from({ length: partitions }, (_, at) => at) }]
      const found = await wire.ask(OffsetFetchApi, 7, { groupId: group, topics, groups: [], requireStable: true })
      const errors = found.topics.flatMap((each) => each.partitions.map(({ errorCode }) => errorCode))
      return [[found.errorCode, ...errors].find((code) => code !== 0) ?? 0, found]
    })
    const own = answer.topics[0]?.partitions ?? []
    const known = own.filter(({ committedOffset }) => committedOffset >= 0)
    return Object.fromEntries(known.map((each) => [String(each.partitionIndex), each.committedOffset]))
  }

  /** Of which type a group is now: `classic` or `consumer`, null where there is none. */
  async groupType(group: string): Promise<string | null> {
    const { groups } = await this.atCoordinator(group, async (wire) => {
      const answer = await wire.ask(ListGroupsApi, 5, { statesFilter: [], typesFilter: [] })
      return [answer.errorCode, answer]
    })
    return groups.find(({ groupId }) => groupId === group)?.groupType.toLowerCase() ?? null
  }

  private fetch(topic: string, partition: number, offset: number): Promise<Uint8Array> {
    return this.atLeader(topic, partition, async (wire) => {
      const asked = {
        partition,
        currentLeaderEpoch: -1,
        fetchOffset: offset,
        lastFetchedEpoch: -1,
        logStartOffset: -1,
        partitionMaxBytes: FETCH_BYTES,
        replicaDirectoryId: ZERO_UUID,
        highWatermark: LONG_MAX,
      }
      const answer = await wire.ask(FetchApi, 11, {
        clusterId: null,
        replicaId: -1,
        replicaState: { replicaId: -1, replicaEpoch: -1 },
        maxWaitMs: 500,
        minBytes: 1,
        maxBytes: FETCH_BYTES,
        isolationLevel: 0,
        sessionId: 0,
        sessionEpoch: -1,
        topics: [{ topic, topicId: ZERO_UUID, partitions: [asked] }],
        forgottenTopicsData: [],
        rackId: '',
      })
      const found = answer.responses[0]?.partitions[0]
      return [answer.errorCode || (found?.errorCode ?? -1), found?.records ?? new Uint8Array()]
    })
  }

  private atLeader<T>(topic: string, partition: number, attempt: (wire: Wire) => Promise<[number, T]>): Promise<T> {
    return this.retrying(`${topic}-${partition}`, async () => {
      const metadata = await (await this.first()).metadata([topic])
      const leader = metadata.topics[0]?.partitions.find((each) => each.partitionIndex === partition)?.leaderId
      const broker = metadata.brokers.find(({ nodeId }) => nodeId === leader)
      return broker === undefined ? null : attempt(await this.wire(broker.host, broker.port))
    })
  }

  private atCoordinator<T>(group: string, attempt: (wire: Wire) => Promise<[number, T]>): Promise<T> {
    return this.retrying(`group ${group}`, async () => {
      const question = { key: group, keyType: 0, coordinatorKeys: [] }
      const found = await (await this.first()).ask(FindCoordinatorApi, 3, question)
      return found.errorCode !== 0
        ? [found.errorCode, undefined as T]
        : attempt(await this.wire(found.host, found.port))
    })
  }

  /** A leader or coordinator may be moving: what is refused is tried again for a few seconds. */
  private async retrying<T>(what: string, attempt: () => Promise<[number, T] | null>): Promise<T> {
    let error = -1
    for (let tries = 0; tries < ATTEMPTS; tries++) {
      const outcome = await attempt()
      if (outcome?.[0] === 0) return outcome[1]
      error = outcome?.[0] ?? -1
      await sleep(250)
    }
    throw new Error(`the judge got error ${error} for ${what}`)
  }

  private async first(): Promise<Wire> {
    const { brokers } = await this.client.admin.describeCluster()
    const broker = brokers[0]
    if (broker === undefined) throw new Error('the cluster has no broker')
    return this.wire(broker.host, broker.port)
  }

  private async wire(host: string, port: number): Promise<Wire> {
    const name = `${host}:${port}`
    const known = await this.wires.get(name)
    if (known !== undefined && !known.isClosed) return known
    const opened = Wire.open(port, host)
    this.wires.set(name, opened)
    return opened
  }
}

function recordsOf(batch: Uint8Array, partition: number): ReadRecord[] {
  const name = codec(batch, 0)
  const section = name === 'none' || name === null ? undefined : inflate(name, recordsSection(batch, 0), INFLATED_LIMIT)
  return readRecords(batch, 0, section).map(({ offset, timestamp, key, value, headers }) => ({
    partition,
    offset,
    timestamp,
    key: textOf(key),
    value: textOf(value),
    headers: headers.map((header) => [header.key, textOf(header.value)] as const),
  }))
}

/** The records of each partition, in their order. */
export function byPartition<R extends PlainRecord>(records: readonly R[]): Map<number, R[]> {
  const groups = new Map<number, R[]>()
  for (const record of records) {
    const own = groups.get(record.partition)
    if (own === undefined) groups.set(record.partition, [record])
    else own.push(record)
  }
  return groups
}

function bytesOf(text: string | null): Uint8Array | null {
  return text === null ? null : Buffer.from(text, 'base64')
}

function textOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('base64')
}
