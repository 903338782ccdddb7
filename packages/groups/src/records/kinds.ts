import { array, bytes, int32, int64, int8, nullableArray, nullableStruct } from '@millrace/schema'
import {
  between,
  ignorable,
  message,
  nullableString,
  record,
  since,
  string,
  struct,
  tagged,
  uuid,
} from '@millrace/schema'
import { ZERO_UUID } from '@millrace/base'
import type { RecordSchema, Schema } from '@millrace/schema'
import { hash64 } from './hash64.ts'

/**
 * The keys and values of `__consumer_offsets`, field by field as Kafka writes them: tools read that topic raw. A key is the record's type
 * and fields that are never flexible; a value begins with its version. Types 10 to 15 and 17 to 23 (share and streams groups) are not ours.
 */
interface Kind<N extends string, K, V> {
  readonly name: N
  readonly key: RecordSchema<K, N>
  readonly value: Schema<V>
  /** The version that a value is written in; what we read is wider. */
  readonly writes: (value: V) => number
}

function kind<const N extends string, K, V>(
  key: RecordSchema<K, N>,
  value: Schema<V>,
  writes: (value: V) => number = () => 0,
): Kind<N, K, V> {
  return { name: key.name, key, value, writes }
}

const ofGroup = { groupId: string }
const ofMember = { groupId: string, memberId: string }
const ofPartition = { groupId: string, topic: string, partition: int32 }
const topicPartitions = struct({ topicId: uuid, partitions: array(int32) })

/** What a group read of a partition up to. Version 4 is read only: readers of this topic that many operators run misread it. */
const OffsetCommitValue = message({
  name: 'OffsetCommitValue',
  versions: [0, 4],
  flexible: 4,
  fields: {
    offset: int64,
    leaderEpoch: ignorable(since(3, int32, -1)),
    metadata: string,
    commitMs: int64,
    /** Of commits that asked for a retention of their own; -1 for the broker's. */
    expireMs: ignorable(between(1, 1, int64, -1)),
    topicId: ignorable(tagged(0, 4, uuid, ZERO_UUID)),
  },
})

/** A classic group as its last rebalance left it, all members included. */
const GroupMetadataValue = message({
  name: 'GroupMetadataValue',
  versions: [0, 4],
  flexible: 4,
  fields: {
    protocolType: string,
    generation: int32,
    protocol: nullableString,
    leader: nullableString,
    stateMs: ignorable(since(2, int64, -1)),
    members: array(
      struct({
        memberId: string,
        groupInstanceId: ignorable(since(3, nullableString, null)),
        clientId: string,
        clientHost: string,
        rebalanceTimeoutMs: ignorable(since(1, int32, -1)),
        sessionTimeoutMs: int32,
        subscription: bytes,
        assignment: bytes,
      }),
    ),
  },
})

const ConsumerGroupValue = message({
  name: 'ConsumerGroupMetadataValue',
  versions: [0, 0],
  flexible: 0,
  fields: { epoch: int32, metadataHash: tagged(0, 0, hash64, 0) },
})

/** What Kafka before 4.1 kept the topics of a group in; read so that it can be removed. */
const ConsumerPartitionsValue = message({
  name: 'ConsumerGroupPartitionMetadataValue',
  versions: [0, 0],
  flexible: 0,
  fields: {
    topics: array(
      struct({
        topicId: uuid,
        topicName: string,
        partitions: int32,
        partitionRacks: array(struct({ partition: int32, racks: array(string) })),
      }),
    ),
  },
})

const ConsumerMemberValue = message({
  name: 'ConsumerGroupMemberMetadataValue',
  versions: [0, 0],
  flexible: 0,
  fields: {
    instanceId: nullableString,
    rackId: nullableString,
    clientId: string,
    clientHost: string,
    topicNames: array(string),
    topicRegex: nullableString,
    rebalanceTimeoutMs: int32,
    serverAssignor: nullableString,
    /** Of a member that speaks the classic protocol inside of a group of the newer one. */
    classic: tagged(
      0,
      0,
      nullableStruct({
        sessionTimeoutMs: int32,
        protocols: array(struct({ name: string, metadata: bytes })),
      }),
      null,
    ),
  },
})

const TargetMetadataValue = message({
  name: 'ConsumerGroupTargetAssignmentMetadataValue',
  versions: [0, 0],
  flexible: 0,
  fields: { epoch: int32, assignedMs: tagged(0, 0, int64, 0) },
})

const TargetMemberValue = message({
  name: 'ConsumerGroupTargetAssignmentMemberValue',
  versions: [0, 0],
  flexible: 0,
  fields: { topics: array(topicPartitions) },
})

const heldPartitions = struct({
  topicId: uuid,
  partitions: array(int32),
  /** The epoch at which each partition was given to the member, in the order of `partitions`; older software wrote none. */
  epochs: tagged(0, 0, nullableArray(int32), null),
})

const CurrentAssignmentValue = message({
  name: 'ConsumerGroupCurrentMemberAssignmentValue',
  versions: [0, 0],
  flexible: 0,
  fields: {
    memberEpoch: int32,
    previousEpoch: int32,
    /** 0 stable, 1 partitions to revoke, 2 partitions that others still hold. */
    state: int8,
    assigned: array(heldPartitions),
    revoking: array(heldPartitions),
  },
})

const RegularExpressionValue = message({
  name: 'ConsumerGroupRegularExpressionValue',
  versions: [0, 0],
  flexible: 0,
  fields: { topics: array(string), version: int64, resolvedMs: int64 },
})

function key<const N extends string, const F extends Parameters<typeof struct>[0]>(type: number, name: N, fields: F) {
  return record({ type, name, versions: [0, 0], fields })
}

const OFFSET_COMMIT = kind(key(1, 'offsetCommit', ofPartition), OffsetCommitValue, (value) =>
  value.expireMs === -1 ? 3 : 1,
)

/** Every kind of record that the coordinator reads and writes, by the type in its key. */
export const KINDS = [
  OFFSET_COMMIT,
  kind(key(2, 'groupMetadata', ofGroup), GroupMetadataValue, () => 3),
  kind(key(3, 'consumerGroup', ofGroup), ConsumerGroupValue),
  kind(key(4, 'consumerPartitions', ofGroup), ConsumerPartitionsValue),
  kind(key(5, 'consumerMember', ofMember), ConsumerMemberValue),
  kind(key(6, 'targetMetadata', ofGroup), TargetMetadataValue),
  kind(key(7, 'targetMember', ofMember), TargetMemberValue),
  kind(key(8, 'currentAssignment', ofMember), CurrentAssignmentValue),
  kind(key(16, 'regularExpression', { groupId: string, regex: string }), RegularExpressionValue),
] as const

export type AnyKind = (typeof KINDS)[number]

type RecordOf<T> =
  T extends Kind<infer N, infer K, infer V> ? { readonly name: N; readonly key: K; readonly value: V | null } : never

/** One record of a group; `name` tells its kind, a null value says that its key holds nothing any more. */
export type GroupRecord = RecordOf<AnyKind>
/** What tells the kinds of records apart. */
export type GroupRecordName = GroupRecord['name']
/** A kind of record. */
export type RecordNamed<N extends GroupRecordName> = Extract<GroupRecord, { readonly name: N }>
/** The value of a kind of record, tombstones aside. */
export type ValueOf<N extends GroupRecordName> = NonNullable<RecordNamed<N>['value']>
