import {
  array,
  bool,
  ignorable,
  int16,
  int32,
  int8,
  message,
  nullableString,
  since,
  string,
  struct,
  uuid,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Consumer groups of the newer protocol (KIP-848). Version 1 tells which members speak the older one (KIP-1099). */
export const ConsumerGroupDescribeRequest = message({
  key: 69,
  name: 'ConsumerGroupDescribeRequest',
  versions: [0, 1],
  flexible: 0,
  fields: {
    groupIds: array(string),
    includeAuthorizedOperations: bool,
  },
})
export type ConsumerGroupDescribeRequest = TypeOf<typeof ConsumerGroupDescribeRequest>

const assignment = struct({
  topicPartitions: array(struct({ topicId: uuid, topicName: string, partitions: array(int32) })),
})

const member = struct({
  memberId: string,
  instanceId: nullableString,
  rackId: nullableString,
  memberEpoch: int32,
  clientId: string,
  clientHost: string,
  subscribedTopicNames: array(string),
  subscribedTopicRegex: nullableString,
  assignment,
  targetAssignment: assignment,
  /** -1 unknown, 0 of the older protocol, 1 of the newer one. */
  memberType: ignorable(since(1, int8, -1)),
})

/** The answer to {@link ConsumerGroupDescribeRequest}; of the same version. */
export const ConsumerGroupDescribeResponse = message({
  key: 69,
  name: 'ConsumerGroupDescribeResponse',
  versions: [0, 1],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    groups: array(
      struct({
        errorCode: int16,
        errorMessage: nullableString,
        groupId: string,
        groupState: string,
        groupEpoch: int32,
        assignmentEpoch: int32,
        assignorName: string,
        members: array(member),
        authorizedOperations: int32,
      }),
    ),
  },
})
export type ConsumerGroupDescribeResponse = TypeOf<typeof ConsumerGroupDescribeResponse>

/** {@link ConsumerGroupDescribeRequest} and {@link ConsumerGroupDescribeResponse}, as the registry has them. */
export const ConsumerGroupDescribeApi = api(ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse)
