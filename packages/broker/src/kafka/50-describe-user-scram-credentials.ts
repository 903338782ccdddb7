import { ErrorCode } from '@millrace/base'
import { DescribeUserScramCredentialsApi } from '@millrace/protocol'
import type { DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse } from '@millrace/protocol'
import type { Handler } from './services.ts'

type Result = DescribeUserScramCredentialsResponse['results'][number]

/** No user has credentials: all of them are none, and a named one is not found. */
export function describeUserScramCredentialsHandler(): Handler<
  DescribeUserScramCredentialsRequest,
  DescribeUserScramCredentialsResponse
> {
  return {
    api: DescribeUserScramCredentialsApi,
    serve(exchange, { users }) {
      const asked = new Map<string, number>()
      for (const { name } of users ?? []) asked.set(name, (asked.get(name) ?? 0) + 1)
      exchange.respond({
        throttleTimeMs: 0,
        errorCode: ErrorCode.NONE,
        errorMessage: null,
        results: Array.from(asked, ([user, times]) => missing(user, times)),
      })
    },
  }
}

function missing(user: string, times: number): Result {
  return times > 1
    ? {
        user,
        errorCode: ErrorCode.DUPLICATE_RESOURCE,
        errorMessage: 'the user is asked for twice',
        credentialInfos: [],
      }
    : {
        user,
        errorCode: ErrorCode.RESOURCE_NOT_FOUND,
        errorMessage: 'the user has no credentials',
        credentialInfos: [],
      }
}
