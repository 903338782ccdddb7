import { ErrorCode } from '@millrace/base'
import { ListTransactionsApi } from '@millrace/protocol'
import type { ListTransactionsRequest, ListTransactionsResponse } from '@millrace/protocol'
import type { Handler } from './services.ts'

const STATES: ReadonlySet<string> = new Set([
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'PrepareEpochFence',
  'Dead',
])

/** Nobody coordinates transactions, so there are none, whatever the filters. States that nobody knows are named. */
export function listTransactionsHandler(): Handler<ListTransactionsRequest, ListTransactionsResponse> {
  return {
    api: ListTransactionsApi,
    serve(exchange, { stateFilters }) {
      exchange.respond({
        throttleTimeMs: 0,
        errorCode: ErrorCode.NONE,
        unknownStateFilters: stateFilters.filter((state) => !STATES.has(state)),
        transactionStates: [],
      })
    },
  }
}
