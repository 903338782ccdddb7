import { array, DecodeError, decodeFrom, encodeTo, Reader, record, recordRegistry, Writer } from '@millrace/schema'
import { bool, int16, int32, int64, int8, nullableArray, nullableString, string, struct } from '@millrace/schema'
import { tagged, uuid } from '@millrace/schema'
import type { RecordSchema, Schema } from '@millrace/schema'

/** The cluster formed; the first record of every log. */
export const ClusterRecord = record({
  type: 1,
  name: 'cluster',
  versions: [0, 0],
  flexible: 0,
  fields: { clusterId: string },
})

/** A topic came to be; its partitions follow in the same entry. */
export const TopicRecord = record({
  type: 2,
  name: 'topic',
  versions: [0, 0],
  flexible: 0,
  fields: { topicId: uuid, name: string },
})

/** A partition in full: a new one, or all of one in a snapshot. */
export const PartitionRecord = record({
  type: 3,
  name: 'partition',
  versions: [0, 0],
  flexible: 0,
  fields: {
    topicId: uuid,
    partition: int32,
    replicas: array(int32),
    directories: array(uuid),
    isr: array(int32),
    leader: int32,
    leaderEpoch: int32,
    partitionEpoch: int32,
    /** 0 recovered, 1 recovering. */
    leaderRecovery: int8,
    elr: tagged(0, 0, array(int32), []),
    lastKnownElr: tagged(1, 0, array(int32), []),
    addingReplicas: tagged(2, 0, array(int32), []),
    removingReplicas: tagged(3, 0, array(int32), []),
  },
})

/** What changed of a partition. A list that is null stays as it is. */
export const PartitionChangeRecord = record({
  type: 4,
  name: 'partitionChange',
  versions: [0, 0],
  flexible: 0,
  fields: {
    topicId: uuid,
    partition: int32,
    leader: int32,
    leaderEpoch: int32,
    partitionEpoch: int32,
    leaderRecovery: int8,
    isr: tagged(0, 0, nullableArray(int32), null),
    elr: tagged(1, 0, nullableArray(int32), null),
    lastKnownElr: tagged(2, 0, nullableArray(int32), null),
    directories: tagged(3, 0, nullableArray(uuid), null),
    replicas: tagged(4, 0, nullableArray(int32), null),
    addingReplicas: tagged(5, 0, nullableArray(int32), null),
    removingReplicas: tagged(6, 0, nullableArray(int32), null),
  },
})

/** A topic, its partitions and its settings are gone. */
export const RemoveTopicRecord = record({
  type: 5,
  name: 'removeTopic',
  versions: [0, 0],
  flexible: 0,
  fields: { topicId: uuid },
})

/** An incarnation of a broker. Its epoch is the index of the entry, except in a snapshot, where it is written out. */
export const RegisterBrokerRecord = record({
  type: 6,
  name: 'registerBroker',
  versions: [0, 0],
  flexible: 0,
  fields: {
    brokerId: int32,
    incarnationId: uuid,
    rack: nullableString,
    endpoints: array(struct({ name: string, host: string, port: int32, securityProtocol: string })),
    directories: array(uuid),
    /** 0 fsync, 1 pagecache. */
    flushMode: int8,
    protocolVersion: int32,
    fenced: bool,
    shuttingDown: bool,
    epoch: tagged(0, 0, int64, -1),
  },
})

/** What changed of a registered incarnation; -1 and null stay as they are. */
export const BrokerChangeRecord = record({
  type: 7,
  name: 'brokerChange',
  versions: [0, 0],
  flexible: 0,
  fields: {
    brokerId: int32,
    brokerEpoch: int64,
    /** 0 no, 1 yes. */
    fenced: tagged(0, 0, int8, -1),
    shuttingDown: tagged(1, 0, int8, -1),
    directories: tagged(2, 0, nullableArray(uuid), null),
  },
})

/** A broker that will not come back. */
export const UnregisterBrokerRecord = record({
  type: 8,
  name: 'unregisterBroker',
  versions: [0, 0],
  flexible: 0,
  fields: { brokerId: int32, brokerEpoch: int64 },
})

/** One setting; null removes it. The kinds have Kafka's numbers: 2 topic, 4 broker, 32 group. */
export const ConfigRecord = record({
  type: 9,
  name: 'config',
  versions: [0, 0],
  flexible: 0,
  fields: { resourceKind: int8, resourceName: string, name: string, value: nullableString },
})

