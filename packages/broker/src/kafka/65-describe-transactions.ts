import { ErrorCode } from '@millrace/base'
import { DescribeTransactionsApi } from '@millrace/protocol'
import type { DescribeTransactionsRequest, DescribeTransactionsResponse } from '@millrace/protocol'
import type { Handler } from './services.ts'

/** Nobody coordinates transactions, so no transactional id has a state; an empty one is none. */
export function describeTransactionsHandler(): Handler<DescribeTransactionsRequest, DescribeTransactionsResponse> {
  return {
    api: DescribeTransactionsApi,
    serve(exchange, { transactionalIds }) {
      exchange.respond({
        throttleTimeMs: 0,
        transactionStates: transactionalIds.map((transactionalId) => ({
          errorCode: transactionalId === '' ? ErrorCode.INVALID_REQUEST : ErrorCode.TRANSACTIONAL_ID_NOT_FOUND,
          transactionalId,
          transactionState: '',
          transactionTimeoutMs: 0,
          transactionStartTimeMs: 0,
          producerId: 0,
          producerEpoch: 0,
          topics: [],
        })),
      })
    },
  }
}
