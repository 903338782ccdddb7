import { array, bool, int16, int32, int8, message, nullableString, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Replaces whole configurations: a key that is not named goes back to its default. Version 2 is flexible. */
export const AlterConfigsRequest = message({
  key: 33,
  name: 'AlterConfigsRequest',
  versions: [0, 2],
  flexible: 2,
  fields: {
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        configs: array(struct({ name: string, value: nullableString })),
      }),
    ),
    validateOnly: bool,
  },
})
export type AlterConfigsRequest = TypeOf<typeof AlterConfigsRequest>

/** The answer to {@link AlterConfigsRequest}; of the same version. */
export const AlterConfigsResponse = message({
  key: 33,
  name: 'AlterConfigsResponse',
  versions: [0, 2],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    responses: array(
      struct({ errorCode: int16, errorMessage: nullableString, resourceType: int8, resourceName: string }),
    ),
  },
})
export type AlterConfigsResponse = TypeOf<typeof AlterConfigsResponse>

/** {@link AlterConfigsRequest} and {@link AlterConfigsResponse}, as the registry has them. */
export const AlterConfigsApi = api(AlterConfigsRequest, AlterConfigsResponse)
