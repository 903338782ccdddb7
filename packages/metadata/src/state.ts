import { assert, topicCollisionKey, unreachable } from '@millrace/base'
import type { Uuid } from '@millrace/base'
import { ChangeLog, EVERYTHING } from './changes.ts'
import type { BrokerImage, ConfigResource, FollowedImage, ImageChanges, PartitionImage, TopicImage } from './image.ts'
import { decodeBatch, encodeBatch } from './records.ts'
import type { MetadataRecord, RecordValue } from './records.ts'
import { ReplicaIndex } from './replica-index.ts'
import { CONFIG_KINDS, configKind, recordsOf } from './snapshot.ts'

const NO_CONFIGS: ReadonlyMap<string, string> = new Map()

/**
 * The cluster's state. Records are the only way to change it: brokers replay committed ones, the controller also those that it
 * proposed. Whatever a map holds is replaced on change, so whoever kept one sees it as it was.
 */
export class ImageState implements FollowedImage {
  index = 0
  clusterId: Uuid | null = null
  nextProducerId = 0
  readonly brokers = new Map<number, BrokerImage>()
  readonly topics = new Map<Uuid, TopicImage>()
  readonly features = new Map<string, number>()
  partitionCount = 0
  replicas = new ReplicaIndex()
  private readonly ids = new Map<string, Uuid>()
  /** Topics whose names have a "." or "_", by what such names have in common. */
  private readonly similar = new Map<string, ReadonlySet<string>>()
  private readonly settings: Readonly<Record<ConfigResource['kind'], Map<string, ReadonlyMap<string, string>>>> = {
    topic: new Map(),
    broker: new Map(),
    group: new Map(),
  }
  /** Partition lists that this batch has already replaced and may fill in place: a batch costs what it changes. */
  private readonly owned = new Map<Uuid, PartitionImage[]>()
  private changes: ChangeLog | null = null

  topicByName(name: string): TopicImage | null {
    const id = this.ids.get(name)
    return id === undefined ? null : (this.topics.get(id) ?? null)
  }

  /** A topic whose name differs from `name` only where one has "." and the other "_". */
  collision(name: string): string | null {
    for (const other of this.similar.get(topicCollisionKey(name)) ?? []) if (other !== name) return other
    return null
  }

  partition(topicId: Uuid, partition: number): PartitionImage | null {
    return this.topics.get(topicId)?.partitions[partition] ?? null
  }

  configs(resource: ConfigResource): ReadonlyMap<string, string> {
    return this.settings[resource.kind].get(resource.name) ?? NO_CONFIGS
  }

  configured(kind: ConfigResource['kind']): ReadonlyMap<string, ReadonlyMap<string, string>> {
    return this.settings[kind]
  }

  *partitionsOf(brokerId: number): Iterable<PartitionImage> {
    for (const [topicId, indexes] of this.replicas.topicsOf(brokerId)) {
      const partitions = this.topics.get(topicId)?.partitions ?? []
      for (const index of indexes) yield partitions[index] as PartitionImage
    }
  }

  apply(index: number, payload: Uint8Array): ImageChanges {
    assert(index > this.index, `entry ${index} comes after entry ${this.index}`)
    const records = decodeBatch(payload)
    const changes = new ChangeLog()
    this.seal()
    this.changes = changes
    for (const record of records) this.replay(record, index)
    this.changes = null
    this.index = index
    return changes.asOf(this)
  }

  load(index: number, snapshot: Uint8Array): ImageChanges {
    const records = decodeBatch(snapshot)
    this.clear()
    for (const record of records) this.replay(record, index)
    this.seal()
    this.index = index
    return EVERYTHING
  }

  snapshot(): Uint8Array {
    return encodeBatch(recordsOf(this))
  }

