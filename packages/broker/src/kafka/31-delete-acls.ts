import { ErrorCode } from '@millrace/base'
import { DeleteAclsApi } from '@millrace/protocol'
import type { DeleteAclsRequest, DeleteAclsResponse } from '@millrace/protocol'
import { NO_AUTHORIZER } from './no-authorizer.ts'
import type { Handler } from './services.ts'

/** Refused, each filter by itself. */
export function deleteAclsHandler(): Handler<DeleteAclsRequest, DeleteAclsResponse> {
  return {
    api: DeleteAclsApi,
    serve(exchange, { filters }) {
      const refused = { errorCode: ErrorCode.SECURITY_DISABLED, errorMessage: NO_AUTHORIZER, matchingAcls: [] }
      exchange.respond({ throttleTimeMs: 0, filterResults: filters.map(() => refused) })
    },
  }
}
