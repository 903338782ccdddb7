import type { ErrorCode } from '@millrace/base'
import { DeleteGroupsApi } from '@millrace/protocol'
import type { DeleteGroupsRequest, DeleteGroupsResponse } from '@millrace/protocol'
import { type Asked, askGroups } from './group-questions.ts'
import type { Handler, Services } from './services.ts'

type Result = DeleteGroupsResponse['results'][number]

/** Deletes groups without members, with their offsets. Groups are deleted each by itself, by the broker that coordinates them. */
export function deleteGroupsHandler(services: Services): Handler<DeleteGroupsRequest, DeleteGroupsResponse> {
  return {
    api: DeleteGroupsApi,
    serve(exchange, { groupsNames }) {
      const asked = [...new Set(groupsNames)].map(askedOf)
      askGroups<{ error: ErrorCode }, Result, DeleteGroupsResponse>(services, exchange, asked, (results) => ({
        throttleTimeMs: 0,
        results: [...results],
      }))
    },
  }
}

function askedOf(groupId: string): Asked<{ error: ErrorCode }, Result> {
  return {
    groupId,
    request: (reply) => ({ kind: 'deleteGroup', groupId, reply }),
    answered: ({ error }) => ({ groupId, errorCode: error }),
    failed: (errorCode) => ({ groupId, errorCode }),
  }
}
