import { array, bool, int16, int32, message, nullableArray, nullableString, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Raises the number of partitions. Null assignments leave the placement to the controller. Version 2 is flexible. */
export const CreatePartitionsRequest = message({
  key: 37,
  name: 'CreatePartitionsRequest',
  versions: [0, 3],
  flexible: 2,
  fields: {
    topics: array(
      struct({ name: string, count: int32, assignments: nullableArray(struct({ brokerIds: array(int32) })) }),
    ),
    timeoutMs: int32,
    validateOnly: bool,
  },
})
export type CreatePartitionsRequest = TypeOf<typeof CreatePartitionsRequest>

/** The answer to {@link CreatePartitionsRequest}; of the same version. */
export const CreatePartitionsResponse = message({
  key: 37,
  name: 'CreatePartitionsResponse',
  versions: [0, 3],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    results: array(struct({ name: string, errorCode: int16, errorMessage: nullableString })),
  },
})
export type CreatePartitionsResponse = TypeOf<typeof CreatePartitionsResponse>

/** {@link CreatePartitionsRequest} and {@link CreatePartitionsResponse}, as the registry has them. */
export const CreatePartitionsApi = api(CreatePartitionsRequest, CreatePartitionsResponse)
