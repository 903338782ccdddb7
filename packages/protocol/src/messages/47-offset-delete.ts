import { array, int16, int32, message, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Deletes a group's offsets of topics that it is not subscribed to (KIP-496). */
export const OffsetDeleteRequest = message({
  key: 47,
  name: 'OffsetDeleteRequest',
  versions: [0, 0],
  fields: {
    groupId: string,
    topics: array(struct({ name: string, partitions: array(struct({ partitionIndex: int32 })) })),
  },
})
export type OffsetDeleteRequest = TypeOf<typeof OffsetDeleteRequest>

/** The answer to {@link OffsetDeleteRequest}; of the same version. */
export const OffsetDeleteResponse = message({
  key: 47,
  name: 'OffsetDeleteResponse',
  versions: [0, 0],
  fields: {
    errorCode: int16,
    throttleTimeMs: int32,
    topics: array(struct({ name: string, partitions: array(struct({ partitionIndex: int32, errorCode: int16 })) })),
  },
})
export type OffsetDeleteResponse = TypeOf<typeof OffsetDeleteResponse>

/** {@link OffsetDeleteRequest} and {@link OffsetDeleteResponse}, as the registry has them. */
export const OffsetDeleteApi = api(OffsetDeleteRequest, OffsetDeleteResponse)
