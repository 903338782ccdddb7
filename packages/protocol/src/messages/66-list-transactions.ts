import { array, int16, int32, int64, message, nullableString, since, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/**
 * The transactional ids that a broker coordinates (KIP-664); filters that are empty match all. Version 1 filters by how long a transaction
 * is open (KIP-994), 2 by a pattern of ids (KIP-1152).
 */
export const ListTransactionsRequest = message({
  key: 66,
  name: 'ListTransactionsRequest',
  versions: [0, 2],
  flexible: 0,
  fields: {
    stateFilters: array(string),
    producerIdFilters: array(int64),
    durationFilter: since(1, int64, -1),
    transactionalIdPattern: since(2, nullableString, null),
  },
})
export type ListTransactionsRequest = TypeOf<typeof ListTransactionsRequest>

/** The answer to {@link ListTransactionsRequest}; of the same version. */
export const ListTransactionsResponse = message({
  key: 66,
  name: 'ListTransactionsResponse',
  versions: [0, 2],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    unknownStateFilters: array(string),
    transactionStates: array(struct({ transactionalId: string, producerId: int64, transactionState: string })),
  },
})
export type ListTransactionsResponse = TypeOf<typeof ListTransactionsResponse>

/** {@link ListTransactionsRequest} and {@link ListTransactionsResponse}, as the registry has them. */
export const ListTransactionsApi = api(ListTransactionsRequest, ListTransactionsResponse)
