import { array, int16, int32, int8, message, nullableArray, nullableString, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Which users have SCRAM credentials (KIP-554). Null users, or none, means all. */
export const DescribeUserScramCredentialsRequest = message({
  key: 50,
  name: 'DescribeUserScramCredentialsRequest',
  versions: [0, 0],
  flexible: 0,
  fields: {
    users: nullableArray(struct({ name: string })),
  },
})
export type DescribeUserScramCredentialsRequest = TypeOf<typeof DescribeUserScramCredentialsRequest>

/** The answer to {@link DescribeUserScramCredentialsRequest}; of the same version. */
export const DescribeUserScramCredentialsResponse = message({
  key: 50,
  name: 'DescribeUserScramCredentialsResponse',
  versions: [0, 0],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: nullableString,
    results: array(
      struct({
        user: string,
        errorCode: int16,
        errorMessage: nullableString,
        credentialInfos: array(struct({ mechanism: int8, iterations: int32 })),
      }),
    ),
  },
})
export type DescribeUserScramCredentialsResponse = TypeOf<typeof DescribeUserScramCredentialsResponse>

/** {@link DescribeUserScramCredentialsRequest} and {@link DescribeUserScramCredentialsResponse}, as the registry has them. */
export const DescribeUserScramCredentialsApi = api(
  DescribeUserScramCredentialsRequest,
  DescribeUserScramCredentialsResponse,
)
