import { AlterPartitionReassignmentsApi } from '@millrace/protocol'
import type { AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse } from '@millrace/protocol'
import { forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Decided by the controller, each partition by itself. */
export function alterPartitionReassignmentsHandler(
  services: Services,
): Handler<AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse> {
  return forwardedHandler(services, {
    api: AlterPartitionReassignmentsApi,
    timeoutMs: (request) => request.timeoutMs,
    failed: ({ allowReplicationFactorChange }, errorCode, errorMessage) => ({
      throttleTimeMs: 0,
      allowReplicationFactorChange,
      errorCode,
      errorMessage,
      responses: [],
    }),
  })
}
