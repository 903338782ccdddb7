import { array, int16, int32, int8, message, nullableString, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Who may do what (KIP-140). Null filters match everything. Version 2 is flexible, 3 knows resources of users (KIP-373). */
export const DescribeAclsRequest = message({
  key: 29,
  name: 'DescribeAclsRequest',
  versions: [1, 3],
  flexible: 2,
  fields: {
    resourceTypeFilter: int8,
    resourceNameFilter: nullableString,
    patternTypeFilter: int8,
    principalFilter: nullableString,
    hostFilter: nullableString,
    operation: int8,
    permissionType: int8,
  },
})
export type DescribeAclsRequest = TypeOf<typeof DescribeAclsRequest>

/** The answer to {@link DescribeAclsRequest}; of the same version. */
export const DescribeAclsResponse = message({
  key: 29,
  name: 'DescribeAclsResponse',
  versions: [1, 3],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: nullableString,
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        patternType: int8,
        acls: array(struct({ principal: string, host: string, operation: int8, permissionType: int8 })),
      }),
    ),
  },
})
export type DescribeAclsResponse = TypeOf<typeof DescribeAclsResponse>

/** {@link DescribeAclsRequest} and {@link DescribeAclsResponse}, as the registry has them. */
export const DescribeAclsApi = api(DescribeAclsRequest, DescribeAclsResponse)
