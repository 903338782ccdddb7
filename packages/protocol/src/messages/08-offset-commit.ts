import { ZERO_UUID } from '@millrace/base'
import {
  array,
  between,
  ignorable,
  int16,
  int32,
  int64,
  message,
  nullableString,
  since,
  string,
  struct,
  until,
  uuid,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/**
 * Commits a group's offsets. Version 6 brings leader epochs, 7 static members, 8 is flexible, 9 serves the new group protocol (KIP-848), 10 names
 * topics by id.
 */
export const OffsetCommitRequest = message({
  key: 8,
  name: 'OffsetCommitRequest',
  versions: [2, 10],
  flexible: 8,
  fields: {
    groupId: string,
    /** -1 for a client that is not a member. */
    generationIdOrMemberEpoch: int32,
    memberId: string,
    groupInstanceId: since(7, nullableString, null),
    retentionTimeMs: ignorable(between(2, 4, int64, -1)),
    topics: array(
      struct({
        name: ignorable(until(9, string, '')),
        topicId: ignorable(since(10, uuid, ZERO_UUID)),
        partitions: array(
          struct({
            partitionIndex: int32,
            committedOffset: int64,
            committedLeaderEpoch: ignorable(since(6, int32, -1)),
            committedMetadata: nullableString,
          }),
        ),
      }),
    ),
  },
})
export type OffsetCommitRequest = TypeOf<typeof OffsetCommitRequest>

/** The answer to {@link OffsetCommitRequest}; of the same version. */
export const OffsetCommitResponse = message({
  key: 8,
  name: 'OffsetCommitResponse',
  versions: [2, 10],
  flexible: 8,
  fields: {
    throttleTimeMs: ignorable(since(3, int32, 0)),
    topics: array(
      struct({
        name: ignorable(until(9, string, '')),
        topicId: ignorable(since(10, uuid, ZERO_UUID)),
        partitions: array(struct({ partitionIndex: int32, errorCode: int16 })),
      }),
    ),
  },
})
export type OffsetCommitResponse = TypeOf<typeof OffsetCommitResponse>

/** {@link OffsetCommitRequest} and {@link OffsetCommitResponse}, as the registry has them. */
export const OffsetCommitApi = api(OffsetCommitRequest, OffsetCommitResponse)
