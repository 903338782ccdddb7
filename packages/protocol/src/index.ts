export type { Api } from './api.ts'
export {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  encodeUnsupportedApiVersions,
  responseCorrelationId,
} from './frame.ts'
export type { DecodedRequest } from './frame.ts'
export { decodeRequestHeader, requestHeaderVersion, responseHeaderVersion } from './header.ts'
export type { RequestHeader } from './header.ts'
export { ProduceApi, ProduceRequest, ProduceResponse } from './messages/00-produce.ts'
export { FetchApi, FetchRequest, FetchResponse } from './messages/01-fetch.ts'
export { ListOffsetsApi, ListOffsetsRequest, ListOffsetsResponse } from './messages/02-list-offsets.ts'
export { MetadataApi, MetadataRequest, MetadataResponse } from './messages/03-metadata.ts'
export { OffsetCommitApi, OffsetCommitRequest, OffsetCommitResponse } from './messages/08-offset-commit.ts'
export { OffsetFetchApi, OffsetFetchRequest, OffsetFetchResponse } from './messages/09-offset-fetch.ts'
export { FindCoordinatorApi, FindCoordinatorRequest, FindCoordinatorResponse } from './messages/10-find-coordinator.ts'
export { JoinGroupApi, JoinGroupRequest, JoinGroupResponse } from './messages/11-join-group.ts'
export { HeartbeatApi, HeartbeatRequest, HeartbeatResponse } from './messages/12-heartbeat.ts'
export { LeaveGroupApi, LeaveGroupRequest, LeaveGroupResponse } from './messages/13-leave-group.ts'
export { SyncGroupApi, SyncGroupRequest, SyncGroupResponse } from './messages/14-sync-group.ts'
export { DescribeGroupsApi, DescribeGroupsRequest, DescribeGroupsResponse } from './messages/15-describe-groups.ts'
export { ListGroupsApi, ListGroupsRequest, ListGroupsResponse } from './messages/16-list-groups.ts'
export { ApiVersionsApi, ApiVersionsRequest, ApiVersionsResponse } from './messages/18-api-versions.ts'
export { CreateTopicsApi, CreateTopicsRequest, CreateTopicsResponse } from './messages/19-create-topics.ts'
export { DeleteTopicsApi, DeleteTopicsRequest, DeleteTopicsResponse } from './messages/20-delete-topics.ts'
export { DeleteRecordsApi, DeleteRecordsRequest, DeleteRecordsResponse } from './messages/21-delete-records.ts'
export { InitProducerIdApi, InitProducerIdRequest, InitProducerIdResponse } from './messages/22-init-producer-id.ts'
export {
  OffsetForLeaderEpochApi,
  OffsetForLeaderEpochRequest,
  OffsetForLeaderEpochResponse,
} from './messages/23-offset-for-leader-epoch.ts'
export { DescribeAclsApi, DescribeAclsRequest, DescribeAclsResponse } from './messages/29-describe-acls.ts'
export { CreateAclsApi, CreateAclsRequest, CreateAclsResponse } from './messages/30-create-acls.ts'
export { DeleteAclsApi, DeleteAclsRequest, DeleteAclsResponse } from './messages/31-delete-acls.ts'
export { DescribeConfigsApi, DescribeConfigsRequest, DescribeConfigsResponse } from './messages/32-describe-configs.ts'
export { AlterConfigsApi, AlterConfigsRequest, AlterConfigsResponse } from './messages/33-alter-configs.ts'
export {
  AlterReplicaLogDirsApi,
  AlterReplicaLogDirsRequest,
  AlterReplicaLogDirsResponse,
} from './messages/34-alter-replica-log-dirs.ts'
export { DescribeLogDirsApi, DescribeLogDirsRequest, DescribeLogDirsResponse } from './messages/35-describe-log-dirs.ts'
export {
  CreatePartitionsApi,
  CreatePartitionsRequest,
  CreatePartitionsResponse,
} from './messages/37-create-partitions.ts'
export { DeleteGroupsApi, DeleteGroupsRequest, DeleteGroupsResponse } from './messages/42-delete-groups.ts'
export { ElectLeadersApi, ElectLeadersRequest, ElectLeadersResponse } from './messages/43-elect-leaders.ts'
export {
  IncrementalAlterConfigsApi,
  IncrementalAlterConfigsRequest,
  IncrementalAlterConfigsResponse,
} from './messages/44-incremental-alter-configs.ts'
export {
  AlterPartitionReassignmentsApi,
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse,
} from './messages/45-alter-partition-reassignments.ts'
export {
  ListPartitionReassignmentsApi,
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse,
} from './messages/46-list-partition-reassignments.ts'
export { OffsetDeleteApi, OffsetDeleteRequest, OffsetDeleteResponse } from './messages/47-offset-delete.ts'
export {
  DescribeClientQuotasApi,
  DescribeClientQuotasRequest,
  DescribeClientQuotasResponse,
} from './messages/48-describe-client-quotas.ts'
export {
  AlterClientQuotasApi,
  AlterClientQuotasRequest,
  AlterClientQuotasResponse,
} from './messages/49-alter-client-quotas.ts'
export {
  DescribeUserScramCredentialsApi,
  DescribeUserScramCredentialsRequest,
  DescribeUserScramCredentialsResponse,
} from './messages/50-describe-user-scram-credentials.ts'
export { DescribeQuorumApi, DescribeQuorumRequest, DescribeQuorumResponse } from './messages/55-describe-quorum.ts'
export { UpdateFeaturesApi, UpdateFeaturesRequest, UpdateFeaturesResponse } from './messages/57-update-features.ts'
export { DescribeClusterApi, DescribeClusterRequest, DescribeClusterResponse } from './messages/60-describe-cluster.ts'
export {
  DescribeProducersApi,
  DescribeProducersRequest,
  DescribeProducersResponse,
} from './messages/61-describe-producers.ts'
export {
  UnregisterBrokerApi,
  UnregisterBrokerRequest,
  UnregisterBrokerResponse,
} from './messages/64-unregister-broker.ts'
export {
  DescribeTransactionsApi,
  DescribeTransactionsRequest,
  DescribeTransactionsResponse,
} from './messages/65-describe-transactions.ts'
export {
  ListTransactionsApi,
  ListTransactionsRequest,
  ListTransactionsResponse,
} from './messages/66-list-transactions.ts'
export {
  ConsumerGroupHeartbeatApi,
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from './messages/68-consumer-group-heartbeat.ts'
export {
  ConsumerGroupDescribeApi,
  ConsumerGroupDescribeRequest,
  ConsumerGroupDescribeResponse,
} from './messages/69-consumer-group-describe.ts'
export {
  ListConfigResourcesApi,
  ListConfigResourcesRequest,
  ListConfigResourcesResponse,
} from './messages/74-list-config-resources.ts'
export {
  DescribeTopicPartitionsApi,
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponse,
} from './messages/75-describe-topic-partitions.ts'
export { OPERATIONS_NOT_ASKED } from './messages/shared.ts'
export { apiByKey, APIS } from './registry.ts'
