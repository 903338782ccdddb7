import { ErrorCode } from '@millrace/base'
import { OffsetForLeaderEpochApi } from '@millrace/protocol'
import type { OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse } from '@millrace/protocol'
import type { Handler, Services } from './services.ts'

type Asked = OffsetForLeaderEpochRequest['topics'][number]['partitions'][number]
type Answer = OffsetForLeaderEpochResponse['topics'][number]['partitions'][number]

/**
 * The largest epoch at or below the one asked for, and where it ends, so that a consumer finds out whether what it read was truncated
 * away (KIP-320). (-1, -1) when no such epoch is known. librdkafka uses exactly version 2.
 */
export function offsetForLeaderEpochHandler(
  services: Services,
): Handler<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse> {
  return {
    api: OffsetForLeaderEpochApi,
    serve(exchange, request) {
      // Replication has its own protocol: who claims to be a replica is none.
      const forged = request.replicaId >= 0
      const topics = request.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map((asked) =>
          forged ? failed(asked.partition, ErrorCode.CLUSTER_AUTHORIZATION_FAILED) : look(services, topic, asked),
        ),
      }))
      exchange.respond({ throttleTimeMs: 0, topics })
    },
  }
}

function look(services: Services, topic: string, asked: Asked): Answer {
  const found = services.broker.replicas.find(topic, asked.partition)
  if (typeof found === 'number') return failed(asked.partition, found)
  const { error, epoch, endOffset } = found.epochEnd(asked.leaderEpoch, asked.currentLeaderEpoch)
  if (error !== ErrorCode.NONE) return failed(asked.partition, error)
  return { errorCode: ErrorCode.NONE, partition: asked.partition, leaderEpoch: epoch, endOffset }
}

function failed(partition: number, errorCode: ErrorCode): Answer {
  return { errorCode, partition, leaderEpoch: -1, endOffset: -1 }
}
