import { array, int16, int32, int8, message, nullableString, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Lets somebody do something, or forbids it (KIP-140). Version 2 is flexible, 3 knows resources of users (KIP-373). */
export const CreateAclsRequest = message({
  key: 30,
  name: 'CreateAclsRequest',
  versions: [1, 3],
  flexible: 2,
  fields: {
    creations: array(
      struct({
        resourceType: int8,
        resourceName: string,
        resourcePatternType: int8,
        principal: string,
        host: string,
        operation: int8,
        permissionType: int8,
      }),
    ),
  },
})
export type CreateAclsRequest = TypeOf<typeof CreateAclsRequest>

/** The answer to {@link CreateAclsRequest}; of the same version. */
export const CreateAclsResponse = message({
  key: 30,
  name: 'CreateAclsResponse',
  versions: [1, 3],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    results: array(struct({ errorCode: int16, errorMessage: nullableString })),
  },
})
export type CreateAclsResponse = TypeOf<typeof CreateAclsResponse>

/** {@link CreateAclsRequest} and {@link CreateAclsResponse}, as the registry has them. */
export const CreateAclsApi = api(CreateAclsRequest, CreateAclsResponse)
