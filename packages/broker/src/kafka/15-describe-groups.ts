import { ErrorCode } from '@millrace/base'
import type { DescribeGroupResponse } from '@millrace/groups'
import { DescribeGroupsApi, OPERATIONS_NOT_ASKED } from '@millrace/protocol'
import type { DescribeGroupsRequest, DescribeGroupsResponse } from '@millrace/protocol'
import { type Asked, askGroups } from './group-questions.ts'
import { GROUP_OPERATIONS } from './operations.ts'
import type { Handler, Services } from './services.ts'

type GroupAnswer = DescribeGroupsResponse['groups'][number]

/** The first version that says that a group is not there (KIP-1043); before it such a group is `Dead`. */
const NOT_FOUND_SINCE = 6

/** Classic groups and their members. Metadata and assignments are there while the group is stable. */
export function describeGroupsHandler(services: Services): Handler<DescribeGroupsRequest, DescribeGroupsResponse> {
  return {
    api: DescribeGroupsApi,
    serve(exchange, { groups, includeAuthorizedOperations }) {
      const operations = includeAuthorizedOperations ? GROUP_OPERATIONS : OPERATIONS_NOT_ASKED
      const asked = groups.map((groupId) => askedOf(groupId, exchange.version, operations))
      askGroups<DescribeGroupResponse, GroupAnswer, DescribeGroupsResponse>(services, exchange, asked, (answers) => ({
        throttleTimeMs: 0,
        groups: [...answers],
      }))
    },
  }
}

function askedOf(
  groupId: string,
  version: number,
  authorizedOperations: number,
): Asked<DescribeGroupResponse, GroupAnswer> {
  const nothing = { groupId, protocolType: '', protocolData: '', members: [], authorizedOperations }
  return {
    groupId,
    request: (reply) => ({ kind: 'describeGroup', groupId, reply }),
    failed: (errorCode) => ({ ...nothing, errorCode, errorMessage: null, groupState: '' }),
    answered(described) {
      if (described.error !== ErrorCode.GROUP_ID_NOT_FOUND)
        return { groupId, authorizedOperations, ...describedOf(described) }
      const told = version >= NOT_FOUND_SINCE
      return {
        ...nothing,
        errorCode: told ? described.error : ErrorCode.NONE,
        errorMessage: told ? `Group ${groupId} not found.` : null,
        groupState: 'Dead',
      }
    },
  }
}

function describedOf({
  error,
  state,
  protocolType,
  protocol,
  members,
}: DescribeGroupResponse): Omit<GroupAnswer, 'groupId' | 'authorizedOperations'> {
  return {
    errorCode: error,
    errorMessage: null,
    groupState: state,
    protocolType,
    protocolData: protocol,
    members: members.map(({ memberId, groupInstanceId, clientId, clientHost, metadata, assignment }) => ({
      memberId,
      groupInstanceId,
      clientId,
      clientHost,
      memberMetadata: metadata,
      memberAssignment: assignment,
    })),
  }
}
