import { type Address, ErrorCode, type Uuid, ZERO_UUID } from '@millrace/base'
import { MetadataApi, type MetadataRequest, type MetadataResponse } from '@millrace/protocol'
import type { Connections } from './connections.ts'
import type { WireParts } from './wire.ts'

/** A partition as a client knows it. */
export interface PartitionView {
  readonly topic: string
  readonly partition: number
  /** -1: none that is known. */
  leader: number
  /** -1 where the broker's version does not tell. */
  epoch: number
}

/** The least time between two looks, and the time after which a client looks again by itself. */
const PAUSE_US = 100_000
const EVERY_US = 3_000_000
/** The first version in which an empty list of topics does not mean all of them. */
const NULL_MEANS_ALL_SINCE = 1
const IDS_SINCE = 10
const EPOCHS_SINCE = 7
/** Topics of the brokers' own begin so: no client here reads or writes them. */
const INTERNAL = '__'

/** Version 0 tells of replicas that are away by an error, beside a leader that is there. */
const LED: ReadonlySet<number> = new Set([ErrorCode.NONE, ErrorCode.REPLICA_NOT_AVAILABLE])

/** What a client knows of the cluster, from Metadata alone. An answer that is older than what is known about a partition does not count for it. */
export class ClusterView {
  readonly partitions: PartitionView[] = []
  private readonly parts: WireParts
  private readonly connections: Connections
  private readonly bootstrap: readonly Address[]
  private readonly updated: () => void
  private readonly byName = new Map<string, PartitionView[]>()
  private readonly brokers = new Map<number, Address>()
  private readonly namesById = new Map<Uuid, string>()
  /** The first version of Metadata that will do. */
  private leastVersion = 0
  private asking = false
  private askedAtUs = Number.NEGATIVE_INFINITY
  private wanted = false

  constructor(parts: WireParts, connections: Connections, bootstrap: readonly Address[], updated: () => void) {
    this.parts = parts
    this.connections = connections
    this.bootstrap = bootstrap
    this.updated = updated
  }

  find(topic: string, partition: number): PartitionView | null {
    return this.byName.get(topic)?.[partition] ?? null
  }

  partitionsOf(topic: string): readonly PartitionView[] {
    return this.byName.get(topic) ?? []
  }

  /** Ids of topics are asked for from now on. */
  wantIds(): void {
    this.leastVersion = Math.max(this.leastVersion, IDS_SINCE)
  }

  /** Leader epochs are asked for from now on: what an older image says does not count then. */
  wantEpochs(): void {
    this.leastVersion = Math.max(this.leastVersion, EPOCHS_SINCE)
  }

  /** Of a topic whose id was told. */
  nameOf(topicId: Uuid): string | null {
    return this.namesById.get(topicId) ?? null
  }

  idOf(topic: string): Uuid | null {
    for (const [id, name] of this.namesById) if (name === topic) return id
    return null
  }

  /** Of the brokers that were ever seen. */
  get brokerIds(): readonly number[] {
    return [...this.brokers.keys()].sort((a, b) => a - b)
  }

  /** How many brokers were ever seen. */
  get brokersSeen(): number {
    return this.brokers.size
  }

  addressOf(broker: number): Address | null {
    return this.brokers.get(broker) ?? null
  }

  /** Any broker: of those that are known mostly, else of those that the client was told of. */
  anyAddress(): Address {
    const { draw } = this.parts
    const known = this.brokers.size > 0 && draw.chance(70) ? [...this.brokers.values()] : this.bootstrap
    return draw.pick(known)
  }

  /** Something was not where this view says. */
  doubt(): void {
    this.wanted = true
    this.refresh()
  }

  /** Looks when it is wanted or when the last look is long ago, as soon as a connection allows. */
  refresh(): void {
    const sinceUs = this.parts.schedule.nowUs - this.askedAtUs
    if (this.asking || sinceUs < (this.wanted ? PAUSE_US : EVERY_US)) return
    const connection = this.connections.to(this.anyAddress())
    if (connection === null) return
    this.asking = true
    this.wanted = false
    this.askedAtUs = this.parts.schedule.nowUs
    const version = connection.version(MetadataApi, this.leastVersion)
    connection.ask(MetadataApi, version, requestFor(version), (response) => {
      this.asking = false
      if (response === null) this.wanted = true
      else this.take(response)
    })
  }

  private take(response: MetadataResponse): void {
    for (const { nodeId, host, port } of response.brokers) this.brokers.set(nodeId, { host, port })
    for (const { name, topicId, partitions } of response.topics) {
      if (name === null || name.startsWith(INTERNAL)) continue
      if (topicId !== ZERO_UUID) this.namesById.set(topicId, name)
      for (const partition of partitions) this.takePartition(name, partition)
    }
    this.updated()
  }

  private takePartition(topic: string, told: MetadataResponse['topics'][number]['partitions'][number]): void {
    const { partitionIndex: partition, leaderEpoch: epoch, errorCode } = told
    const leader = LED.has(errorCode) ? told.leaderId : -1
    const known = this.byName.get(topic)
    if (known === undefined) this.byName.set(topic, [])
    const view = known?.[partition]
    if (view === undefined) {
      const fresh = { topic, partition, leader, epoch }
      ;(this.byName.get(topic) as PartitionView[])[partition] = fresh
      this.partitions.push(fresh)
    } else if (epoch === -1 || epoch >= view.epoch) {
      view.leader = leader
      // One from before would be held against a leader that has another.
      view.epoch = epoch
    }
  }
}

/** Auto-creation is said to be wanted because old versions cannot say otherwise; who names no topic creates none. */
function requestFor(version: number): MetadataRequest {
  return {
    topics: version < NULL_MEANS_ALL_SINCE ? [] : null,
    allowAutoTopicCreation: true,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
  }
}
