import { ApiVersionsApi, decodeRequest, encodeUnsupportedApiVersions, ProduceApi } from '@millrace/protocol'
import type { Api } from '@millrace/protocol'
import { DecodeError } from '@millrace/schema'
import { produceHandler } from './00-produce.ts'
import { fetchHandler } from './01-fetch.ts'
import { listOffsetsHandler } from './02-list-offsets.ts'
import { metadataHandler } from './03-metadata.ts'
import { offsetCommitHandler } from './08-offset-commit.ts'
import { offsetFetchHandler } from './09-offset-fetch.ts'
import { findCoordinatorHandler } from './10-find-coordinator.ts'
import { joinGroupHandler } from './11-join-group.ts'
import { heartbeatHandler } from './12-heartbeat.ts'
import { leaveGroupHandler } from './13-leave-group.ts'
import { syncGroupHandler } from './14-sync-group.ts'
import { describeGroupsHandler } from './15-describe-groups.ts'
import { listGroupsHandler } from './16-list-groups.ts'
import { apiVersionsHandler } from './18-api-versions.ts'
import { createTopicsHandler } from './19-create-topics.ts'
import { deleteTopicsHandler } from './20-delete-topics.ts'
import { deleteRecordsHandler } from './21-delete-records.ts'
import { initProducerIdHandler } from './22-init-producer-id.ts'
import { offsetForLeaderEpochHandler } from './23-offset-for-leader-epoch.ts'
import { describeAclsHandler } from './29-describe-acls.ts'
import { createAclsHandler } from './30-create-acls.ts'
import { deleteAclsHandler } from './31-delete-acls.ts'
import { describeConfigsHandler } from './32-describe-configs.ts'
import { alterConfigsHandler } from './33-alter-configs.ts'
import { alterReplicaLogDirsHandler } from './34-alter-replica-log-dirs.ts'
import { describeLogDirsHandler } from './35-describe-log-dirs.ts'
import { createPartitionsHandler } from './37-create-partitions.ts'
import { deleteGroupsHandler } from './42-delete-groups.ts'
import { electLeadersHandler } from './43-elect-leaders.ts'
import { incrementalAlterConfigsHandler } from './44-incremental-alter-configs.ts'
import { alterPartitionReassignmentsHandler } from './45-alter-partition-reassignments.ts'
import { listPartitionReassignmentsHandler } from './46-list-partition-reassignments.ts'
import { offsetDeleteHandler } from './47-offset-delete.ts'
import { describeClientQuotasHandler } from './48-describe-client-quotas.ts'
import { alterClientQuotasHandler } from './49-alter-client-quotas.ts'
import { describeUserScramCredentialsHandler } from './50-describe-user-scram-credentials.ts'
import { describeQuorumHandler } from './55-describe-quorum.ts'
import { updateFeaturesHandler } from './57-update-features.ts'
import { describeClusterHandler } from './60-describe-cluster.ts'
import { describeProducersHandler } from './61-describe-producers.ts'
import { unregisterBrokerHandler } from './64-unregister-broker.ts'
import { describeTransactionsHandler } from './65-describe-transactions.ts'
import { listTransactionsHandler } from './66-list-transactions.ts'
import { consumerGroupHeartbeatHandler } from './68-consumer-group-heartbeat.ts'
import { consumerGroupDescribeHandler } from './69-consumer-group-describe.ts'
import { listConfigResourcesHandler } from './74-list-config-resources.ts'
import { describeTopicPartitionsHandler } from './75-describe-topic-partitions.ts'
import type { Connection } from './connection.ts'
import { Exchange } from './exchange.ts'
import type { Handler, Services } from './services.ts'

/** Only a produce carries bytes; a list that is longer than this means nothing but harm. */
const LARGEST_LIST_BYTES = 8 * 1024 * 1024

/**
 * Which handler serves which API. What is not in this table is neither advertised nor served: a request for it ends the connection, as
 * Kafka does, since no error body could be understood.
 */
export class Dispatch {
  private readonly handlers = new Map<number, Handler>()

  constructor(services: Services) {
    const handlers = handlersOf(services)
    const apis: Api<never, never>[] = handlers.map(({ api }) => api)
    for (const handler of handlers) this.handlers.set(handler.api.key, handler)
    const versions = apiVersionsHandler(services, [...apis, ApiVersionsApi as unknown as Api<never, never>])
    this.handlers.set(versions.api.key, versions as unknown as Handler)
  }

  /** Begins to serve one request. Throws `DecodeError` for a frame that is none. */
  accept(connection: Connection, frame: Uint8Array): void {
    if (frame.length > LARGEST_LIST_BYTES && (frame[0] !== 0 || frame[1] !== ProduceApi.key))
      throw new DecodeError(`a request of ${frame.length} bytes that is no produce`)
    const decoded = decodeRequest(frame)
    const { header, value } = decoded
    const handler = this.handlers.get(header.apiKey)
    if (handler === undefined) throw new DecodeError(`${header.api.name} (API key ${header.apiKey}) is not served`)
    const exchange = new Exchange<never>(connection, decoded, frame)
    connection.enqueue(exchange)
    if (header.supported) handler.serve(exchange, value as never)
    else exchange.respondParts(encodeUnsupportedApiVersions(header.correlationId))
  }
}

function handlersOf(services: Services): readonly Handler[] {
  return [
    produceHandler(services),
    fetchHandler(services),
    listOffsetsHandler(services),
    metadataHandler(services),
    offsetCommitHandler(services),
    offsetFetchHandler(services),
    findCoordinatorHandler(services),
    joinGroupHandler(services),
    heartbeatHandler(services),
    leaveGroupHandler(services),
    syncGroupHandler(services),
    describeGroupsHandler(services),
    listGroupsHandler(services),
    createTopicsHandler(services),
    deleteTopicsHandler(services),
    deleteRecordsHandler(services),
    initProducerIdHandler(services),
    offsetForLeaderEpochHandler(services),
    describeAclsHandler(),
    createAclsHandler(),
    deleteAclsHandler(),
    describeConfigsHandler(services),
    alterConfigsHandler(services),
    alterReplicaLogDirsHandler(services),
    describeLogDirsHandler(services),
    createPartitionsHandler(services),
    deleteGroupsHandler(services),
    electLeadersHandler(services),
    incrementalAlterConfigsHandler(services),
    alterPartitionReassignmentsHandler(services),
    listPartitionReassignmentsHandler(services),
    offsetDeleteHandler(services),
    describeClientQuotasHandler(),
    alterClientQuotasHandler(),
    describeUserScramCredentialsHandler(),
    describeQuorumHandler(services),
    updateFeaturesHandler(services),
    describeClusterHandler(services),
    describeProducersHandler(services),
    unregisterBrokerHandler(services),
    describeTransactionsHandler(),
    listTransactionsHandler(),
    consumerGroupHeartbeatHandler(services),
    consumerGroupDescribeHandler(services),
    listConfigResourcesHandler(services),
    describeTopicPartitionsHandler(services),
  ] as readonly unknown[] as readonly Handler[]
}
