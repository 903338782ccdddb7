import { ErrorCode } from '@millrace/base'
import type { LeaveGroup, LeaveGroupResponse as Left } from '@millrace/groups'
import { LeaveGroupApi } from '@millrace/protocol'
import type { LeaveGroupRequest, LeaveGroupResponse } from '@millrace/protocol'
import { askGroup } from './group-questions.ts'
import type { Handler, Services } from './services.ts'

/** The first version that lets several members leave (KIP-345). */
const SEVERAL_SINCE = 3

/** Members leave a classic group: one, whose error is the answer's, up to version 2; several with an error each from 3 on. */
export function leaveGroupHandler(services: Services): Handler<LeaveGroupRequest, LeaveGroupResponse> {
  return {
    api: LeaveGroupApi,
    serve(exchange, { groupId, memberId, members }) {
      const several = exchange.version >= SEVERAL_SINCE
      const leaving = several ? members : [{ memberId, groupInstanceId: null, reason: null }]
      if (groupId === '') exchange.respond(failed(ErrorCode.INVALID_GROUP_ID))
      else
        askGroup<Left, LeaveGroupResponse>(services, exchange, {
          groupId,
          request: (reply): LeaveGroup => ({ kind: 'leaveGroup', groupId, members: leaving, reply }),
          answered: (left) => (several ? severalOf(left) : oneOf(left)),
          failed,
        })
    },
  }
}

function severalOf({ error, members }: Left): LeaveGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: error,
    members: members.map(({ memberId, groupInstanceId, error: errorCode }) => ({
      memberId,
      groupInstanceId,
      errorCode,
    })),
  }
}

function oneOf({ error, members }: Left): LeaveGroupResponse {
  const [member] = members
  return failed(error === ErrorCode.NONE && member !== undefined ? member.error : error)
}

function failed(errorCode: ErrorCode): LeaveGroupResponse {
  return { throttleTimeMs: 0, errorCode, members: [] }
}
