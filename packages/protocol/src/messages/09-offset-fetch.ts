import { ZERO_UUID } from '@millrace/base'
import {
  array,
  between,
  bool,
  ignorable,
  int16,
  int32,
  int64,
  message,
  nullableArray,
  nullableSince,
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
 * Committed offsets: of one group up to version 7, of many in `groups` from 8 on (KIP-709). Null topics, from version 2, means all. Version 6
 * is flexible, 7 asks for stable offsets only (KIP-447), 9 serves the new group protocol (KIP-848), 10
 * names topics by id.
 */
export const OffsetFetchRequest = message({
  key: 9,
  name: 'OffsetFetchRequest',
  versions: [1, 10],
  flexible: 6,
  fields: {
    groupId: until(7, string, ''),
    topics: until(7, nullableSince(2, array(struct({ name: string, partitionIndexes: array(int32) }))), []),
    groups: since(
      8,
      array(
        struct({
          groupId: string,
          memberId: ignorable(since(9, nullableString, null)),
          memberEpoch: ignorable(since(9, int32, -1)),
          topics: nullableArray(
            struct({
              name: ignorable(until(9, string, '')),
              topicId: ignorable(since(10, uuid, ZERO_UUID)),
              partitionIndexes: array(int32),
            }),
          ),
        }),
      ),
      [],
    ),
    requireStable: since(7, bool, false),
  },
})
export type OffsetFetchRequest = TypeOf<typeof OffsetFetchRequest>

/** The answer to {@link OffsetFetchRequest}; of the same version. */
export const OffsetFetchResponse = message({
  key: 9,
  name: 'OffsetFetchResponse',
  versions: [1, 10],
  flexible: 6,
  fields: {
    throttleTimeMs: ignorable(since(3, int32, 0)),
    topics: until(
      7,
      array(
        struct({
          name: string,
          partitions: array(
            struct({
              partitionIndex: int32,
              committedOffset: int64,
              committedLeaderEpoch: ignorable(since(5, int32, -1)),
              metadata: nullableString,
              errorCode: int16,
            }),
          ),
        }),
      ),
      [],
    ),
    errorCode: ignorable(between(2, 7, int16, 0)),
    groups: since(
      8,
      array(
        struct({
          groupId: string,
          topics: array(
            struct({
              name: ignorable(until(9, string, '')),
              topicId: ignorable(since(10, uuid, ZERO_UUID)),
              partitions: array(
                struct({
                  partitionIndex: int32,
                  committedOffset: int64,
                  committedLeaderEpoch: int32,
                  metadata: nullableString,
                  errorCode: int16,
                }),
              ),
            }),
          ),
          errorCode: int16,
        }),
      ),
      [],
    ),
  },
})
export type OffsetFetchResponse = TypeOf<typeof OffsetFetchResponse>

/** {@link OffsetFetchRequest} and {@link OffsetFetchResponse}, as the registry has them. */
export const OffsetFetchApi = api(OffsetFetchRequest, OffsetFetchResponse)
