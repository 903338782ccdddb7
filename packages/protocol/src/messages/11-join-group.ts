import {
  array,
  bool,
  bytes,
  ignorable,
  int16,
  int32,
  message,
  nullableSince,
  nullableString,
  since,
  string,
  struct,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/**
 * Joins a classic group. From version 4 a member without an id is given one and asked to come again (KIP-394), 5 brings static members
 * (KIP-345), 6 is flexible, 7 answers with the protocol type (KIP-559), 8 has a reason (KIP-800), 9 may skip the assignment (KIP-814).
 */
export const JoinGroupRequest = message({
  key: 11,
  name: 'JoinGroupRequest',
  versions: [0, 9],
  flexible: 6,
  fields: {
    groupId: string,
    sessionTimeoutMs: int32,
    /** -1 in version 0: the session timeout serves instead. */
    rebalanceTimeoutMs: ignorable(since(1, int32, -1)),
    memberId: string,
    groupInstanceId: since(5, nullableString, null),
    protocolType: string,
    protocols: array(struct({ name: string, metadata: bytes })),
    reason: ignorable(since(8, nullableString, null)),
  },
})
export type JoinGroupRequest = TypeOf<typeof JoinGroupRequest>

/** The answer to {@link JoinGroupRequest}; of the same version. */
export const JoinGroupResponse = message({
  key: 11,
  name: 'JoinGroupResponse',
  versions: [0, 9],
  flexible: 6,
  fields: {
    throttleTimeMs: ignorable(since(2, int32, 0)),
    errorCode: int16,
    generationId: int32,
    protocolType: ignorable(since(7, nullableString, null)),
    protocolName: nullableSince(7, string),
    leader: string,
    skipAssignment: since(9, bool, false),
    memberId: string,
    /** Filled for the leader only. */
    members: array(
      struct({ memberId: string, groupInstanceId: ignorable(since(5, nullableString, null)), metadata: bytes }),
    ),
  },
})
export type JoinGroupResponse = TypeOf<typeof JoinGroupResponse>

/** {@link JoinGroupRequest} and {@link JoinGroupResponse}, as the registry has them. */
export const JoinGroupApi = api(JoinGroupRequest, JoinGroupResponse)
