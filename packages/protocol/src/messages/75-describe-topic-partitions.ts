import {
  array,
  bool,
  int16,
  int32,
  message,
  nullableArray,
  nullableString,
  nullableStruct,
  string,
  struct,
  uuid,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Partitions page by page, with their eligible leader replicas (KIP-966). The cursor says where to go on. */
export const DescribeTopicPartitionsRequest = message({
  key: 75,
  name: 'DescribeTopicPartitionsRequest',
  versions: [0, 0],
  flexible: 0,
  fields: {
    topics: array(struct({ name: string })),
    responsePartitionLimit: int32,
    cursor: nullableStruct({ topicName: string, partitionIndex: int32 }),
  },
})
export type DescribeTopicPartitionsRequest = TypeOf<typeof DescribeTopicPartitionsRequest>

/** The answer to {@link DescribeTopicPartitionsRequest}; of the same version. */
export const DescribeTopicPartitionsResponse = message({
  key: 75,
  name: 'DescribeTopicPartitionsResponse',
  versions: [0, 0],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    topics: array(
      struct({
        errorCode: int16,
        name: nullableString,
        topicId: uuid,
        isInternal: bool,
        partitions: array(
          struct({
            errorCode: int16,
            partitionIndex: int32,
            leaderId: int32,
            leaderEpoch: int32,
            replicaNodes: array(int32),
            isrNodes: array(int32),
            eligibleLeaderReplicas: nullableArray(int32),
            lastKnownElr: nullableArray(int32),
            offlineReplicas: array(int32),
          }),
        ),
        /** `OPERATIONS_NOT_ASKED` unless known. */
        topicAuthorizedOperations: int32,
      }),
    ),
    nextCursor: nullableStruct({ topicName: string, partitionIndex: int32 }),
  },
})
export type DescribeTopicPartitionsResponse = TypeOf<typeof DescribeTopicPartitionsResponse>

/** {@link DescribeTopicPartitionsRequest} and {@link DescribeTopicPartitionsResponse}, as the registry has them. */
export const DescribeTopicPartitionsApi = api(DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse)
