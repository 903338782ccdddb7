import { ErrorCode } from '@millrace/base'
import { DescribeClientQuotasApi } from '@millrace/protocol'
import type { DescribeClientQuotasRequest, DescribeClientQuotasResponse } from '@millrace/protocol'
import { entityProblem, isEntityType } from './client-quotas.ts'
import type { Handler } from './services.ts'

const EXACT = 0
const DEFAULT = 1
const ANY = 2

/** There are no quotas, so whatever filter is right matches none. */
export function describeClientQuotasHandler(): Handler<DescribeClientQuotasRequest, DescribeClientQuotasResponse> {
  return {
    api: DescribeClientQuotasApi,
    serve(exchange, request) {
      const errorMessage = problemOf(request)
      const errorCode = errorMessage === null ? ErrorCode.NONE : errorOf(request)
      exchange.respond({ throttleTimeMs: 0, errorCode, errorMessage, entries: errorMessage === null ? [] : null })
    },
  }
}

/** A type that has a name may be one of a newer protocol. */
function errorOf({ components }: DescribeClientQuotasRequest): ErrorCode {
  const strange = components.some(({ entityType }) => entityType !== '' && !isEntityType(entityType))
  return strange ? ErrorCode.UNSUPPORTED_VERSION : ErrorCode.INVALID_REQUEST
}

function problemOf({ components }: DescribeClientQuotasRequest): string | null {
  for (const { matchType, match } of components) {
    if (matchType !== EXACT && matchType !== DEFAULT && matchType !== ANY) return `there is no match type ${matchType}`
    if ((matchType === EXACT) !== (match !== null)) return 'a name is given with match type 0, and with no other'
  }
  return entityProblem(components.map(({ entityType }) => entityType))
}
