import { ErrorCode } from '@millrace/base'
import type { JoinGroupResponse, SyncGroupResponse } from '../seams.ts'
import type { ClassicMember } from './member.ts'
import type { Roster } from './roster.ts'

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

/** What a member is told of the current generation; who leads it is told of all. */
export function joined(
  { generation, protocolType, protocol, roster }: Generation,
  { memberId }: ClassicMember,
): JoinGroupResponse {
  return {
    error: ErrorCode.NONE,
    generation,
    protocolType,
    protocolName: protocol,
    leader: roster.leader ?? '',
    skipAssignment: false,
    memberId,
    members: roster.leader === memberId ? memberList(roster, protocol) : [],
  }
}

interface Generation {
  readonly generation: number
  readonly protocolType: string
  readonly protocol: string | null
  readonly roster: Roster
}

function memberList(roster: Roster, protocol: string | null): JoinGroupResponse['members'] {
  return Array.from(roster, (member) => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    metadata: member.metadata(protocol),
  }))
}
