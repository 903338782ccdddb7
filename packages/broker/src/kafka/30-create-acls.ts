import { ErrorCode } from '@millrace/base'
import { CreateAclsApi } from '@millrace/protocol'
import type { CreateAclsRequest, CreateAclsResponse } from '@millrace/protocol'
import { NO_AUTHORIZER } from './no-authorizer.ts'
import type { Handler } from './services.ts'

/** Refused, each by itself: a right that nobody enforces is none. */
export function createAclsHandler(): Handler<CreateAclsRequest, CreateAclsResponse> {
  return {
    api: CreateAclsApi,
    serve(exchange, { creations }) {
      const refused = { errorCode: ErrorCode.SECURITY_DISABLED, errorMessage: NO_AUTHORIZER }
      exchange.respond({ throttleTimeMs: 0, results: creations.map(() => refused) })
    },
  }
}
