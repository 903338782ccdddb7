import { array, int16, int32, int8, message, nullableString, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Takes back what CreateAcls set, by filters as in DescribeAcls. Version 2 is flexible, 3 knows resources of users (KIP-373). */
export const DeleteAclsRequest = message({
  key: 31,
  name: 'DeleteAclsRequest',
  versions: [1, 3],
  flexible: 2,
  fields: {
    filters: array(
      struct({
        resourceTypeFilter: int8,
        resourceNameFilter: nullableString,
        patternTypeFilter: int8,
        principalFilter: nullableString,
        hostFilter: nullableString,
        operation: int8,
        permissionType: int8,
      }),
    ),
  },
})
export type DeleteAclsRequest = TypeOf<typeof DeleteAclsRequest>

/** The answer to {@link DeleteAclsRequest}; of the same version. */
export const DeleteAclsResponse = message({
  key: 31,
  name: 'DeleteAclsResponse',
  versions: [1, 3],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    filterResults: array(
      struct({
        errorCode: int16,
        errorMessage: nullableString,
        matchingAcls: array(
          struct({
            errorCode: int16,
            errorMessage: nullableString,
            resourceType: int8,
            resourceName: string,
            patternType: int8,
            principal: string,
            host: string,
            operation: int8,
            permissionType: int8,
          }),
        ),
      }),
    ),
  },
})
export type DeleteAclsResponse = TypeOf<typeof DeleteAclsResponse>

/** {@link DeleteAclsRequest} and {@link DeleteAclsResponse}, as the registry has them. */
export const DeleteAclsApi = api(DeleteAclsRequest, DeleteAclsResponse)
