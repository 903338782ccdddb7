import { ErrorCode } from '@millrace/base'
import type { ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse } from '@millrace/protocol'
import type { AdminHandler } from './admin.ts'

/** Partitions are not reassigned while they are in use, so none ever is on its way. Tools that describe topics ask all the same. */
export const listPartitionReassignments: AdminHandler<
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse
> = (_parts, _request, reply) => {
  reply({ throttleTimeMs: 0, errorCode: ErrorCode.NONE, errorMessage: null, topics: [] }, -1)
}
