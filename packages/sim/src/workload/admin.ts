import { ErrorCode } from '@millrace/base'
import {
  AlterPartitionReassignmentsApi,
  CreatePartitionsApi,
  CreateTopicsApi,
  DeleteRecordsApi,
  ElectLeadersApi,
  IncrementalAlterConfigsApi,
} from '@millrace/protocol'
import type { Api } from '@millrace/protocol'
import type { Operation } from '../seams.ts'
import type { Role, SimClient } from './client.ts'
import type { PlannedTopic } from './shape.ts'
import type { WireConnection } from './wire.ts'

const TIMEOUT_MS = 5_000
const TOPIC_RESOURCE = 2
const SET = 0
const MOST_PARTITIONS = 6
const MOST_TOPICS = 5
const AGAIN_US = 300_000

/** What an admin asks, and how its answer is read. */
interface Request<Q, R> {
  readonly api: Api<Q, R>
  readonly request: Q
  /** The error in the answer. */
  error(response: R): number
}

/** Creates the run's topics, one after the other until each is there, and then asks for changes of what there is. */
export class Admin implements Role {
  private readonly client: SimClient
  private readonly uncreated: PlannedTopic[]
  private underWay: Operation | null = null

  constructor(client: SimClient) {
    this.client = client
    this.uncreated = client.crowd.topics.slice()
    client.after(0, () => this.createNext())
    const { adminMeanUs } = client.crowd.rates
    if (adminMeanUs > 0) client.after(client.draw.around(adminMeanUs), () => this.change(adminMeanUs))
  }

  get busy(): boolean {
    return this.underWay !== null
  }

  wake(): void {
    // It asks at its own pace.
  }

  died(): void {
    if (this.underWay !== null) this.end(this.underWay, 'info')
  }

  private createNext(): void {
    const { client, uncreated } = this
    const topic = uncreated[0]
    if (topic === undefined || client.crowd.quiet) return
    const again = (): void => client.after(AGAIN_US, () => this.createNext())
    const connection = this.underWay === null ? this.anyConnection() : null
    if (connection === null) return again()
    this.create(topic, connection, (created) => {
      if (created) uncreated.shift()
      again()
    })
  }

  private create(topic: PlannedTopic, connection: WireConnection, done: (created: boolean) => void): void {
    const { name, partitions, replicas, minInSync } = topic
    const configs = [{ name: 'min.insync.replicas', value: String(minInSync) }]
    const wanted = { name, numPartitions: partitions, replicationFactor: replicas, assignments: [], configs }
    const operation = this.begin({ kind: 'create-topic', topic: name })
    this.ask(connection, operation, {
      api: CreateTopicsApi,
      request: { topics: [wanted], timeoutMs: TIMEOUT_MS, validateOnly: false },
      // Who asks again may find that it was done the first time.
      error: ({ topics }) =>
        topics[0]?.errorCode === ErrorCode.TOPIC_ALREADY_EXISTS ? 0 : (topics[0]?.errorCode ?? -1),
      done,
    })
  }

  private change(meanUs: number): void {
    const { client } = this
    const { draw, crowd } = client
    client.after(draw.around(meanUs), () => this.change(meanUs))
    if (crowd.quiet || this.underWay !== null || this.uncreated.length > 0) return
    const connection = this.anyConnection()
    if (connection === null) return
    const topic = draw.pick(crowd.topics)
    const reassign = crowd.rates.reassigns ? 40 : 0
    const kind = draw.weighted({ configs: 35, 'delete-records': 30, elect: 15, partitions: 10, topic: 10, reassign })
    if (kind === 'configs') this.changeConfig(topic, connection)
    else if (kind === 'delete-records') this.deleteRecords(topic)
    else if (kind === 'elect') this.electLeaders(connection)
    else if (kind === 'partitions') this.addPartition(topic, connection)
    else if (kind === 'reassign') this.reassign(topic, connection)
    else this.addTopic()
  }

  private changeConfig(topic: PlannedTopic, connection: WireConnection): void {
    const { draw, crowd } = this.client
    // Never below what the run was planned with: who damages disks counts on so many copies.
    const least = Math.min(topic.replicas, ...crowd.topics.map(({ minInSync }) => minInSync))
    const configs: Record<string, string> = {
      'segment.ms': String(draw.pick([200, 2_000, 60_000])),
      'min.insync.replicas': String(draw.between(least, Math.max(least, topic.replicas - 1))),
      'max.message.bytes': String(draw.pick([1_048_588, 50_000])),
      ...(topic.deleting
        ? {
            'retention.bytes': String(draw.pick([-1, 2_000, 100_000])),
            'retention.ms': String(draw.pick([-1, 3_000, 10_000])),
          }
        : {}),
    }
    const name = draw.pick(Object.keys(configs))
    const asked = name.startsWith('retention') ? 'retention' : name
    const resource = {
      resourceType: TOPIC_RESOURCE,
      resourceName: topic.name,
      configs: [{ name, configOperation: SET, value: configs[name] as string }],
    }
    this.ask(connection, this.begin({ kind: 'admin', topic: topic.name, asked }), {
      api: IncrementalAlterConfigsApi,
      request: { resources: [resource], validateOnly: false },
      error: ({ responses }) => responses[0]?.errorCode ?? -1,
    })
  }

