import type { Properties, Uuid } from '@millrace/base'
import { changeOf } from './partition-change.ts'
import type { Rules, Wish } from './partition-change.ts'
import { type BrokerImage, type ConfigResource, type PartitionImage, UNASSIGNED } from './image.ts'
import type { MetadataRecord } from './records.ts'
import { minIsrOf, uncleanElectionOf } from './settings.ts'
import type { ImageState } from './state.ts'

/** What is about to change, so that a decision sees the cluster as it will be. */
export interface Foresight {
  readonly broker?: BrokerImage
  /** The settings that a resource will have; null: as they are. */
  settings?(kind: ConfigResource['kind'], name: string): Properties | null
}

/** Decides for many partitions in a row: brokers and settings are looked up once. */
export class Deciding {
  private readonly state: ImageState
  private readonly properties: Properties
  private readonly foresight: Foresight
  private readonly byTopic = new Map<string, Rules>()

  constructor(state: ImageState, properties: Properties, foresight: Foresight = {}) {
    this.state = state
    this.properties = properties
    this.foresight = foresight
  }

  change(partition: PartitionImage, wish: Wish): MetadataRecord | null {
    return changeOf(partition, wish, this.rulesOf(partition.topic))
  }

  /** The records of all that changes. */
  changes(partitions: Iterable<PartitionImage>, wish: (partition: PartitionImage) => Wish): MetadataRecord[] {
    const records: MetadataRecord[] = []
    for (const partition of partitions) {
      const record = this.change(partition, wish(partition))
      if (record !== null) records.push(record)
    }
    return records
  }

  broker(id: number): BrokerImage | undefined {
    return this.foresight.broker?.id === id ? this.foresight.broker : this.state.brokers.get(id)
  }

  eligible(id: number, directory: Uuid): boolean {
    const broker = this.broker(id)
    return broker !== undefined && isActive(broker) && broker.directories.includes(directory)
  }

  private home(id: number, directory: Uuid, partition: number): Uuid {
    const broker = this.broker(id)
    if (broker === undefined || broker.directories.length === 0 || broker.directories.includes(directory))
      return directory
    return directoryFor(broker, partition)
  }

  private rulesOf(topic: string): Rules {
    const known = this.byTopic.get(topic)
    if (known !== undefined) return known
    const own = this.settings('topic', topic)
    const clusterWide = this.settings('broker', '')
    const rules: Rules = {
      eligible: (id, directory) => this.eligible(id, directory),
      home: (id, directory, partition) => this.home(id, directory, partition),
      minIsr: minIsrOf(own, clusterWide),
      uncleanElection: uncleanElectionOf(own, clusterWide, this.properties),
    }
    this.byTopic.set(topic, rules)
    return rules
  }

  private settings(kind: 'topic' | 'broker', name: string): Properties {
    return this.foresight.settings?.(kind, name) ?? this.state.configs({ kind, name })
  }
}

/** A broker's replicas of one topic go round its directories. */
export function directoryFor({ directories }: BrokerImage, partition: number): Uuid {
  return directories[partition % directories.length] ?? UNASSIGNED
}

/** Serves clients and may lead: unfenced and not on its way out. */
export function isActive(broker: BrokerImage): boolean {
  return !broker.fenced && !broker.shuttingDown
}
