import { ErrorCode } from '@millrace/base'
import type { ElectLeadersRequest, ElectLeadersResponse } from '@millrace/protocol'
import type { AdminHandler } from './admin.ts'
import { byTopic } from './by-topic.ts'

/** Type 0 elects preferred replicas, 1 whoever is alive. Null partitions are all, and then only what happened is answered. */
export const electLeaders: AdminHandler<ElectLeadersRequest, ElectLeadersResponse> = (parts, request, reply) => {
  const { electionType, topicPartitions } = request
  if (electionType !== 0 && electionType !== 1) {
    reply({ throttleTimeMs: 0, errorCode: ErrorCode.INVALID_REQUEST, replicaElectionResults: [] }, -1)
    return
  }
  const partitions =
    topicPartitions?.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition }))) ?? null
  const election = electionType === 0 ? 'preferred' : 'unclean'
  parts.proposals.ask({ kind: 'electLeaders', election, partitions }, (results, index) => {
    if (results === null) return reply(null, index)
    const elected = byTopic(results, ({ partition, error, message }) => ({
      partitionId: partition,
      errorCode: error,
      errorMessage: message,
    }))
    const replicaElectionResults = elected.map(([topic, partitionResult]) => ({ topic, partitionResult }))
    reply({ throttleTimeMs: 0, errorCode: ErrorCode.NONE, replicaElectionResults }, index)
  })
}
