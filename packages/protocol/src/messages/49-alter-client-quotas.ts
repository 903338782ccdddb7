import { array, bool, float64, int16, int32, message, nullableString, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Sets and removes quotas of clients, users and addresses (KIP-546); a null name is the default. Version 1 is flexible. */
export const AlterClientQuotasRequest = message({
  key: 49,
  name: 'AlterClientQuotasRequest',
  versions: [0, 1],
  flexible: 1,
  fields: {
    entries: array(
      struct({
        entity: array(struct({ entityType: string, entityName: nullableString })),
        ops: array(struct({ key: string, value: float64, remove: bool })),
      }),
    ),
    validateOnly: bool,
  },
})
export type AlterClientQuotasRequest = TypeOf<typeof AlterClientQuotasRequest>

/** The answer to {@link AlterClientQuotasRequest}; of the same version. */
export const AlterClientQuotasResponse = message({
  key: 49,
  name: 'AlterClientQuotasResponse',
  versions: [0, 1],
  flexible: 1,
  fields: {
    throttleTimeMs: int32,
    entries: array(
      struct({
        errorCode: int16,
        errorMessage: nullableString,
        entity: array(struct({ entityType: string, entityName: nullableString })),
      }),
    ),
  },
})
export type AlterClientQuotasResponse = TypeOf<typeof AlterClientQuotasResponse>

/** {@link AlterClientQuotasRequest} and {@link AlterClientQuotasResponse}, as the registry has them. */
export const AlterClientQuotasApi = api(AlterClientQuotasRequest, AlterClientQuotasResponse)
