import { ZERO_UUID } from '@millrace/base'
import { CreateTopicsApi } from '@millrace/protocol'
import type { CreateTopicsRequest, CreateTopicsResponse } from '@millrace/protocol'
import { forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Decided by the controller; answered once this broker's own metadata has the topics, so that a client finds them where it asked. */
export function createTopicsHandler(services: Services): Handler<CreateTopicsRequest, CreateTopicsResponse> {
  return forwardedHandler(services, {
    api: CreateTopicsApi,
    timeoutMs: (request) => request.timeoutMs,
    failed: ({ topics }, errorCode, errorMessage) => ({
      throttleTimeMs: 0,
      topics: topics.map(({ name }) => ({
        name,
        topicId: ZERO_UUID,
        errorCode,
        errorMessage,
        topicConfigErrorCode: 0,
        numPartitions: -1,
        replicationFactor: -1,
        configs: null,
      })),
    }),
  })
}
