import { ErrorCode, INTERNAL_TOPICS, topicNameProblem, ZERO_UUID } from '@millrace/base'
import type { ClusterImage, PartitionImage, TopicImage } from '@millrace/metadata'
import { MetadataApi, OPERATIONS_NOT_ASKED } from '@millrace/protocol'
import type { MetadataRequest, MetadataResponse } from '@millrace/protocol'
import { clientController, liveEndpoints } from './endpoints.ts'
import type { ClientEndpoint } from './endpoints.ts'
import type { Exchange } from './exchange.ts'
import { CLUSTER_OPERATIONS, TOPIC_OPERATIONS } from './operations.ts'
import { leaderOf, offlineReplicas } from './partition-view.ts'
import type { Handler, Services } from './services.ts'
import { metadataError } from './version-errors.ts'

type TopicAnswer = MetadataResponse['topics'][number]
type PartitionAnswer = TopicAnswer['partitions'][number]
type AskedTopic = NonNullable<MetadataRequest['topics']>[number]

/** The first version in which a request may name topics by id alone. */
const BY_ID_SINCE = 12

/**
 * The cluster as the clients of one listener see it: fenced brokers and brokers without this listener do not exist. Every partition is
 * listed, leaderless or not, because clients hash keys over their number. A topic that is not there may be created by being asked about;
 * the client is told to come back. Null topics means all, and so does an empty list in version 0.
 */
export function metadataHandler(services: Services): Handler<MetadataRequest, MetadataResponse> {
  return {
    api: MetadataApi,
    serve(exchange, request) {
      if (exchange.version >= 10 && exchange.version < BY_ID_SINCE && namesById(request))
        exchange.respond(refused(request.topics ?? []))
      else exchange.respond(new MetadataAnswer(services, exchange, request).build())
    },
  }
}

function namesById({ topics }: MetadataRequest): boolean {
  return topics?.some(({ name, topicId }) => name === null || topicId !== ZERO_UUID) ?? false
}

/** What Kafka answers to topic ids in versions 10 and 11, which carry them without being able to look them up. */
function refused(topics: readonly AskedTopic[]): MetadataResponse {
  return {
    throttleTimeMs: 0,
    brokers: [],
    clusterId: null,
    controllerId: -1,
    topics: topics.map(({ name, topicId }) => failed(ErrorCode.INVALID_REQUEST, name ?? '', topicId)),
    clusterAuthorizedOperations: OPERATIONS_NOT_ASKED,
    errorCode: ErrorCode.NONE,
  }
}

function failed(errorCode: ErrorCode, name: string | null, topicId = ZERO_UUID): TopicAnswer {
  return {
    errorCode,
    name,
    topicId,
    isInternal: name !== null && INTERNAL_TOPICS.has(name),
    partitions: [],
    topicAuthorizedOperations: OPERATIONS_NOT_ASKED,
  }
}

class MetadataAnswer {
  private readonly services: Services
  private readonly image: ClusterImage
  private readonly exchange: Exchange<MetadataResponse>
  private readonly request: MetadataRequest
  private readonly live: ReadonlyMap<number, ClientEndpoint>
  private readonly toCreate: string[] = []

  constructor(services: Services, exchange: Exchange<MetadataResponse>, request: MetadataRequest) {
    this.services = services
    this.image = services.broker.image
    this.exchange = exchange
    this.request = request
    this.live = liveEndpoints(this.image, services.listener.name)
  }

  build(): MetadataResponse {
    const { controller, config } = this.services.broker
    const topics = this.topics()
    if (this.toCreate.length > 0) this.services.creation.begin(this.toCreate, this.exchange.clientId)
    return {
      throttleTimeMs: 0,
      brokers: [...this.live.values()],
      clusterId: this.image.clusterId,
      controllerId: clientController(this.live, controller.controllerId, config.nodeId),
      topics,
      clusterAuthorizedOperations: this.request.includeClusterAuthorizedOperations
        ? CLUSTER_OPERATIONS
        : OPERATIONS_NOT_ASKED,
      errorCode: ErrorCode.NONE,
    }
  }

  private topics(): TopicAnswer[] {
    const asked = this.request.topics
    if (asked === null || (this.exchange.version === 0 && asked.length === 0))
      return Array.from(this.image.topics.values(), (topic) => this.topic(topic))
    const answers = new Map<string, TopicAnswer>()
    for (const one of asked) {
      const key = one.name ?? `/${one.topicId}`
      if (!answers.has(key)) answers.set(key, this.asked(one))
    }
    return [...answers.values()]
  }

  private asked({ name, topicId }: AskedTopic): TopicAnswer {
    if (name === null) {
      const topic = this.image.topics.get(topicId)
      return topic === undefined ? failed(ErrorCode.UNKNOWN_TOPIC_ID, null, topicId) : this.topic(topic)
    }
    const topic = this.image.topicByName(name)
    return topic === null ? failed(this.missing(name), name) : this.topic(topic)
  }

  private missing(name: string): ErrorCode {
    if (topicNameProblem(name) !== null) return ErrorCode.INVALID_TOPIC_EXCEPTION
    const { creation } = this.services
    if (!this.request.allowAutoTopicCreation || !creation.enabled) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    const error = creation.errorFor(name, this.live.size)
    if (error === ErrorCode.LEADER_NOT_AVAILABLE) this.toCreate.push(name)
    return error
  }

  private topic(topic: TopicImage): TopicAnswer {
    const { version } = this.exchange
    return {
      errorCode: ErrorCode.NONE,
      name: topic.name,
      topicId: topic.id,
      isInternal: INTERNAL_TOPICS.has(topic.name),
      partitions: topic.partitions.map((partition) =>
        version === 0 ? this.oldestPartition(partition) : this.partition(partition),
      ),
      topicAuthorizedOperations: this.request.includeTopicAuthorizedOperations
        ? TOPIC_OPERATIONS
        : OPERATIONS_NOT_ASKED,
    }
  }

  private partition(partition: PartitionImage): PartitionAnswer {
    const leader = leaderOf(partition, this.live)
    return {
      errorCode: metadataError(leader.error, this.exchange.version),
      partitionIndex: partition.partition,
      leaderId: leader.leaderId,
      leaderEpoch: partition.leaderEpoch,
      replicaNodes: partition.replicas,
      isrNodes: partition.isr,
      offlineReplicas: offlineReplicas(partition, this.live),
    }
  }

  /** Version 0 cannot tell which replicas are away: it lists those that are there, and an error when some are not. */
  private oldestPartition(partition: PartitionImage): PartitionAnswer {
    const answer = this.partition(partition)
    const alive = (id: number): boolean => this.live.has(id)
    const away = answer.errorCode === ErrorCode.NONE && answer.offlineReplicas.length > 0
    return {
      ...answer,
      errorCode: away ? ErrorCode.REPLICA_NOT_AVAILABLE : answer.errorCode,
      replicaNodes: partition.replicas.filter(alive),
      isrNodes: partition.isr.filter(alive),
    }
  }
}
