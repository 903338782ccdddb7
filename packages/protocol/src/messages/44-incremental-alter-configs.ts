import { array, bool, int16, int32, int8, message, nullableString, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Changes single keys: 0 set, 1 delete, 2 append to a list, 3 subtract from one (KIP-339). Version 1 is flexible. */
export const IncrementalAlterConfigsRequest = message({
  key: 44,
  name: 'IncrementalAlterConfigsRequest',
  versions: [0, 1],
  flexible: 1,
  fields: {
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        configs: array(struct({ name: string, configOperation: int8, value: nullableString })),
      }),
    ),
    validateOnly: bool,
  },
})
export type IncrementalAlterConfigsRequest = TypeOf<typeof IncrementalAlterConfigsRequest>

/** The answer to {@link IncrementalAlterConfigsRequest}; of the same version. */
export const IncrementalAlterConfigsResponse = message({
  key: 44,
  name: 'IncrementalAlterConfigsResponse',
  versions: [0, 1],
  flexible: 1,
  fields: {
    throttleTimeMs: int32,
    responses: array(
      struct({ errorCode: int16, errorMessage: nullableString, resourceType: int8, resourceName: string }),
    ),
  },
})
export type IncrementalAlterConfigsResponse = TypeOf<typeof IncrementalAlterConfigsResponse>

/** {@link IncrementalAlterConfigsRequest} and {@link IncrementalAlterConfigsResponse}, as the registry has them. */
export const IncrementalAlterConfigsApi = api(IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse)
