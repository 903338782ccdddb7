export { Admin } from './admin.ts'
export type {
  BrokerDescription,
  ChangeOptions,
  ClusterDescription,
  ConfigEntry,
  ConfigSource,
  NewTopic,
} from './admin.ts'
export { Client, createClient } from './client.ts'
export type { ClientOptions } from './client.ts'
export type { PartitionMetadata, TopicMetadata } from './cluster.ts'
export { Consumer } from './consumer.ts'
export type { Assignment, ConsumerOptions, ConsumerPosition, StartPosition } from './consumer.ts'
export { ClosedError, ConnectionError, KafkaError, ProtocolError, SendAllError, TimeoutError } from './errors.ts'
export type { PartitionMove, Reassignment } from './reassignments.ts'
export { GroupAdmin } from './group-admin.ts'
export type { CommittedOffset, GroupListing, NewOffset } from './group-admin.ts'
export type { Coordinator } from './coordinators.ts'
export type { GroupDescription, GroupMember, TopicPartition } from './group-descriptions.ts'
export { murmur2, partitionOfKey } from './partitioner.ts'
export { Producer } from './producer.ts'
export type { CloseOptions, ProducerOptions } from './producer.ts'
export type { ConsumedRecord, Data, ProducerHeaders, ProducerRecord, RecordHeader, SentRecord } from './records.ts'
