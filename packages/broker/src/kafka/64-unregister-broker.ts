import { UnregisterBrokerApi } from '@millrace/protocol'
import type { UnregisterBrokerRequest, UnregisterBrokerResponse } from '@millrace/protocol'
import { DEFAULT_TIMEOUT_MS, forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Decided by the controller. */
export function unregisterBrokerHandler(
  services: Services,
): Handler<UnregisterBrokerRequest, UnregisterBrokerResponse> {
  return forwardedHandler(services, {
    api: UnregisterBrokerApi,
    timeoutMs: () => DEFAULT_TIMEOUT_MS,
    failed: (_request, errorCode, errorMessage) => ({ throttleTimeMs: 0, errorCode, errorMessage }),
  })
}
