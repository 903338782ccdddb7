import { CreatePartitionsApi } from '@millrace/protocol'
import type { CreatePartitionsRequest, CreatePartitionsResponse } from '@millrace/protocol'
import { forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Decided by the controller. */
export function createPartitionsHandler(
  services: Services,
): Handler<CreatePartitionsRequest, CreatePartitionsResponse> {
  return forwardedHandler(services, {
    api: CreatePartitionsApi,
    timeoutMs: (request) => request.timeoutMs,
    failed: ({ topics }, errorCode, errorMessage) => ({
      throttleTimeMs: 0,
      results: topics.map(({ name }) => ({ name, errorCode, errorMessage })),
    }),
  })
}
