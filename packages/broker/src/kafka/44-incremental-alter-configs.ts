import { IncrementalAlterConfigsApi } from '@millrace/protocol'
import type { IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse } from '@millrace/protocol'
import { DEFAULT_TIMEOUT_MS, forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Decided by the controller, all or nothing for each resource. */
export function incrementalAlterConfigsHandler(
  services: Services,
): Handler<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse> {
  return forwardedHandler(services, {
    api: IncrementalAlterConfigsApi,
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
