import { ErrorCode } from '@millrace/base'
import type { DescribeQuorumRequest, DescribeQuorumResponse } from '@millrace/protocol'
import type { QuorumReplica, QuorumStatus } from '../quorum/types.ts'
import type { AdminHandler } from './admin.ts'

type Topics = DescribeQuorumResponse['topics']
type ReplicaState = Topics[number]['partitions'][number]['currentVoters'][number]

const METADATA_TOPIC = '__cluster_metadata'

/** The controllers as Kafka's tools know them: voters of one partition of one topic. */
export const describeQuorum: AdminHandler<DescribeQuorumRequest, DescribeQuorumResponse> = (parts, request, reply) => {
  const { status } = parts.quorum
  const topics = request.topics.map(({ topicName, partitions }) => ({
    topicName,
    partitions: partitions.map(({ partitionIndex }) =>
      topicName === METADATA_TOPIC && partitionIndex === 0 ? described(status) : unknown(partitionIndex),
    ),
  }))
  const nodes = parts.voters.map(({ id, address }) => ({
    nodeId: id,
    listeners: [{ name: 'CONTROLLER', host: address.host, port: address.port }],
  }))
  reply({ errorCode: ErrorCode.NONE, errorMessage: null, topics, nodes }, -1)
}

function described(status: QuorumStatus): Topics[number]['partitions'][number] {
  return {
    partitionIndex: 0,
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    leaderId: status.leader ?? -1,
    leaderEpoch: status.term,
    // As the log ends do, it names the offset after the last one.
    highWatermark: status.commitIndex + 1,
    currentVoters: status.voters.map(replicaState),
    observers: status.learners.map(replicaState),
  }
}

function replicaState(replica: QuorumReplica): ReplicaState {
  return {
    replicaId: replica.id,
    replicaDirectoryId: replica.directoryId,
    logEndOffset: replica.logEnd,
    lastFetchTimestamp: replica.lastFetchMs,
    lastCaughtUpTimestamp: replica.lastCaughtUpMs,
  }
}

function unknown(partitionIndex: number): Topics[number]['partitions'][number] {
  return {
    partitionIndex,
    errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorMessage: `only partition 0 of ${METADATA_TOPIC} has a quorum`,
    leaderId: -1,
    leaderEpoch: -1,
    highWatermark: -1,
    currentVoters: [],
    observers: [],
  }
}
