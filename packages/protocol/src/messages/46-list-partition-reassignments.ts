import { array, int16, int32, message, nullableArray, nullableString, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Reassignments under way (KIP-455). Null topics means all. */
export const ListPartitionReassignmentsRequest = message({
  key: 46,
  name: 'ListPartitionReassignmentsRequest',
  versions: [0, 0],
  flexible: 0,
  fields: {
    timeoutMs: int32,
    topics: nullableArray(struct({ name: string, partitionIndexes: array(int32) })),
  },
})
export type ListPartitionReassignmentsRequest = TypeOf<typeof ListPartitionReassignmentsRequest>

/** The answer to {@link ListPartitionReassignmentsRequest}; of the same version. */
export const ListPartitionReassignmentsResponse = message({
  key: 46,
  name: 'ListPartitionReassignmentsResponse',
  versions: [0, 0],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: nullableString,
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            replicas: array(int32),
            addingReplicas: array(int32),
            removingReplicas: array(int32),
          }),
        ),
      }),
    ),
  },
})
export type ListPartitionReassignmentsResponse = TypeOf<typeof ListPartitionReassignmentsResponse>

/** {@link ListPartitionReassignmentsRequest} and {@link ListPartitionReassignmentsResponse}, as the registry has them. */
export const ListPartitionReassignmentsApi = api(ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse)