  /** Up to the watermark, or up to an offset that may lie past it and is refused then. */
  private deleteRecords(topic: PlannedTopic): void {
    const { draw, view } = this.client
    const partitions = view.partitionsOf(topic.name)
    if (!topic.deleting || partitions.length === 0) return
    const { partition, leader } = draw.pick(partitions)
    const connection = this.client.connectionTo(leader)
    if (connection === null) return
    const offset = draw.chance(20) ? -1 : draw.between(0, draw.pick([10, 200, 2_000]))
    const operation = this.begin({ kind: 'admin', topic: topic.name, partition, asked: 'delete-records', from: offset })
    const topics = [{ name: topic.name, partitions: [{ partitionIndex: partition, offset }] }]
    this.ask(connection, operation, {
      api: DeleteRecordsApi,
      request: { topics, timeoutMs: TIMEOUT_MS },
      error: (response) => response.topics[0]?.partitions[0]?.errorCode ?? -1,
    })
  }

  private electLeaders(connection: WireConnection): void {
    this.ask(connection, this.begin({ kind: 'admin', topic: '', asked: 'elect-leaders' }), {
      api: ElectLeadersApi,
      request: { electionType: 0, topicPartitions: null, timeoutMs: TIMEOUT_MS },
      error: ({ errorCode }) => errorCode,
    })
  }

  private addPartition(topic: PlannedTopic, connection: WireConnection): void {
    const count = this.client.view.partitionsOf(topic.name).length + 1
    if (count === 1 || count > MOST_PARTITIONS) return
    this.ask(connection, this.begin({ kind: 'admin', topic: topic.name, asked: 'create-partitions' }), {
      api: CreatePartitionsApi,
      request: {
        topics: [{ name: topic.name, count, assignments: null }],
        timeoutMs: TIMEOUT_MS,
        validateOnly: false,
      },
      error: ({ results }) => results[0]?.errorCode ?? -1,
    })
  }

  /** Moves a partition to as many brokers as it has, drawn anew; now and then what is under way is taken back. */
  private reassign(topic: PlannedTopic, connection: WireConnection): void {
    const { draw, view } = this.client
    const partitions = view.partitionsOf(topic.name)
    if (partitions.length === 0) return
    const brokers = view.brokerIds.slice()
    const target: number[] = []
    while (target.length < topic.replicas && brokers.length > 0)
      target.push(...brokers.splice(draw.between(0, brokers.length - 1), 1))
    if (target.length < topic.replicas) return
    const { partition } = draw.pick(partitions)
    const asked = draw.chance(20) ? 'cancel-reassignment' : 'reassign'
    const replicas = asked === 'reassign' ? target : null
    this.ask(connection, this.begin({ kind: 'admin', topic: topic.name, partition, asked }), {
      api: AlterPartitionReassignmentsApi,
      request: {
        timeoutMs: TIMEOUT_MS,
        allowReplicationFactorChange: true,
        topics: [{ name: topic.name, partitions: [{ partitionIndex: partition, replicas }] }],
      },
      error: ({ errorCode, responses }) => errorCode || (responses[0]?.partitions[0]?.errorCode ?? -1),
    })
  }

  private addTopic(): void {
    const { draw, crowd } = this.client
    if (crowd.topics.length >= MOST_TOPICS) return
    const like = draw.pick(crowd.topics)
    const topic = { ...like, name: `extra-${crowd.topics.length + 1}`, partitions: draw.between(1, 3) }
    crowd.topics.push(topic)
    this.uncreated.push(topic)
    this.createNext()
  }

  private anyConnection(): WireConnection | null {
    const { view, connections } = this.client
    return connections.to(view.anyAddress())
  }

  private begin(
    told: Pick<Operation, 'kind' | 'topic' | 'asked' | 'from'> & { readonly partition?: number },
  ): Operation {
    const { client } = this
    const operation: Operation = {
      client: client.name,
      invokedUs: client.nowUs,
      endedUs: Number.POSITIVE_INFINITY,
      outcome: 'info',
      partition: -1,
      values: [],
      ...told,
    }
    client.crowd.begun(operation)
    this.underWay = operation
    return operation
  }

  private ask<Q, R>(
    connection: WireConnection,
    operation: Operation,
    { api, request, error, done }: Request<Q, R> & { done?(created: boolean): void },
  ): void {
    const { view } = this.client
    connection.ask(api, connection.version(api), request, (response) => {
      const code = response === null ? null : error(response)
      if (code !== null) operation.error = code
      if (code !== ErrorCode.NONE) view.doubt()
      this.end(operation, outcomeOf(code))
      done?.(code === ErrorCode.NONE)
    })
  }

  private end(operation: Operation, outcome: Operation['outcome']): void {
    this.underWay = null
    operation.outcome = outcome
    operation.endedUs = this.client.nowUs
    this.client.crowd.ended(operation)
  }
}

/** Errors that say that nothing was done. A timeout or a lost controller leaves it open. */
const REFUSED: ReadonlySet<number> = new Set([
  ErrorCode.OFFSET_OUT_OF_RANGE,
  ErrorCode.INVALID_PARTITIONS,
  ErrorCode.INVALID_REPLICATION_FACTOR,
  ErrorCode.NO_REASSIGNMENT_IN_PROGRESS,
  ErrorCode.INVALID_CONFIG,
  ErrorCode.INVALID_REQUEST,
  ErrorCode.POLICY_VIOLATION,
])

function outcomeOf(code: number | null): Operation['outcome'] {
  if (code === ErrorCode.NONE) return 'ok'
  return code !== null && REFUSED.has(code) ? 'fail' : 'info'
}
