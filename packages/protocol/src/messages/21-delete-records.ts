import { array, int16, int32, int64, message, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Moves the start of logs. Offset -1 means the high watermark. Version 2 is flexible. */
export const DeleteRecordsRequest = message({
  key: 21,
  name: 'DeleteRecordsRequest',
  versions: [0, 2],
  flexible: 2,
  fields: {
    topics: array(struct({ name: string, partitions: array(struct({ partitionIndex: int32, offset: int64 })) })),
    timeoutMs: int32,
  },
})
export type DeleteRecordsRequest = TypeOf<typeof DeleteRecordsRequest>

/** The answer to {@link DeleteRecordsRequest}; of the same version. */
export const DeleteRecordsResponse = message({
  key: 21,
  name: 'DeleteRecordsResponse',
  versions: [0, 2],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    topics: array(
      struct({
        name: string,
        partitions: array(struct({ partitionIndex: int32, lowWatermark: int64, errorCode: int16 })),
      }),
    ),
  },
})
export type DeleteRecordsResponse = TypeOf<typeof DeleteRecordsResponse>

/** {@link DeleteRecordsRequest} and {@link DeleteRecordsResponse}, as the registry has them. */
export const DeleteRecordsApi = api(DeleteRecordsRequest, DeleteRecordsResponse)
