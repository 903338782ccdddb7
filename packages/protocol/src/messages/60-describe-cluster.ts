import {
  array,
  bool,
  ignorable,
  int16,
  int32,
  int8,
  message,
  nullableString,
  since,
  string,
  struct,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** The brokers (endpoint type 1) or the controllers (2, version 1) of the cluster. Version 2 can list fenced brokers too. */
export const DescribeClusterRequest = message({
  key: 60,
  name: 'DescribeClusterRequest',
  versions: [0, 2],
  flexible: 0,
  fields: {
    includeClusterAuthorizedOperations: bool,
    endpointType: since(1, int8, 1),
    includeFencedBrokers: since(2, bool, false),
  },
})
export type DescribeClusterRequest = TypeOf<typeof DescribeClusterRequest>

/** The answer to {@link DescribeClusterRequest}; of the same version. */
export const DescribeClusterResponse = message({
  key: 60,
  name: 'DescribeClusterResponse',
  versions: [0, 2],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: nullableString,
    endpointType: since(1, int8, 1),
    clusterId: string,
    controllerId: int32,
    brokers: array(
      struct({
        brokerId: int32,
        host: string,
        port: int32,
        rack: nullableString,
        isFenced: ignorable(since(2, bool, false)),
      }),
    ),
    /** `OPERATIONS_NOT_ASKED` unless the request asked. */
    clusterAuthorizedOperations: int32,
  },
})
export type DescribeClusterResponse = TypeOf<typeof DescribeClusterResponse>

/** {@link DescribeClusterRequest} and {@link DescribeClusterResponse}, as the registry has them. */
export const DescribeClusterApi = api(DescribeClusterRequest, DescribeClusterResponse)
