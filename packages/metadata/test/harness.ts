import { ErrorCode, randomUuid } from '@millrace/base'
import type { Properties, Uuid } from '@millrace/base'
import { createControllerMachine, createImage, encodeBatch } from '../src/index.ts'
import type {
  Answer,
  Ask,
  ClusterImage,
  ControllerMachine,
  FollowedImage,
  ImageChanges,
  MetadataRecord,
  PartitionImage,
  QuestionKind,
  RegisterBroker,
  TopicImage,
} from '../src/index.ts'
import { seeded } from './seeded.ts'

/** A machine whose every decision commits at once into an image beside it. */
export class Harness {
  readonly machine: ControllerMachine
  readonly committed: FollowedImage = createImage()
  readonly random = seeded(7)
  index = 0
  records: readonly MetadataRecord[] = []
  changes: ImageChanges | null = null

  constructor(properties: Record<string, string> = {}, limits: { maxPartitions?: number } = {}) {
    const config: Properties = new Map(Object.entries(properties))
    this.machine = createControllerMachine({ random: seeded(1), properties: config, ...limits })
    this.ask({ kind: 'formCluster', clusterId: 'harness' })
  }

  get image(): ClusterImage {
    return this.machine.image
  }

  ask<K extends QuestionKind>(request: Ask<K>): Answer<K> {
    const { records, response } = this.machine.handle(request, 0)
    this.records = records
    this.changes = null
    if (records.length === 0) return response
    this.index++
    for (const record of records) this.machine.replay(record, this.index)
    this.changes = this.committed.apply(this.index, encodeBatch(records))
    return response
  }

  /** Registers a new incarnation; its epoch. */
  register(brokerId: number, more: Partial<RegisterBroker> = {}): number {
    const answer = this.ask({ kind: 'registerBroker', ...this.registration(brokerId), ...more })
    if (answer.error !== ErrorCode.NONE) throw new Error(answer.message ?? String(answer.error))
    return answer.brokerEpoch ?? this.index
  }

  registration(brokerId: number): RegisterBroker {
    return {
      brokerId,
      incarnationId: randomUuid(this.random),
      rack: null,
      endpoints: [{ name: 'PEER', host: `b${brokerId}`, port: 9000, securityProtocol: 'PLAINTEXT' }],
      directories: [directory(brokerId)],
      flushMode: 'fsync',
      protocolVersion: 1,
      previousBrokerEpoch: -1,
      damaged: [],
      previousIsLive: false,
    }
  }

  epoch(brokerId: number): number {
    return this.image.brokers.get(brokerId)?.epoch ?? -1
  }

  heartbeat(brokerId: number, more: Partial<Ask<'heartbeat'>> = {}): Answer<'heartbeat'> {
    return this.ask({
      kind: 'heartbeat',
      brokerId,
      brokerEpoch: this.epoch(brokerId),
      appliedIndex: this.index,
      wantFence: false,
      wantShutdown: false,
      offlineDirectories: [],
      ...more,
    })
  }

  /** Registers and unfences these brokers. */
  start(...brokerIds: readonly number[]): this {
    for (const id of brokerIds) {
      this.register(id)
      this.heartbeat(id)
    }
    return this
  }

  fence(brokerId: number): void {
    this.ask({ kind: 'fenceBroker', brokerId, brokerEpoch: this.epoch(brokerId) })
  }

  /** A topic with these replicas by partition and these settings. */
  topic(name: string, assignments: readonly (readonly number[])[], configs: Record<string, string> = {}): TopicImage {
    const [result] = this.ask({
      kind: 'createTopics',
      validateOnly: false,
      topics: [
        {
          name,
          partitions: -1,
          replicationFactor: -1,
          assignments: assignments.map((replicas, partition) => ({ partition, replicas })),
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        },
      ],
    })
    if (result?.error !== ErrorCode.NONE) throw new Error(result?.message ?? 'not created')
    return this.image.topicByName(name) as TopicImage
  }

  partition(topic: string, partition = 0): PartitionImage {
    return this.image.topicByName(topic)?.partitions[partition] as PartitionImage
  }

  /** The leader proposes this ISR with the present epochs, unless said otherwise; the error. */
  propose(topic: string, isr: readonly number[], more: Partial<Ask<'alterPartitions'>['items'][number]> = {}): number {
    const partition = this.partition(topic)
    const [answer] = this.ask({
      kind: 'alterPartitions',
      brokerId: partition.leader,
      brokerEpoch: this.epoch(partition.leader),
      items: [
        {
          topicId: partition.topicId,
          partition: partition.partition,
          requestId: 1,
          leaderEpoch: partition.leaderEpoch,
          partitionEpoch: partition.partitionEpoch,
          isr: isr.map((brokerId) => ({ brokerId, brokerEpoch: this.epoch(brokerId) })),
          ...more,
        },
      ],
    })
    return answer?.error as number
  }

  /** Moves a partition to these replicas, or (null) takes that back; the error. */
  reassign(
    topic: string,
    replicas: readonly number[] | null,
    more: { partition?: number; keepFactor?: boolean } = {},
  ): number {
    const [result] = this.ask({
      kind: 'alterReassignments',
      partitions: [{ topic, partition: more.partition ?? 0, replicas }],
      mayChangeFactor: more.keepFactor !== true,
    })
    return result?.error as number
  }

  configure(
    kind: 'topic' | 'broker',
    name: string,
    settings: Record<string, string | null>,
  ): Answer<'incrementalAlterConfigs'> {
    return this.ask({
      kind: 'incrementalAlterConfigs',
      validateOnly: false,
      resources: [
        {
          kind: kind === 'topic' ? 2 : 4,
          name,
          operations: Object.entries(settings).map(([key, value]) => ({
            name: key,
            operation: value === null ? 'delete' : 'set',
            value,
          })),
        },
      ],
    })
  }
}

/** The one log directory of a broker, unless a test says otherwise. */
export function directory(brokerId: number, which = 0): Uuid {
  return `${String.fromCharCode(65 + which)}${'A'.repeat(19)}${String.fromCharCode(65 + brokerId)}Q`
}

/** An image as plain data, equal for equal states whatever their history. */
export function plain(image: ClusterImage): unknown {
  const sorted = <T>(entries: Iterable<readonly [string | number, T]>): readonly (readonly [string, T])[] =>
    [...entries].map(([key, value]) => [String(key), value] as const).sort(([a], [b]) => (a < b ? -1 : 1))
  const topics = [...image.topics.values()]
  const settings = (kind: 'topic' | 'broker', names: readonly string[]): unknown =>
    sorted(names.map((name) => [name, sorted(image.configs({ kind, name }))] as const))
  return {
    clusterId: image.clusterId,
    features: sorted(image.features),
    nextProducerId: image.nextProducerId,
    brokers: sorted(image.brokers),
    topics: sorted(image.topics),
    byName: topics.map(({ name }) => image.topicByName(name)?.id).sort(byText),
    topicConfigs: settings(
      'topic',
      topics.map(({ name }) => name),
    ),
    brokerConfigs: settings('broker', ['', ...[...image.brokers.keys()].map(String)]),
    replicas: sorted(
      [...image.brokers.keys()].map(
        (id) => [id, [...image.partitionsOf(id)].map((one) => `${one.topic}-${one.partition}`).sort(byText)] as const,
      ),
    ),
  }
}

function byText(a: string | undefined, b: string | undefined): number {
  return (a ?? '') < (b ?? '') ? -1 : 1
}
