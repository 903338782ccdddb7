import type { BrokerImage, ClusterImage, ConfigResource, PartitionImage } from './image.ts'
import type { MetadataRecord } from './records.ts'

/** What has settings, with Kafka's numbers. */
const KIND_NUMBERS = { topic: 2, broker: 4, group: 32 } as const
/** What has settings. */
export const CONFIG_KINDS = Object.keys(KIND_NUMBERS) as readonly ConfigResource['kind'][]

/** The records that rebuild an image from nothing. */
export function recordsOf(image: ClusterImage): readonly MetadataRecord[] {
  const records: MetadataRecord[] = []
  if (image.clusterId !== null) records.push({ name: 'cluster', value: { clusterId: image.clusterId } })
  for (const [name, level] of image.features) records.push({ name: 'featureLevel', value: { name, level } })
  for (const broker of image.brokers.values()) records.push(brokerRecord(broker))
  for (const topic of image.topics.values()) {
    records.push({ name: 'topic', value: { topicId: topic.id, name: topic.name } })
    for (const partition of topic.partitions) records.push(partitionRecord(partition))
  }
  for (const kind of CONFIG_KINDS)
    for (const [resource, settings] of image.configured(kind))
      for (const [name, value] of settings) records.push(configRecord({ kind, name: resource }, name, value))
  if (image.nextProducerId > 0)
    records.push({
      name: 'producerIds',
      value: { brokerId: -1, brokerEpoch: -1, nextProducerId: image.nextProducerId },
    })
  return records
}

/** The kind of resources that Kafka gives this number; null where they have no settings that can be changed here. */
export function configKind(number: number): ConfigResource['kind'] | null {
  return CONFIG_KINDS.find((kind) => KIND_NUMBERS[kind] === number) ?? null
}

/** One setting of one resource; null removes it. */
export function configRecord(resource: ConfigResource, name: string, value: string | null): MetadataRecord {
  return {
    name: 'config',
    value: { resourceKind: KIND_NUMBERS[resource.kind], resourceName: resource.name, name, value },
  }
}

function brokerRecord(broker: BrokerImage): MetadataRecord {
  const { id, flushMode, ...rest } = broker
  return {
    name: 'registerBroker',
    value: { ...rest, brokerId: id, flushMode: flushMode === 'fsync' ? 0 : 1 },
  }
}

/** A partition in full. */
export function partitionRecord(partition: PartitionImage): MetadataRecord {
  const { leaderRecovery, topic: _, ...rest } = partition
  return { name: 'partition', value: { ...rest, leaderRecovery: leaderRecovery === 'recovered' ? 0 : 1 } }
}
