import { ErrorCode, layered, TOPIC_KEYS, topicConfigValue, ZERO_UUID } from '@millrace/base'
import type { Properties } from '@millrace/base'
import type { NewTopicResult } from '@millrace/metadata'
import type {
  CreatePartitionsRequest,
  CreatePartitionsResponse,
  CreateTopicsRequest,
  CreateTopicsResponse,
  DeleteTopicsRequest,
  DeleteTopicsResponse,
} from '@millrace/protocol'
import type { AdminHandler, AdminParts } from './admin.ts'

export const createTopics: AdminHandler<CreateTopicsRequest, CreateTopicsResponse> = (parts, request, reply) => {
  const topics = request.topics.map((topic) => ({
    name: topic.name,
    partitions: topic.numPartitions,
    replicationFactor: topic.replicationFactor,
    assignments: topic.assignments.map(({ partitionIndex, brokerIds }) => ({
      partition: partitionIndex,
      replicas: brokerIds,
    })),
    configs: topic.configs,
  }))
  parts.proposals.ask({ kind: 'createTopics', topics, validateOnly: request.validateOnly }, (results, index) => {
    if (results === null) return reply(null, index)
    const told = results.length <= MAX_TOLD
    reply({ throttleTimeMs: 0, topics: results.map((result) => created(parts, result, told)) }, index)
  })
}

/** Topics in one request whose settings are all told: thirty lines for each would not fit into the answer for thousands. */
const MAX_TOLD = 500

function created(parts: AdminParts, result: NewTopicResult, told: boolean): CreateTopicsResponse['topics'][number] {
  return {
    name: result.name,
    topicId: result.topicId,
    errorCode: result.error,
    errorMessage: result.message,
    topicConfigErrorCode: ErrorCode.NONE,
    numPartitions: result.partitions,
    replicationFactor: result.replicationFactor,
    configs: told && result.error === ErrorCode.NONE ? settingsOf(parts, result.configs) : null,
  }
}

/** Where a setting comes from, by Kafka's numbers. */
const SOURCE = { topic: 1, clusterWide: 3, file: 4, fallback: 5 } as const

function settingsOf(
  { image, properties }: AdminParts,
  own: Properties,
): CreateTopicsResponse['topics'][number]['configs'] {
  const clusterWide = image.configs({ kind: 'broker', name: '' })
  const all = layered(clusterWide, properties)
  return [...TOPIC_KEYS.values()].map((key) => {
    const { value, source } = topicConfigValue(key, own, all)
    const set = key.brokerKeys.some(({ name }) => clusterWide.has(name)) ? SOURCE.clusterWide : SOURCE.file
    return {
      name: key.name,
      value,
      readOnly: false,
      configSource: source === 'topic' ? SOURCE.topic : source === 'broker' ? set : SOURCE.fallback,
      isSensitive: false,
    }
  })
}

export const deleteTopics: AdminHandler<DeleteTopicsRequest, DeleteTopicsResponse> = (parts, request, reply) => {
  const byName = request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }))
  parts.proposals.ask({ kind: 'deleteTopics', topics: [...request.topics, ...byName] }, (results, index) => {
    if (results === null) return reply(null, index)
    const responses = results.map(({ name, topicId, error, message }) => ({
      name,
      topicId,
      errorCode: error,
      errorMessage: message,
    }))
    reply({ throttleTimeMs: 0, responses }, index)
  })
}

export const createPartitions: AdminHandler<CreatePartitionsRequest, CreatePartitionsResponse> = (
  parts,
  request,
  reply,
) => {
  const topics = request.topics.map(({ name, count, assignments }) => ({
    topic: name,
    count,
    assignments: assignments?.map(({ brokerIds }) => brokerIds) ?? null,
  }))
  parts.proposals.ask({ kind: 'createPartitions', topics, validateOnly: request.validateOnly }, (results, index) => {
    if (results === null) return reply(null, index)
    const answers = results.map(({ topic, error, message }) => ({
      name: topic,
      errorCode: error,
      errorMessage: message,
    }))
    reply({ throttleTimeMs: 0, results: answers }, index)
  })
}
