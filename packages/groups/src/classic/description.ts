import { ErrorCode } from '@millrace/base'
import type { DescribeGroupResponse, GroupMemberView } from '../seams.ts'
import { assignedPartitions } from './consumer-protocol.ts'
import type { ClassicGroup } from './group.ts'

const NOTHING = new Uint8Array(0)

/** What DescribeGroups tells of a classic group; who has what is only known while it is stable. */
export function describeClassic(group: ClassicGroup): DescribeGroupResponse {
  const { state, protocolType, protocol } = group
  const isStable = state === 'Stable'
  return {
    error: ErrorCode.NONE,
    state,
    protocolType,
    protocol: isStable ? (protocol ?? '') : '',
    members: Array.from(group.roster, (member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.terms.clientId,
      clientHost: member.terms.clientHost,
      metadata: isStable ? member.metadata(protocol) : NOTHING,
      assignment: isStable ? member.assignment : NOTHING,
    })),
  }
}

/** The same for the node itself, with what of the assignments can be understood here. */
export function classicRoster(group: ClassicGroup): GroupMemberView[] {
  const isReadable = group.state === 'Stable' && group.speaksConsumer
  return Array.from(group.roster, ({ memberId, groupInstanceId, terms, assignment }) => ({
    memberId,
    groupInstanceId,
    clientId: terms.clientId,
    clientHost: terms.clientHost,
    assigned: isReadable ? (assignedPartitions(assignment) ?? []) : [],
  }))
}

/** What DescribeGroups tells where there is no classic group. */
export const NO_GROUP: DescribeGroupResponse = {
  error: ErrorCode.GROUP_ID_NOT_FOUND,
  state: 'Dead',
  protocolType: '',
  protocol: '',
  members: [],
}
