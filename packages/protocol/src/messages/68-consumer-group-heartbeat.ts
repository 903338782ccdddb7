import {
  array,
  int16,
  int32,
  message,
  nullableArray,
  nullableString,
  nullableStruct,
  since,
  string,
  struct,
  uuid,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

const topicPartitions = struct({ topicId: uuid, partitions: array(int32) })

/**
 * A member of a consumer group tells that it lives, and what changed (KIP-848): null, and -1 for the timeout, mean "as before". A member epoch of
 * 0 joins, -1 leaves, -2 leaves for a while as a static member. From version 1 on a subscription can be a pattern, and the member names itself.
 */
export const ConsumerGroupHeartbeatRequest = message({
  key: 68,
  name: 'ConsumerGroupHeartbeatRequest',
  versions: [0, 1],
  flexible: 0,
  fields: {
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    instanceId: nullableString,
    rackId: nullableString,
    rebalanceTimeoutMs: int32,
    subscribedTopicNames: nullableArray(string),
    subscribedTopicRegex: since(1, nullableString, null),
    serverAssignor: nullableString,
    topicPartitions: nullableArray(topicPartitions),
  },
})
export type ConsumerGroupHeartbeatRequest = TypeOf<typeof ConsumerGroupHeartbeatRequest>

/** The answer to {@link ConsumerGroupHeartbeatRequest}; of the same version. A null assignment means "as before". */
export const ConsumerGroupHeartbeatResponse = message({
  key: 68,
  name: 'ConsumerGroupHeartbeatResponse',
  versions: [0, 1],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: nullableString,
    memberId: nullableString,
    memberEpoch: int32,
    heartbeatIntervalMs: int32,
    assignment: nullableStruct({ topicPartitions: array(topicPartitions) }),
  },
})
export type ConsumerGroupHeartbeatResponse = TypeOf<typeof ConsumerGroupHeartbeatResponse>

/** {@link ConsumerGroupHeartbeatRequest} and {@link ConsumerGroupHeartbeatResponse}, as the registry has them. */
export const ConsumerGroupHeartbeatApi = api(ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse)
