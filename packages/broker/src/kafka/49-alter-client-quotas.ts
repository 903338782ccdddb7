import { ErrorCode } from '@millrace/base'
import { AlterClientQuotasApi } from '@millrace/protocol'
import type { AlterClientQuotasRequest, AlterClientQuotasResponse } from '@millrace/protocol'
import { entityProblem, quotaProblem } from './client-quotas.ts'
import type { Handler } from './services.ts'

type Entry = AlterClientQuotasRequest['entries'][number]

const NOT_ENFORCED = 'quotas of clients are not enforced here, so none can be set'

/** Quotas are not enforced, and one that is stored all the same would be believed. There are none, so to remove one succeeds. */
export function alterClientQuotasHandler(): Handler<AlterClientQuotasRequest, AlterClientQuotasResponse> {
  return {
    api: AlterClientQuotasApi,
    serve(exchange, { entries }) {
      exchange.respond({ throttleTimeMs: 0, entries: entries.map(answered) })
    },
  }
}

function answered(entry: Entry): AlterClientQuotasResponse['entries'][number] {
  const { entity, ops } = entry
  const problem = problemOf(entry)
  if (problem !== null) return { entity, errorCode: ErrorCode.INVALID_REQUEST, errorMessage: problem }
  return ops.every(({ remove }) => remove)
    ? { entity, errorCode: ErrorCode.NONE, errorMessage: null }
    : { entity, errorCode: ErrorCode.UNSUPPORTED_VERSION, errorMessage: NOT_ENFORCED }
}

function problemOf({ entity, ops }: Entry): string | null {
  const types = entity.map(({ entityType }) => entityType)
  if (types.length === 0) return 'a quota is of a user, a client or an address'
  const problem = entityProblem(types)
  if (problem !== null) return problem
  for (const { key } of ops) {
    const unknown = quotaProblem(types, key)
    if (unknown !== null) return unknown
  }
  return null
}
