import type { Api } from './api.ts'
import { ProduceApi } from './messages/00-produce.ts'
import { FetchApi } from './messages/01-fetch.ts'
import { ListOffsetsApi } from './messages/02-list-offsets.ts'
import { MetadataApi } from './messages/03-metadata.ts'
import { OffsetCommitApi } from './messages/08-offset-commit.ts'
import { OffsetFetchApi } from './messages/09-offset-fetch.ts'
import { FindCoordinatorApi } from './messages/10-find-coordinator.ts'
import { JoinGroupApi } from './messages/11-join-group.ts'
import { HeartbeatApi } from './messages/12-heartbeat.ts'
import { LeaveGroupApi } from './messages/13-leave-group.ts'
import { SyncGroupApi } from './messages/14-sync-group.ts'
import { DescribeGroupsApi } from './messages/15-describe-groups.ts'
import { ListGroupsApi } from './messages/16-list-groups.ts'
import { ApiVersionsApi } from './messages/18-api-versions.ts'
import { CreateTopicsApi } from './messages/19-create-topics.ts'
import { DeleteTopicsApi } from './messages/20-delete-topics.ts'
import { DeleteRecordsApi } from './messages/21-delete-records.ts'
import { InitProducerIdApi } from './messages/22-init-producer-id.ts'
import { OffsetForLeaderEpochApi } from './messages/23-offset-for-leader-epoch.ts'
import { DescribeAclsApi } from './messages/29-describe-acls.ts'
import { CreateAclsApi } from './messages/30-create-acls.ts'
import { DeleteAclsApi } from './messages/31-delete-acls.ts'
import { DescribeConfigsApi } from './messages/32-describe-configs.ts'
import { AlterConfigsApi } from './messages/33-alter-configs.ts'
import { AlterReplicaLogDirsApi } from './messages/34-alter-replica-log-dirs.ts'
import { DescribeLogDirsApi } from './messages/35-describe-log-dirs.ts'
import { CreatePartitionsApi } from './messages/37-create-partitions.ts'
import { DeleteGroupsApi } from './messages/42-delete-groups.ts'
import { ElectLeadersApi } from './messages/43-elect-leaders.ts'
import { IncrementalAlterConfigsApi } from './messages/44-incremental-alter-configs.ts'
import { AlterPartitionReassignmentsApi } from './messages/45-alter-partition-reassignments.ts'
import { ListPartitionReassignmentsApi } from './messages/46-list-partition-reassignments.ts'
import { OffsetDeleteApi } from './messages/47-offset-delete.ts'
import { DescribeClientQuotasApi } from './messages/48-describe-client-quotas.ts'
import { AlterClientQuotasApi } from './messages/49-alter-client-quotas.ts'
import { DescribeUserScramCredentialsApi } from './messages/50-describe-user-scram-credentials.ts'
import { DescribeQuorumApi } from './messages/55-describe-quorum.ts'
import { UpdateFeaturesApi } from './messages/57-update-features.ts'
import { DescribeClusterApi } from './messages/60-describe-cluster.ts'
import { DescribeProducersApi } from './messages/61-describe-producers.ts'
import { UnregisterBrokerApi } from './messages/64-unregister-broker.ts'
import { DescribeTransactionsApi } from './messages/65-describe-transactions.ts'
import { ListTransactionsApi } from './messages/66-list-transactions.ts'
import { ConsumerGroupHeartbeatApi } from './messages/68-consumer-group-heartbeat.ts'
import { ConsumerGroupDescribeApi } from './messages/69-consumer-group-describe.ts'
import { ListConfigResourcesApi } from './messages/74-list-config-resources.ts'
import { DescribeTopicPartitionsApi } from './messages/75-describe-topic-partitions.ts'

/** Every API that is declared, by key. A broker advertises those that it also handles. */
export const APIS: readonly Api[] = Object.freeze([
  ProduceApi,
  FetchApi,
  ListOffsetsApi,
  MetadataApi,
  OffsetCommitApi,
  OffsetFetchApi,
  FindCoordinatorApi,
  JoinGroupApi,
  HeartbeatApi,
  LeaveGroupApi,
  SyncGroupApi,
  DescribeGroupsApi,
  ListGroupsApi,
  ApiVersionsApi,
  CreateTopicsApi,
  DeleteTopicsApi,
  DeleteRecordsApi,
  InitProducerIdApi,
  OffsetForLeaderEpochApi,
  DescribeAclsApi,
  CreateAclsApi,
  DeleteAclsApi,
  DescribeConfigsApi,
  AlterConfigsApi,
  AlterReplicaLogDirsApi,
  DescribeLogDirsApi,
  CreatePartitionsApi,
  DeleteGroupsApi,
  ElectLeadersApi,
  IncrementalAlterConfigsApi,
  AlterPartitionReassignmentsApi,
  ListPartitionReassignmentsApi,
  OffsetDeleteApi,
  DescribeClientQuotasApi,
  AlterClientQuotasApi,
  DescribeUserScramCredentialsApi,
  DescribeQuorumApi,
  UpdateFeaturesApi,
  DescribeClusterApi,
  DescribeProducersApi,
  UnregisterBrokerApi,
  DescribeTransactionsApi,
  ListTransactionsApi,
  ConsumerGroupHeartbeatApi,
  ConsumerGroupDescribeApi,
  ListConfigResourcesApi,
  DescribeTopicPartitionsApi,
])

const BY_KEY: ReadonlyMap<number, Api> = new Map(APIS.map((api) => [api.key, api]))

/** The API with this key, or undefined when none is declared: the connection that asks for it is closed. */
export function apiByKey(key: number): Api | undefined {
  return BY_KEY.get(key)
}
