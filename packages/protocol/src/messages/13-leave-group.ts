import { array, ignorable, int16, int32, message, nullableString, since, string, struct, until } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Leaves a classic group: one member up to version 2, several from 3 on (KIP-345). Version 4 is flexible, 5 has a reason (KIP-800). */
export const LeaveGroupRequest = message({
  key: 13,
  name: 'LeaveGroupRequest',
  versions: [0, 5],
  flexible: 4,
  fields: {
    groupId: string,
    memberId: until(2, string, ''),
    members: since(
      3,
      array(
        struct({
          memberId: string,
          groupInstanceId: nullableString,
          reason: ignorable(since(5, nullableString, null)),
        }),
      ),
      [],
    ),
  },
})
export type LeaveGroupRequest = TypeOf<typeof LeaveGroupRequest>

/** The answer to {@link LeaveGroupRequest}; of the same version. */
export const LeaveGroupResponse = message({
  key: 13,
  name: 'LeaveGroupResponse',
  versions: [0, 5],
  flexible: 4,
  fields: {
    throttleTimeMs: ignorable(since(1, int32, 0)),
    errorCode: int16,
    members: since(3, array(struct({ memberId: string, groupInstanceId: nullableString, errorCode: int16 })), []),
  },
})
export type LeaveGroupResponse = TypeOf<typeof LeaveGroupResponse>

/** {@link LeaveGroupRequest} and {@link LeaveGroupResponse}, as the registry has them. */
export const LeaveGroupApi = api(LeaveGroupRequest, LeaveGroupResponse)
