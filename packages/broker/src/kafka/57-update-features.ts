import { UpdateFeaturesApi } from '@millrace/protocol'
import type { UpdateFeaturesRequest, UpdateFeaturesResponse } from '@millrace/protocol'
import { forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Decided by the controller. */
export function updateFeaturesHandler(services: Services): Handler<UpdateFeaturesRequest, UpdateFeaturesResponse> {
  return forwardedHandler(services, {
    api: UpdateFeaturesApi,
    timeoutMs: (request) => request.timeoutMs,
    failed: (_request, errorCode, errorMessage) => ({ throttleTimeMs: 0, errorCode, errorMessage, results: [] }),
  })
}
