import { ErrorCode } from '@millrace/base'
import { HeartbeatApi } from '@millrace/protocol'
import type { HeartbeatRequest, HeartbeatResponse } from '@millrace/protocol'
import { askGroup } from './group-questions.ts'
import type { Handler, Services } from './services.ts'

/** A member of a classic group is alive; REBALANCE_IN_PROGRESS tells it to join again. */
export function heartbeatHandler(services: Services): Handler<HeartbeatRequest, HeartbeatResponse> {
  return {
    api: HeartbeatApi,
    serve(exchange, { groupId, memberId, groupInstanceId, generationId: generation }) {
      const answer = (errorCode: ErrorCode): HeartbeatResponse => ({ throttleTimeMs: 0, errorCode })
      if (groupId === '') exchange.respond(answer(ErrorCode.INVALID_GROUP_ID))
      else
        askGroup<{ error: ErrorCode }, HeartbeatResponse>(services, exchange, {
          groupId,
          request: (reply) => ({ kind: 'heartbeat', groupId, memberId, groupInstanceId, generation, reply }),
          answered: ({ error }) => answer(error),
          failed: answer,
        })
    },
  }
}
