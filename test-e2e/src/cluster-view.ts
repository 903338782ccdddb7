// What the cluster says of itself, asked of whichever node answers.
import { setTimeout as sleep } from 'node:timers/promises'
import { IncrementalAlterConfigsApi, CreateTopicsApi } from '@millrace/protocol'
import type { ProcessCluster } from './process-cluster.ts'
import { Wire } from './wire.ts'

export interface PartitionView {
  /** -1: none. */
  readonly leader: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
}

const NO_PARTITION: PartitionView = { leader: -1, replicas: [], isr: [] }

/** Waits until `look` returns something that is not null. */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | null> | T | null,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (let trouble = ''; ;) {
    const found = await Promise.resolve()
      .then(look)
      .catch((error: unknown) => {
        trouble = ` (${String(error)})`
        return null
      })
    if (found !== null) return found
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms${trouble}`)
    await sleep(25)
  }
}

/** Runs `use` with a connection to one node. */
export async function withWire<T>(port: number, use: (wire: Wire) => Promise<T>): Promise<T> {
  const wire = await Wire.open(port)
  try {
    return await use(wire)
  } finally {
    wire.close()
  }
}

export class ClusterView {
  private readonly cluster: ProcessCluster
  /** Nodes that are not asked: paused ones take connections and never answer. */
  readonly silent = new Set<number>()

  constructor(cluster: ProcessCluster) {
    this.cluster = cluster
  }

  /** Asks one node after the other until one answers. */
  async ask<T>(use: (wire: Wire) => Promise<T>): Promise<T> {
    let last: unknown = new Error('no node runs')
    for (const node of this.cluster.nodes) {
      if (!node.running || this.silent.has(node.id)) continue
      try {
        return await withWire(node.port, use)
      } catch (error) {
        last = error
      }
    }
    throw last
  }

  /** Asks one node. */
  askNode<T>(id: number, use: (wire: Wire) => Promise<T>): Promise<T> {
    return withWire(this.cluster.node(id).port, use)
  }

  async partition(topic: string, partition = 0): Promise<PartitionView> {
    const { topics } = await this.ask((wire) => wire.metadata([topic]))
    const found = topics[0]?.partitions.find(({ partitionIndex }) => partitionIndex === partition)
    if (found === undefined) return NO_PARTITION
    return { leader: found.leaderId, replicas: found.replicaNodes, isr: found.isrNodes }
  }

  async controller(): Promise<number> {
    return (await this.ask((wire) => wire.quorum())).leader
  }

  /** Resolves with the leader once the ISR has so many members and somebody leads. */
  inSync(topic: string, size: number, timeoutMs = 30_000): Promise<number> {
    return waitFor(`an ISR of ${size} of ${topic}`, timeoutMs, async () => {
      const { leader, isr } = await this.partition(topic)
      return leader >= 0 && isr.length >= size ? leader : null
    })
  }

  /** Creates a topic with its replicas where they are wanted: the first of them leads. */
  async createTopic(
    name: string,
    assignments: readonly (readonly number[])[],
    configs: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const answer = await this.ask((wire) =>
      wire.ask(CreateTopicsApi, 5, {
        topics: [
          {
            name,
            numPartitions: -1,
            replicationFactor: -1,
            assignments: assignments.map((brokerIds, partitionIndex) => ({
              partitionIndex,
              brokerIds: [...brokerIds],
            })),
            configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
          },
        ],
        timeoutMs: 10_000,
        validateOnly: false,
      }),
    )
    const { errorCode = -1, errorMessage = null } = answer.topics[0] ?? {}
    if (errorCode !== 0) throw new Error(`CreateTopics of ${name} answered ${errorCode} ${errorMessage}`)
  }

  /** Sets one setting of a topic. */
  async setConfig(topic: string, key: string, value: string): Promise<void> {
    await this.ask((wire) =>
      wire.ask(IncrementalAlterConfigsApi, 1, {
        resources: [{ resourceType: 2, resourceName: topic, configs: [{ name: key, configOperation: 0, value }] }],
        validateOnly: false,
      }),
    )
  }
}
