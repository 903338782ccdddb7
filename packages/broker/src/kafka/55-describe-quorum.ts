import { DescribeQuorumApi } from '@millrace/protocol'
import type { DescribeQuorumRequest, DescribeQuorumResponse } from '@millrace/protocol'
import { DEFAULT_TIMEOUT_MS, forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Answered by the controller, who alone knows how far the voters are. */
export function describeQuorumHandler(services: Services): Handler<DescribeQuorumRequest, DescribeQuorumResponse> {
  return forwardedHandler(services, {
    api: DescribeQuorumApi,
    timeoutMs: () => DEFAULT_TIMEOUT_MS,
    failed: (_request, errorCode, errorMessage) => ({ errorCode, errorMessage, topics: [], nodes: [] }),
  })
}
