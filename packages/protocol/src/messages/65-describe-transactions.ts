import { array, int16, int32, int64, message, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** The state of transactional ids (KIP-664). */
export const DescribeTransactionsRequest = message({
  key: 65,
  name: 'DescribeTransactionsRequest',
  versions: [0, 0],
  flexible: 0,
  fields: {
    transactionalIds: array(string),
  },
})
export type DescribeTransactionsRequest = TypeOf<typeof DescribeTransactionsRequest>

/** The answer to {@link DescribeTransactionsRequest}; of the same version. */
export const DescribeTransactionsResponse = message({
  key: 65,
  name: 'DescribeTransactionsResponse',
  versions: [0, 0],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    transactionStates: array(
      struct({
        errorCode: int16,
        transactionalId: string,
        transactionState: string,
        transactionTimeoutMs: int32,
        transactionStartTimeMs: int64,
        producerId: int64,
        producerEpoch: int16,
        topics: array(struct({ topic: string, partitions: array(int32) })),
      }),
    ),
  },
})
export type DescribeTransactionsResponse = TypeOf<typeof DescribeTransactionsResponse>

/** {@link DescribeTransactionsRequest} and {@link DescribeTransactionsResponse}, as the registry has them. */
export const DescribeTransactionsApi = api(DescribeTransactionsRequest, DescribeTransactionsResponse)
