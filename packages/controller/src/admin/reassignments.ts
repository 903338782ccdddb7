import { ErrorCode } from '@millrace/base'
import type {
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse,
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse,
} from '@millrace/protocol'
import type { AdminHandler } from './admin.ts'
import { byTopic } from './by-topic.ts'

/** Answered as soon as the decision holds: that replicas are to be added and removed, not that they were. */
export const alterPartitionReassignments: AdminHandler<
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse
> = (parts, request, reply) => {
  const { allowReplicationFactorChange } = request
  const partitions = request.topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex, replicas }) => ({ topic: name, partition: partitionIndex, replicas })),
  )
  const ask = { kind: 'alterReassignments', partitions, mayChangeFactor: allowReplicationFactorChange } as const
  parts.proposals.ask(ask, (results, index) => {
    if (results === null) return reply(null, index)
    const responses = byTopic(results, ({ partition, error, message }) => ({
      partitionIndex: partition,
      errorCode: error,
      errorMessage: message,
    }))
    const whole = { throttleTimeMs: 0, allowReplicationFactorChange, errorCode: ErrorCode.NONE, errorMessage: null }
    reply({ ...whole, responses: responses.map(([name, results]) => ({ name, partitions: results })) }, index)
  })
}

/** Only what is under way; null topics are all of them. The answer waits until everything that it tells is committed. */
export const listPartitionReassignments: AdminHandler<
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse
> = (parts, request, reply) => {
  const topics = request.topics?.map(({ name, partitionIndexes }) => ({ name, partitions: partitionIndexes })) ?? null
  parts.proposals.ask({ kind: 'listReassignments', topics }, (under, index) => {
    if (under === null) return reply(null, index)
    const told = byTopic(under, (partition) => ({
      partitionIndex: partition.partition,
      replicas: partition.replicas,
      addingReplicas: partition.addingReplicas,
      removingReplicas: partition.removingReplicas,
    }))
    const answer = told.map(([name, partitions]) => ({ name, partitions }))
    reply({ throttleTimeMs: 0, errorCode: ErrorCode.NONE, errorMessage: null, topics: answer }, index)
  })
}
