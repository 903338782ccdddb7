import type { ErrorCode } from '@millrace/base'
import type { JoinGroupResponse, SyncGroupResponse } from '../seams.ts'

const NOTHING = new Uint8Array(0)

/** A JoinGroup that came to nothing. */
export function joinFailed(memberId: string, error: ErrorCode): JoinGroupResponse {
  return {
    error,
    generation: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    memberId,
    members: [],
  }
}

/** A SyncGroup that came to nothing. */
export function syncFailed(error: ErrorCode): SyncGroupResponse {
  return { error, protocolType: null, protocolName: null, assignment: NOTHING }
}
