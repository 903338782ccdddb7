import { ZERO_UUID } from '@millrace/base'
import {
  array,
  ignorable,
  int16,
  int32,
  int64,
  message,
  nullableString,
  since,
  string,
  struct,
  uint16,
  uuid,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** The state of the metadata quorum. Version 1 tells when followers caught up (KIP-836), 2 the voters' addresses and directories (KIP-853). */
export const DescribeQuorumRequest = message({
  key: 55,
  name: 'DescribeQuorumRequest',
  versions: [0, 2],
  flexible: 0,
  fields: {
    topics: array(struct({ topicName: string, partitions: array(struct({ partitionIndex: int32 })) })),
  },
})
export type DescribeQuorumRequest = TypeOf<typeof DescribeQuorumRequest>

const replicaState = struct({
  replicaId: int32,
  replicaDirectoryId: ignorable(since(2, uuid, ZERO_UUID)),
  logEndOffset: int64,
  lastFetchTimestamp: ignorable(since(1, int64, -1)),
  lastCaughtUpTimestamp: ignorable(since(1, int64, -1)),
})

/** The answer to {@link DescribeQuorumRequest}; of the same version. */
export const DescribeQuorumResponse = message({
  key: 55,
  name: 'DescribeQuorumResponse',
  versions: [0, 2],
  flexible: 0,
  fields: {
    errorCode: int16,
    errorMessage: ignorable(since(2, nullableString, null)),
    topics: array(
      struct({
        topicName: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            errorMessage: ignorable(since(2, nullableString, null)),
            leaderId: int32,
            leaderEpoch: int32,
            highWatermark: int64,
            currentVoters: array(replicaState),
            observers: array(replicaState),
          }),
        ),
      }),
    ),
    nodes: ignorable(
      since(
        2,
        array(struct({ nodeId: int32, listeners: array(struct({ name: string, host: string, port: uint16 })) })),
        [],
      ),
    ),
  },
})
export type DescribeQuorumResponse = TypeOf<typeof DescribeQuorumResponse>

/** {@link DescribeQuorumRequest} and {@link DescribeQuorumResponse}, as the registry has them. */
export const DescribeQuorumApi = api(DescribeQuorumRequest, DescribeQuorumResponse)
