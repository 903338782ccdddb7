import { ErrorCode } from '@millrace/base'
import { DescribeAclsApi } from '@millrace/protocol'
import type { DescribeAclsRequest, DescribeAclsResponse } from '@millrace/protocol'
import { NO_AUTHORIZER } from './no-authorizer.ts'
import type { Handler } from './services.ts'

/** There are no access rights, which is an error and not an empty list: who asks would take that for "nobody may do anything". */
export function describeAclsHandler(): Handler<DescribeAclsRequest, DescribeAclsResponse> {
  return {
    api: DescribeAclsApi,
    serve(exchange) {
      exchange.respond({
        throttleTimeMs: 0,
        errorCode: ErrorCode.SECURITY_DISABLED,
        errorMessage: NO_AUTHORIZER,
        resources: [],
      })
    },
  }
}
