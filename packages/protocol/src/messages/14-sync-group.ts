import { array, bytes, ignorable, int16, int32, message, nullableString, since, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Hands in the leader's assignments and answers with the member's own. Version 3 brings static members, 4 is flexible, 5 the protocol (KIP-559). */
export const SyncGroupRequest = message({
  key: 14,
  name: 'SyncGroupRequest',
  versions: [0, 5],
  flexible: 4,
  fields: {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: since(3, nullableString, null),
    protocolType: ignorable(since(5, nullableString, null)),
    protocolName: ignorable(since(5, nullableString, null)),
    assignments: array(struct({ memberId: string, assignment: bytes })),
  },
})
export type SyncGroupRequest = TypeOf<typeof SyncGroupRequest>

/** The answer to {@link SyncGroupRequest}; of the same version. */
export const SyncGroupResponse = message({
  key: 14,
  name: 'SyncGroupResponse',
  versions: [0, 5],
  flexible: 4,
  fields: {
    throttleTimeMs: ignorable(since(1, int32, 0)),
    errorCode: int16,
    protocolType: ignorable(since(5, nullableString, null)),
    protocolName: ignorable(since(5, nullableString, null)),
    assignment: bytes,
  },
})
export type SyncGroupResponse = TypeOf<typeof SyncGroupResponse>

/** {@link SyncGroupRequest} and {@link SyncGroupResponse}, as the registry has them. */
export const SyncGroupApi = api(SyncGroupRequest, SyncGroupResponse)
