import type { ConsumerGroupDescribeResponse, DescribeGroupsResponse } from '@millrace/protocol'
import { array, DecodeError, decodeFrom, int32, message, Reader, string, struct } from '@millrace/schema'
import type { Coordinator } from './coordinators.ts'

/** One partition of a topic, by name. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** One member of a group. */
export interface GroupMember {
  readonly memberId: string
  /** The name that a static member gave itself; null for others. */
  readonly instanceId: string | null
  readonly clientId: string
  /** As the coordinator saw it, with a slash before the address as Kafka shows it. */
  readonly host: string
  readonly rack: string | null
  /** What it has, sorted; empty while a classic group rebalances, and where the group is not one of consumers. */
  readonly assignment: readonly TopicPartition[]
  /** What it is to have, sorted; null in a classic group. */
  readonly target: readonly TopicPartition[] | null
  /** -1 in a classic group. */
  readonly epoch: number
  /** Whether the member speaks the newer protocol; null where nobody tells. */
  readonly newer: boolean | null
}

/** A group as its coordinator describes it. */
export interface GroupDescription {
  readonly groupId: string
  /** `classic`: its members assign; `consumer`: the coordinator does (KIP-848). */
  readonly type: 'classic' | 'consumer'
  /** `consumer` for consumers, empty for a group that only has offsets; other programs have their own. */
  readonly protocolType: string
  /** `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Assigning`, `Reconciling`; `Dead` when there is no such group. */
  readonly state: string
  /** The assignor; empty while there is none. */
  readonly assignor: string
  /** Null in a classic group, which does not tell. */
  readonly epoch: number | null
  /** The epoch of the target assignment; null in a classic group. */
  readonly assignmentEpoch: number | null
  readonly coordinator: Coordinator
  readonly members: readonly GroupMember[]
}

type ConsumerGroup = ConsumerGroupDescribeResponse['groups'][number]
type ClassicGroup = DescribeGroupsResponse['groups'][number]

const NEWER_MEMBER = 1

/** A group of the newer protocol. */
export function fromConsumerGroup(group: ConsumerGroup, coordinator: Coordinator): GroupDescription {
  return {
    groupId: group.groupId,
    type: 'consumer',
    protocolType: CONSUMER_PROTOCOL,
    state: group.groupState,
    assignor: group.assignorName,
    epoch: group.groupEpoch,
    assignmentEpoch: group.assignmentEpoch,
    coordinator,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      clientId: member.clientId,
      host: member.clientHost,
      rack: member.rackId,
      assignment: named(member.assignment),
      target: named(member.targetAssignment),
      epoch: member.memberEpoch,
      newer: member.memberType < 0 ? null : member.memberType === NEWER_MEMBER,
    })),
  }
}

/** A classic group; one that does not exist is `Dead`. */
export function fromClassicGroup(group: ClassicGroup, coordinator: Coordinator): GroupDescription {
  const isOfConsumers = group.protocolType === CONSUMER_PROTOCOL
  return {
    groupId: group.groupId,
    type: 'classic',
    protocolType: group.protocolType,
    state: group.groupState,
    assignor: group.protocolData,
    epoch: null,
    assignmentEpoch: null,
    coordinator,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.groupInstanceId,
      clientId: member.clientId,
      host: member.clientHost,
      rack: null,
      assignment: isOfConsumers ? assignedTo(member.memberAssignment) : [],
      target: null,
      epoch: -1,
      newer: null,
    })),
  }
}

const CONSUMER_PROTOCOL = 'consumer'

/** What every version of a consumer's assignment begins with. */
const Assignment = message({
  name: 'ConsumerAssignment',
  versions: [0, 0],
  fields: { topics: array(struct({ topic: string, partitions: array(int32) })) },
})

/** Newer versions append: what they begin with is read. Bytes that are no assignment say nothing; they come from other people's programs. */
function assignedTo(bytes: Uint8Array): readonly TopicPartition[] {
  if (bytes.length === 0) return []
  try {
    const reader = new Reader(bytes)
    if (reader.int16() < 0) return []
    return sorted(
      decodeFrom(Assignment, 0, reader).topics.flatMap(({ topic, partitions }) =>
        partitions.map((partition) => ({ topic, partition })),
      ),
    )
  } catch (error) {
    if (error instanceof DecodeError) return []
    throw error
  }
}

function named({ topicPartitions }: ConsumerGroup['members'][number]['assignment']): readonly TopicPartition[] {
  return sorted(
    topicPartitions.flatMap(({ topicName, partitions }) =>
      partitions.map((partition) => ({ topic: topicName, partition })),
    ),
  )
}

/** By topic, then by partition. */
export function sorted<T extends TopicPartition>(partitions: readonly T[]): readonly T[] {
  return partitions.toSorted((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
}
