import {
  array,
  bool,
  float64,
  int16,
  int32,
  int8,
  message,
  nullableArray,
  nullableString,
  string,
  struct,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** The quotas of clients, users and addresses (KIP-546). A component matches by name (0), the default (1) or any name (2). Version 1 is flexible. */
export const DescribeClientQuotasRequest = message({
  key: 48,
  name: 'DescribeClientQuotasRequest',
  versions: [0, 1],
  flexible: 1,
  fields: {
    components: array(struct({ entityType: string, matchType: int8, match: nullableString })),
    strict: bool,
  },
})
export type DescribeClientQuotasRequest = TypeOf<typeof DescribeClientQuotasRequest>

/** The answer to {@link DescribeClientQuotasRequest}; of the same version. */
export const DescribeClientQuotasResponse = message({
  key: 48,
  name: 'DescribeClientQuotasResponse',
  versions: [0, 1],
  flexible: 1,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: nullableString,
    entries: nullableArray(
      struct({
        entity: array(struct({ entityType: string, entityName: nullableString })),
        values: array(struct({ key: string, value: float64 })),
      }),
    ),
  },
})
export type DescribeClientQuotasResponse = TypeOf<typeof DescribeClientQuotasResponse>

/** {@link DescribeClientQuotasRequest} and {@link DescribeClientQuotasResponse}, as the registry has them. */
export const DescribeClientQuotasApi = api(DescribeClientQuotasRequest, DescribeClientQuotasResponse)