  /** An image of its own with the same state. */
  clone(): ImageState {
    const copy = new ImageState()
    copy.index = this.index
    copy.clusterId = this.clusterId
    copy.nextProducerId = this.nextProducerId
    copy.partitionCount = this.partitionCount
    copy.replicas = this.replicas.clone()
    copyInto(copy.brokers, this.brokers)
    copyInto(copy.topics, this.topics)
    copyInto(copy.features, this.features)
    copyInto(copy.ids, this.ids)
    copyInto(copy.similar, this.similar)
    for (const kind of CONFIG_KINDS) copyInto(copy.settings[kind], this.settings[kind])
    // From here on neither may fill a list that the other sees.
    this.seal()
    return copy
  }

  /** Ends a batch: what it replaced is now as immutable as the rest. */
  seal(): void {
    this.owned.clear()
  }

  replay(record: MetadataRecord, index: number): void {
    switch (record.name) {
      case 'cluster':
        this.clusterId = record.value.clusterId
        return
      case 'topic':
        return this.addTopic(record.value)
      case 'partition':
        return this.putPartition(record.value)
      case 'partitionChange':
        return this.changePartition(record.value)
      case 'removeTopic':
        return this.removeTopic(record.value.topicId)
      case 'registerBroker':
        return this.registerBroker(record.value, index)
      case 'brokerChange':
        return this.changeBroker(record.value)
      case 'unregisterBroker':
        this.brokers.delete(record.value.brokerId)
        this.settings.broker.delete(String(record.value.brokerId))
        this.changes?.broker(record.value.brokerId)
        return
      case 'config':
        return this.setConfig(record.value)
      case 'featureLevel':
        if (record.value.level === 0) this.features.delete(record.value.name)
        else this.features.set(record.value.name, record.value.level)
        return
      case 'producerIds':
        this.nextProducerId = record.value.nextProducerId
        return
      case 'noOp':
        return
      default:
        unreachable(record, 'metadata record')
    }
  }

  private addTopic({ topicId, name }: RecordValue<'topic'>): void {
    assert(!this.topics.has(topicId) && !this.ids.has(name), `topic ${name} is there already`)
    const partitions: PartitionImage[] = []
    this.owned.set(topicId, partitions)
    this.topics.set(topicId, { id: topicId, name, partitions })
    this.ids.set(name, topicId)
    const key = topicCollisionKey(name)
    if (key.includes('_')) this.similar.set(key, new Set(this.similar.get(key)).add(name))
    this.changes?.topicCreated(topicId)
  }

  private removeTopic(topicId: Uuid): void {
    const topic = this.topics.get(topicId)
    assert(topic !== undefined, `topic ${topicId} is not there`)
    for (const { partition, replicas } of topic.partitions) this.replicas.remove(topicId, partition, replicas)
    this.partitionCount -= topic.partitions.length
    this.topics.delete(topicId)
    this.owned.delete(topicId)
    this.ids.delete(topic.name)
    this.settings.topic.delete(topic.name)
    const key = topicCollisionKey(topic.name)
    const rest = new Set(this.similar.get(key))
    rest.delete(topic.name)
    if (rest.size > 0) this.similar.set(key, rest)
    else this.similar.delete(key)
    this.changes?.topicDeleted(topic)
  }

  private putPartition(value: RecordValue<'partition'>): void {
    const topic = this.topics.get(value.topicId)
    assert(topic !== undefined, `topic ${value.topicId} is not there`)
    assert(value.partition === topic.partitions.length, `${topic.name} gets partition ${value.partition} out of turn`)
    const { leaderRecovery, ...rest } = value
    this.own(topic).push({ ...rest, topic: topic.name, leaderRecovery: recovery(leaderRecovery) })
    this.replicas.add(value.topicId, value.partition, value.replicas)
    this.partitionCount++
    this.changes?.partition(value.topicId, value.partition)
  }

