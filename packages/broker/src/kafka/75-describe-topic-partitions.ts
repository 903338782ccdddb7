import { ErrorCode, INTERNAL_TOPICS, topicNameProblem, ZERO_UUID } from '@millrace/base'
import type { PartitionImage, TopicImage } from '@millrace/metadata'
import { DescribeTopicPartitionsApi } from '@millrace/protocol'
import type { DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse } from '@millrace/protocol'
import { liveEndpoints } from './endpoints.ts'
import type { ClientEndpoint } from './endpoints.ts'
import { TOPIC_OPERATIONS } from './operations.ts'
import { leaderOf, offlineReplicas } from './partition-view.ts'
import type { Handler, Services } from './services.ts'

type TopicAnswer = DescribeTopicPartitionsResponse['topics'][number]

/** Partitions in one response at most, whatever was asked for. */
const PAGE = 2000

/**
 * Partitions with their eligible leader replicas (KIP-966), page by page: topics by name, no topic meaning all of them. The cursor names the
 * first partition of the next page. Every topic asked for is answered or comes after the cursor, because Java asks again for those missing.
 */
export function describeTopicPartitionsHandler(
  services: Services,
): Handler<DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse> {
  return {
    api: DescribeTopicPartitionsApi,
    serve: (exchange, request) => exchange.respond(describe(services, request)),
  }
}

function describe(
  { broker, listener }: Services,
  request: DescribeTopicPartitionsRequest,
): DescribeTopicPartitionsResponse {
  const { image } = broker
  const live = liveEndpoints(image, listener.name)
  const { cursor } = request
  const topics: TopicAnswer[] = []
  let room = Math.min(PAGE, Math.max(1, request.responsePartitionLimit))
  for (const name of names(request, image.topics.values())) {
    if (cursor !== null && name < cursor.topicName) continue
    const from = cursor !== null && name === cursor.topicName ? Math.max(0, cursor.partitionIndex) : 0
    if (room === 0) return { throttleTimeMs: 0, topics, nextCursor: { topicName: name, partitionIndex: from } }
    const topic = image.topicByName(name)
    if (topic === null) {
      topics.push(missing(name))
      continue
    }
    const until = Math.min(topic.partitions.length, from + room)
    topics.push(present(topic, topic.partitions.slice(from, until), live))
    room -= Math.max(0, until - from)
    if (until < topic.partitions.length)
      return { throttleTimeMs: 0, topics, nextCursor: { topicName: name, partitionIndex: until } }
  }
  return { throttleTimeMs: 0, topics, nextCursor: null }
}

function names(request: DescribeTopicPartitionsRequest, all: Iterable<TopicImage>): readonly string[] {
  const wanted =
    request.topics.length === 0 ? Array.from(all, ({ name }) => name) : request.topics.map(({ name }) => name)
  return [...new Set(wanted)].sort()
}

function missing(name: string): TopicAnswer {
  return {
    errorCode:
      topicNameProblem(name) === null ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.INVALID_TOPIC_EXCEPTION,
    name,
    topicId: ZERO_UUID,
    isInternal: INTERNAL_TOPICS.has(name),
    partitions: [],
    topicAuthorizedOperations: TOPIC_OPERATIONS,
  }
}

function present(
  topic: TopicImage,
  partitions: readonly PartitionImage[],
  live: ReadonlyMap<number, ClientEndpoint>,
): TopicAnswer {
  return {
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.id,
    isInternal: INTERNAL_TOPICS.has(topic.name),
    partitions: partitions.map((partition) => {
      const leader = leaderOf(partition, live)
      return {
        errorCode: leader.error,
        partitionIndex: partition.partition,
        leaderId: leader.leaderId,
        leaderEpoch: partition.leaderEpoch,
        replicaNodes: partition.replicas,
        isrNodes: partition.isr,
        eligibleLeaderReplicas: partition.elr,
        lastKnownElr: partition.lastKnownElr,
        offlineReplicas: offlineReplicas(partition, live),
      }
    }),
    topicAuthorizedOperations: TOPIC_OPERATIONS,
  }
}
