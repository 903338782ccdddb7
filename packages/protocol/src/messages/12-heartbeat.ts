import { ignorable, int16, int32, message, nullableString, since, string } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Says that a member of a classic group is alive. Version 3 brings static members, 4 is flexible. */
export const HeartbeatRequest = message({
  key: 12,
  name: 'HeartbeatRequest',
  versions: [0, 4],
  flexible: 4,
  fields: {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: since(3, nullableString, null),
  },
})
export type HeartbeatRequest = TypeOf<typeof HeartbeatRequest>

/** The answer to {@link HeartbeatRequest}; of the same version. */
export const HeartbeatResponse = message({
  key: 12,
  name: 'HeartbeatResponse',
  versions: [0, 4],
  flexible: 4,
  fields: {
    throttleTimeMs: ignorable(since(1, int32, 0)),
    errorCode: int16,
  },
})
export type HeartbeatResponse = TypeOf<typeof HeartbeatResponse>

/** {@link HeartbeatRequest} and {@link HeartbeatResponse}, as the registry has them. */
export const HeartbeatApi = api(HeartbeatRequest, HeartbeatResponse)
