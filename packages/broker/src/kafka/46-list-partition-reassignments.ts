import { ListPartitionReassignmentsApi } from '@millrace/protocol'
import type { ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse } from '@millrace/protocol'
import { forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Answered by the controller. `kafka-topics --describe` asks it, too. */
export function listPartitionReassignmentsHandler(
  services: Services,
): Handler<ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse> {
  return forwardedHandler(services, {
    api: ListPartitionReassignmentsApi,
    timeoutMs: (request) => request.timeoutMs,
    failed: (_request, errorCode, errorMessage) => ({ throttleTimeMs: 0, errorCode, errorMessage, topics: [] }),
  })
}
