import { ZERO_UUID } from '@millrace/base'
import {
  array,
  between,
  bool,
  ignorable,
  int16,
  int32,
  message,
  nullableSince,
  nullableString,
  since,
  string,
  struct,
  uuid,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'
import { OPERATIONS_NOT_ASKED } from './shared.ts'

/**
 * The cluster as clients see it. Null topics means all of them; in version 0, which has no null, an empty list does. Version 7 brings leader
 * epochs, 9 is flexible, 10 brings topic ids (12 lets a request name topics by id alone), 13 a top-level error.
 */
export const MetadataRequest = message({
  key: 3,
  name: 'MetadataRequest',
  versions: [0, 13],
  flexible: 9,
  fields: {
    topics: nullableSince(
      1,
      array(struct({ topicId: ignorable(since(10, uuid, ZERO_UUID)), name: nullableSince(10, string) })),
    ),
    allowAutoTopicCreation: since(4, bool, true),
    includeClusterAuthorizedOperations: between(8, 10, bool, false),
    includeTopicAuthorizedOperations: since(8, bool, false),
  },
})
export type MetadataRequest = TypeOf<typeof MetadataRequest>

/** The answer to {@link MetadataRequest}; of the same version. */
export const MetadataResponse = message({
  key: 3,
  name: 'MetadataResponse',
  versions: [0, 13],
  flexible: 9,
  fields: {
    throttleTimeMs: ignorable(since(3, int32, 0)),
    brokers: array(
      struct({ nodeId: int32, host: string, port: int32, rack: ignorable(since(1, nullableString, null)) }),
    ),
    clusterId: ignorable(since(2, nullableString, null)),
    controllerId: ignorable(since(1, int32, -1)),
    topics: array(
      struct({
        errorCode: int16,
        name: nullableSince(12, string),
        topicId: ignorable(since(10, uuid, ZERO_UUID)),
        isInternal: ignorable(since(1, bool, false)),
        partitions: array(
          struct({
            errorCode: int16,
            partitionIndex: int32,
            leaderId: int32,
            leaderEpoch: ignorable(since(7, int32, -1)),
            replicaNodes: array(int32),
            isrNodes: array(int32),
            offlineReplicas: ignorable(since(5, array(int32), [])),
          }),
        ),
        topicAuthorizedOperations: since(8, int32, OPERATIONS_NOT_ASKED),
      }),
    ),
    clusterAuthorizedOperations: between(8, 10, int32, OPERATIONS_NOT_ASKED),
    errorCode: ignorable(since(13, int16, 0)),
  },
})
export type MetadataResponse = TypeOf<typeof MetadataResponse>

/** {@link MetadataRequest} and {@link MetadataResponse}, as the registry has them. */
export const MetadataApi = api(MetadataRequest, MetadataResponse)