/** From this entry on the whole cluster writes this level of a format; 0 removes it. */
export const FeatureLevelRecord = record({
  type: 10,
  name: 'featureLevel',
  versions: [0, 0],
  flexible: 0,
  fields: { name: string, level: int16 },
})

/** All producer ids below `nextProducerId` belong to somebody: the last block to this broker. */
export const ProducerIdsRecord = record({
  type: 11,
  name: 'producerIds',
  versions: [0, 0],
  flexible: 0,
  fields: { brokerId: int32, brokerEpoch: int64, nextProducerId: int64 },
})

/** Nothing changed; shows that entries still commit. */
export const NoOpRecord = record({ type: 12, name: 'noOp', versions: [0, 0], flexible: 0, fields: {} })

const REGISTRY = recordRegistry([
  ClusterRecord,
  TopicRecord,
  PartitionRecord,
  PartitionChangeRecord,
  RemoveTopicRecord,
  RegisterBrokerRecord,
  BrokerChangeRecord,
  UnregisterBrokerRecord,
  ConfigRecord,
  FeatureLevelRecord,
  ProducerIdsRecord,
  NoOpRecord,
])

type AnySchema = (typeof REGISTRY)['schemas'][number]
type Named<S> = S extends RecordSchema<infer T, infer N> ? { readonly name: N; readonly value: T } : never

/** One change of the cluster's state; `name` tells its kind. */
export type MetadataRecord = Named<AnySchema>
export type RecordName = MetadataRecord['name']
/** The fields of a kind of record. */
export type RecordValue<N extends RecordName> = Extract<MetadataRecord, { readonly name: N }>['value']

const BY_NAME: ReadonlyMap<string, AnySchema> = new Map(REGISTRY.schemas.map((schema) => [schema.name, schema]))

/** The format of a batch itself; a reader refuses any other. */
const BATCH_FORMAT = 1

/** Bytes that are no batch of metadata records, or one of newer software. */
export class MetadataDecodeError extends Error {
  override readonly name = 'MetadataDecodeError'
}

/** One entry's payload, or a snapshot: the records in order, all of which count or none. */
export function encodeBatch(records: readonly MetadataRecord[]): Uint8Array {
  return joinBatch([encodeRecords(records)], records.length)
}

/** The records alone; {@link joinBatch} makes a batch of several runs. Throws `EncodeError` for a value that a record cannot hold. */
export function encodeRecords(records: readonly MetadataRecord[]): Uint8Array {
  const writer = new Writer()
  for (const { name, value } of records) {
    const schema = BY_NAME.get(name) as AnySchema
    const version = schema.versions[1]
    writer.uvarint(schema.type)
    writer.uvarint(version)
    encodeTo(schema as Schema<unknown>, version, value, writer)
  }
  return writer.bytes()
}

/** A batch of `count` records from runs of {@link encodeRecords}, in order. */
export function joinBatch(runs: readonly Uint8Array[], count: number): Uint8Array {
  const writer = new Writer()
  writer.uint8(BATCH_FORMAT)
  writer.uvarint(count)
  for (const run of runs) writer.raw(run)
  return writer.bytes()
}

/** The reverse of {@link encodeBatch}. Throws {@link MetadataDecodeError}. */
export function decodeBatch(bytes: Uint8Array): readonly MetadataRecord[] {
  try {
    return readBatch(bytes)
  } catch (error) {
    if (error instanceof DecodeError) throw new MetadataDecodeError(error.message, { cause: error })
    throw error
  }
}

function readBatch(bytes: Uint8Array): readonly MetadataRecord[] {
  // Every element takes at least a byte, so the bytes themselves bound what a snapshot of a large cluster may hold.
  const reader = new Reader(bytes, { maxElements: bytes.length })
  const format = reader.uint8()
  if (format !== BATCH_FORMAT) throw new MetadataDecodeError(`batch format ${format} is unknown here`)
  const count = reader.uvarint()
  if (count > reader.remaining) throw new MetadataDecodeError(`${count} records in ${reader.remaining} bytes`)
  const records: MetadataRecord[] = []
  for (let i = 0; i < count; i++) records.push(readRecord(reader))
  if (reader.remaining > 0) throw new MetadataDecodeError(`${reader.remaining} bytes follow the last record`)
  return records
}

function readRecord(reader: Reader): MetadataRecord {
  const type = reader.uvarint()
  const version = reader.uvarint()
  const schema = REGISTRY.byType(type)
  if (schema === undefined) throw new MetadataDecodeError(`record type ${type} is unknown here`)
  return { name: schema.name, value: decodeFrom(schema as Schema<unknown>, version, reader) } as MetadataRecord
}
