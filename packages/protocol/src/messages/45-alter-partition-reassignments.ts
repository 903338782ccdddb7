import {
  array,
  bool,
  ignorable,
  int16,
  int32,
  message,
  nullableArray,
  nullableString,
  since,
  string,
  struct,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/**
 * Moves partitions to other replicas (KIP-455); null replicas cancel what is under way. Version 1 can forbid that the number of replicas
 * changes (KIP-860).
 */
export const AlterPartitionReassignmentsRequest = message({
  key: 45,
  name: 'AlterPartitionReassignmentsRequest',
  versions: [0, 1],
  flexible: 0,
  fields: {
    timeoutMs: int32,
    allowReplicationFactorChange: since(1, bool, true),
    topics: array(
      struct({
        name: string,
        partitions: array(struct({ partitionIndex: int32, replicas: nullableArray(int32) })),
      }),
    ),
  },
})
export type AlterPartitionReassignmentsRequest = TypeOf<typeof AlterPartitionReassignmentsRequest>

/** The answer to {@link AlterPartitionReassignmentsRequest}; of the same version. */
export const AlterPartitionReassignmentsResponse = message({
  key: 45,
  name: 'AlterPartitionReassignmentsResponse',
  versions: [0, 1],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    allowReplicationFactorChange: ignorable(since(1, bool, true)),
    errorCode: int16,
    errorMessage: nullableString,
    responses: array(
      struct({
        name: string,
        partitions: array(struct({ partitionIndex: int32, errorCode: int16, errorMessage: nullableString })),
      }),
    ),
  },
})
export type AlterPartitionReassignmentsResponse = TypeOf<typeof AlterPartitionReassignmentsResponse>

/** {@link AlterPartitionReassignmentsRequest} and {@link AlterPartitionReassignmentsResponse}, as the registry has them. */
export const AlterPartitionReassignmentsApi = api(
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse,
)
