import { array, ignorable, int16, int32, int64, message, since, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Where an epoch ended, so that a reader finds out whether its position was truncated away (KIP-320). Version 4 is flexible. */
export const OffsetForLeaderEpochRequest = message({
  key: 23,
  name: 'OffsetForLeaderEpochRequest',
  versions: [2, 4],
  flexible: 4,
  fields: {
    /** -1 for a consumer; -2, of older versions, for one that may see past the high watermark. */
    replicaId: ignorable(since(3, int32, -2)),
    topics: array(
      struct({
        topic: string,
        partitions: array(struct({ partition: int32, currentLeaderEpoch: int32, leaderEpoch: int32 })),
      }),
    ),
  },
})
export type OffsetForLeaderEpochRequest = TypeOf<typeof OffsetForLeaderEpochRequest>

/** The answer to {@link OffsetForLeaderEpochRequest}; of the same version. */
export const OffsetForLeaderEpochResponse = message({
  key: 23,
  name: 'OffsetForLeaderEpochResponse',
  versions: [2, 4],
  flexible: 4,
  fields: {
    throttleTimeMs: int32,
    topics: array(
      struct({
        topic: string,
        partitions: array(struct({ errorCode: int16, partition: int32, leaderEpoch: int32, endOffset: int64 })),
      }),
    ),
  },
})
export type OffsetForLeaderEpochResponse = TypeOf<typeof OffsetForLeaderEpochResponse>

/** {@link OffsetForLeaderEpochRequest} and {@link OffsetForLeaderEpochResponse}, as the registry has them. */
export const OffsetForLeaderEpochApi = api(OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse)
