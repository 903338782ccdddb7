import { ZERO_UUID } from '@millrace/base'
import { DeleteTopicsApi } from '@millrace/protocol'
import type { DeleteTopicsRequest, DeleteTopicsResponse } from '@millrace/protocol'
import { forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Decided by the controller. Names up to version 5, names or ids from 6 on. */
export function deleteTopicsHandler(services: Services): Handler<DeleteTopicsRequest, DeleteTopicsResponse> {
  return forwardedHandler(services, {
    api: DeleteTopicsApi,
    timeoutMs: (request) => request.timeoutMs,
    failed: ({ topics, topicNames }, errorCode, errorMessage) => ({
      throttleTimeMs: 0,
      responses: [...topics, ...topicNames.map((name) => ({ name, topicId: ZERO_UUID }))].map(({ name, topicId }) => ({
        name,
        topicId,
        errorCode,
        errorMessage,
      })),
    }),
  })
}
