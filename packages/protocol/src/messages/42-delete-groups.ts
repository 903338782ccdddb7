import { array, int16, int32, message, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Deletes groups that have no members, with their offsets. Version 2 is flexible. */
export const DeleteGroupsRequest = message({
  key: 42,
  name: 'DeleteGroupsRequest',
  versions: [0, 2],
  flexible: 2,
  fields: {
    groupsNames: array(string),
  },
})
export type DeleteGroupsRequest = TypeOf<typeof DeleteGroupsRequest>

/** The answer to {@link DeleteGroupsRequest}; of the same version. */
export const DeleteGroupsResponse = message({
  key: 42,
  name: 'DeleteGroupsResponse',
  versions: [0, 2],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    results: array(struct({ groupId: string, errorCode: int16 })),
  },
})
export type DeleteGroupsResponse = TypeOf<typeof DeleteGroupsResponse>

/** {@link DeleteGroupsRequest} and {@link DeleteGroupsResponse}, as the registry has them. */
export const DeleteGroupsApi = api(DeleteGroupsRequest, DeleteGroupsResponse)
