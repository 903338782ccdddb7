import { AlterConfigsApi } from '@millrace/protocol'
import type { AlterConfigsRequest, AlterConfigsResponse } from '@millrace/protocol'
import { DEFAULT_TIMEOUT_MS, forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Decided by the controller. Replaces whole configurations; kafkajs and aiokafka know no other way to change them. */
export function alterConfigsHandler(services: Services): Handler<AlterConfigsRequest, AlterConfigsResponse> {
  return forwardedHandler(services, {
    api: AlterConfigsApi,
    timeoutMs: () => DEFAULT_TIMEOUT_MS,
    failed: ({ resources }, errorCode, errorMessage) => ({
      throttleTimeMs: 0,
      responses: resources.map(({ resourceType, resourceName }) => ({
        errorCode,
        errorMessage,
        resourceType,
        resourceName,
      })),
    }),
  })
}
