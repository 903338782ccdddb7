import { ZERO_UUID } from '@millrace/base'
import {
  array,
  bool,
  ignorable,
  int16,
  int32,
  int8,
  message,
  nullableArray,
  nullableString,
  since,
  string,
  struct,
  tagged,
  uuid,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/**
 * Creates topics. Version 4 allows -1 for the broker's defaults (KIP-464), 5 is flexible and answers with the topic's configuration, 7 with
 * its id.
 */
export const CreateTopicsRequest = message({
  key: 19,
  name: 'CreateTopicsRequest',
  versions: [2, 7],
  flexible: 5,
  fields: {
    topics: array(
      struct({
        name: string,
        /** -1: the default, or as many as are assigned. */
        numPartitions: int32,
        replicationFactor: int16,
        assignments: array(struct({ partitionIndex: int32, brokerIds: array(int32) })),
        configs: array(struct({ name: string, value: nullableString })),
      }),
    ),
    timeoutMs: int32,
    validateOnly: bool,
  },
})
export type CreateTopicsRequest = TypeOf<typeof CreateTopicsRequest>

/** The answer to {@link CreateTopicsRequest}; of the same version. */
export const CreateTopicsResponse = message({
  key: 19,
  name: 'CreateTopicsResponse',
  versions: [2, 7],
  flexible: 5,
  fields: {
    throttleTimeMs: int32,
    topics: array(
      struct({
        name: string,
        topicId: ignorable(since(7, uuid, ZERO_UUID)),
        errorCode: int16,
        errorMessage: nullableString,
        topicConfigErrorCode: ignorable(tagged(0, 5, int16, 0)),
        numPartitions: ignorable(since(5, int32, -1)),
        replicationFactor: ignorable(since(5, int16, -1)),
        configs: ignorable(
          since(
            5,
            nullableArray(
              struct({ name: string, value: nullableString, readOnly: bool, configSource: int8, isSensitive: bool }),
            ),
            [],
          ),
        ),
      }),
    ),
  },
})
export type CreateTopicsResponse = TypeOf<typeof CreateTopicsResponse>

/** {@link CreateTopicsRequest} and {@link CreateTopicsResponse}, as the registry has them. */
export const CreateTopicsApi = api(CreateTopicsRequest, CreateTopicsResponse)
