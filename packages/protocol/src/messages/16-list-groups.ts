import { array, ignorable, int16, int32, message, since, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** The groups this broker coordinates. Version 3 is flexible, 4 filters by state (KIP-518), 5 by type (KIP-848). */
export const ListGroupsRequest = message({
  key: 16,
  name: 'ListGroupsRequest',
  versions: [0, 5],
  flexible: 3,
  fields: {
    statesFilter: since(4, array(string), []),
    typesFilter: since(5, array(string), []),
  },
})
export type ListGroupsRequest = TypeOf<typeof ListGroupsRequest>

/** The answer to {@link ListGroupsRequest}; of the same version. */
export const ListGroupsResponse = message({
  key: 16,
  name: 'ListGroupsResponse',
  versions: [0, 5],
  flexible: 3,
  fields: {
    throttleTimeMs: ignorable(since(1, int32, 0)),
    errorCode: int16,
    groups: array(
      struct({
        groupId: string,
        protocolType: string,
        groupState: ignorable(since(4, string, '')),
        groupType: ignorable(since(5, string, '')),
      }),
    ),
  },
})
export type ListGroupsResponse = TypeOf<typeof ListGroupsResponse>

/** {@link ListGroupsRequest} and {@link ListGroupsResponse}, as the registry has them. */
export const ListGroupsApi = api(ListGroupsRequest, ListGroupsResponse)
