import {
  array,
  bool,
  bytes,
  ignorable,
  int16,
  int32,
  message,
  nullableString,
  since,
  string,
  struct,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'
import { OPERATIONS_NOT_ASKED } from './shared.ts'

/** Classic groups and their members. Version 4 brings static members, 5 is flexible, 6 says 69 for a group that is not there (KIP-1043). */
export const DescribeGroupsRequest = message({
  key: 15,
  name: 'DescribeGroupsRequest',
  versions: [0, 6],
  flexible: 5,
  fields: {
    groups: array(string),
    includeAuthorizedOperations: since(3, bool, false),
  },
})
export type DescribeGroupsRequest = TypeOf<typeof DescribeGroupsRequest>

/** The answer to {@link DescribeGroupsRequest}; of the same version. */
export const DescribeGroupsResponse = message({
  key: 15,
  name: 'DescribeGroupsResponse',
  versions: [0, 6],
  flexible: 5,
  fields: {
    throttleTimeMs: ignorable(since(1, int32, 0)),
    groups: array(
      struct({
        errorCode: int16,
        errorMessage: since(6, nullableString, null),
        groupId: string,
        groupState: string,
        protocolType: string,
        protocolData: string,
        members: array(
          struct({
            memberId: string,
            groupInstanceId: ignorable(since(4, nullableString, null)),
            clientId: string,
            clientHost: string,
            memberMetadata: bytes,
            memberAssignment: bytes,
          }),
        ),
        authorizedOperations: since(3, int32, OPERATIONS_NOT_ASKED),
      }),
    ),
  },
})
export type DescribeGroupsResponse = TypeOf<typeof DescribeGroupsResponse>

/** {@link DescribeGroupsRequest} and {@link DescribeGroupsResponse}, as the registry has them. */
export const DescribeGroupsApi = api(DescribeGroupsRequest, DescribeGroupsResponse)