  private changePartition(value: RecordValue<'partitionChange'>): void {
    const topic = this.topics.get(value.topicId)
    const old = topic?.partitions[value.partition]
    assert(topic !== undefined && old !== undefined, `partition ${value.topicId}-${value.partition} is not there`)
    assert(value.partitionEpoch > old.partitionEpoch, `${old.topic}-${old.partition}: its partition epoch must rise`)
    assert(value.leaderEpoch >= old.leaderEpoch, `${old.topic}-${old.partition}: its leader epoch must not fall`)
    if (value.replicas !== null) {
      this.replicas.remove(old.topicId, old.partition, old.replicas)
      this.replicas.add(old.topicId, old.partition, value.replicas)
    }
    this.own(topic)[value.partition] = {
      topicId: old.topicId,
      topic: old.topic,
      partition: old.partition,
      replicas: value.replicas ?? old.replicas,
      directories: value.directories ?? old.directories,
      isr: value.isr ?? old.isr,
      elr: value.elr ?? old.elr,
      lastKnownElr: value.lastKnownElr ?? old.lastKnownElr,
      addingReplicas: value.addingReplicas ?? old.addingReplicas,
      removingReplicas: value.removingReplicas ?? old.removingReplicas,
      leader: value.leader,
      leaderEpoch: value.leaderEpoch,
      partitionEpoch: value.partitionEpoch,
      leaderRecovery: recovery(value.leaderRecovery),
    }
    this.changes?.partition(old.topicId, old.partition)
  }

  /** The partition list of a topic, as one that nobody else has seen yet. */
  private own(topic: TopicImage): PartitionImage[] {
    const owned = this.owned.get(topic.id)
    if (owned !== undefined) return owned
    const copy = [...topic.partitions]
    this.owned.set(topic.id, copy)
    this.topics.set(topic.id, { id: topic.id, name: topic.name, partitions: copy })
    return copy
  }

  private registerBroker(value: RecordValue<'registerBroker'>, index: number): void {
    const { brokerId, epoch, flushMode, ...rest } = value
    this.brokers.set(brokerId, {
      ...rest,
      id: brokerId,
      epoch: epoch === -1 ? index : epoch,
      flushMode: flushMode === 0 ? 'fsync' : 'pagecache',
    })
    this.changes?.broker(brokerId)
  }

  private changeBroker({ brokerId, brokerEpoch, ...value }: RecordValue<'brokerChange'>): void {
    const old = this.brokers.get(brokerId)
    assert(old !== undefined && old.epoch === brokerEpoch, `broker ${brokerId} has no epoch ${brokerEpoch}`)
    this.brokers.set(brokerId, {
      ...old,
      fenced: value.fenced === -1 ? old.fenced : value.fenced === 1,
      shuttingDown: value.shuttingDown === -1 ? old.shuttingDown : value.shuttingDown === 1,
      directories: value.directories ?? old.directories,
    })
    this.changes?.broker(brokerId)
  }

  private setConfig({ resourceKind, resourceName, name, value }: RecordValue<'config'>): void {
    const kind = configKind(resourceKind)
    assert(kind !== null, `settings of resources of type ${resourceKind}`)
    const all = this.settings[kind]
    const next = new Map(all.get(resourceName))
    if (value === null) next.delete(name)
    else next.set(name, value)
    if (next.size === 0) all.delete(resourceName)
    else all.set(resourceName, next)
    this.changes?.config({ kind, name: resourceName })
  }

  private clear(): void {
    this.clusterId = null
    this.nextProducerId = 0
    this.partitionCount = 0
    this.replicas = new ReplicaIndex()
    for (const map of [this.brokers, this.topics, this.features, this.ids, this.similar]) map.clear()
    for (const kind of CONFIG_KINDS) this.settings[kind].clear()
    this.seal()
  }
}

function recovery(code: number): PartitionImage['leaderRecovery'] {
  return code === 0 ? 'recovered' : 'recovering'
}

function copyInto<K, V>(to: Map<K, V>, from: ReadonlyMap<K, V>): void {
  for (const [key, value] of from) to.set(key, value)
}
