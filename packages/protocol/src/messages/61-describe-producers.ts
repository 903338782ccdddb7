import { array, int16, int32, int64, message, nullableString, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** The idempotent and transactional producers that a partition's leader knows (KIP-664). */
export const DescribeProducersRequest = message({
  key: 61,
  name: 'DescribeProducersRequest',
  versions: [0, 0],
  flexible: 0,
  fields: {
    topics: array(struct({ name: string, partitionIndexes: array(int32) })),
  },
})
export type DescribeProducersRequest = TypeOf<typeof DescribeProducersRequest>

/** The answer to {@link DescribeProducersRequest}; of the same version. */
export const DescribeProducersResponse = message({
  key: 61,
  name: 'DescribeProducersResponse',
  versions: [0, 0],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            errorMessage: nullableString,
            activeProducers: array(
              struct({
                producerId: int64,
                producerEpoch: int32,
                lastSequence: int32,
                lastTimestamp: int64,
                coordinatorEpoch: int32,
                currentTxnStartOffset: int64,
              }),
            ),
          }),
        ),
      }),
    ),
  },
})
export type DescribeProducersResponse = TypeOf<typeof DescribeProducersResponse>

/** {@link DescribeProducersRequest} and {@link DescribeProducersResponse}, as the registry has them. */
export const DescribeProducersApi = api(DescribeProducersRequest, DescribeProducersResponse)
