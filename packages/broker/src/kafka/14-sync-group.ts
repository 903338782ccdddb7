import { ErrorCode } from '@millrace/base'
import type { SyncGroup, SyncGroupResponse as Synced } from '@millrace/groups'
import { SyncGroupApi } from '@millrace/protocol'
import type { SyncGroupRequest, SyncGroupResponse } from '@millrace/protocol'
import type { Exchange } from './exchange.ts'
import { askGroup } from './group-questions.ts'
import type { Handler, Services } from './services.ts'

const NOTHING = new Uint8Array(0)

/** Hands in the leader's assignments, and answers each member with its own once they are committed. */
export function syncGroupHandler(services: Services): Handler<SyncGroupRequest, SyncGroupResponse> {
  return {
    api: SyncGroupApi,
    serve(exchange, request) {
      if (request.groupId === '') exchange.respond(failed(ErrorCode.INVALID_GROUP_ID))
      else sync(services, exchange, syncOf(request))
    },
  }
}

function sync(services: Services, exchange: Exchange<SyncGroupResponse>, asked: Omit<SyncGroup, 'reply'>): void {
  askGroup<Synced, SyncGroupResponse>(services, exchange, {
    groupId: asked.groupId,
    request: (reply) => ({ ...asked, reply }),
    answered: responseOf,
    failed,
  })
}

function syncOf({
  groupId,
  memberId,
  groupInstanceId,
  generationId,
  protocolType,
  protocolName,
  assignments,
}: SyncGroupRequest): Omit<SyncGroup, 'reply'> {
  return {
    kind: 'syncGroup',
    groupId,
    memberId,
    groupInstanceId,
    generation: generationId,
    protocolType,
    protocolName,
    // A copy: assignments are kept, and what they came in must not be.
    assignments: assignments.map((one) => ({ memberId: one.memberId, assignment: Uint8Array.from(one.assignment) })),
  }
}

function responseOf({ error, protocolType, protocolName, assignment }: Synced): SyncGroupResponse {
  return { throttleTimeMs: 0, errorCode: error, protocolType, protocolName, assignment }
}

function failed(error: ErrorCode): SyncGroupResponse {
  return responseOf({ error, protocolType: null, protocolName: null, assignment: NOTHING })
}
