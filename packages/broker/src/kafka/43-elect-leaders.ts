import { ErrorCode } from '@millrace/base'
import { ElectLeadersApi } from '@millrace/protocol'
import type { ElectLeadersRequest, ElectLeadersResponse } from '@millrace/protocol'
import { forwardedHandler } from './forwarded.ts'
import type { Handler, Services } from './services.ts'

/** Decided by the controller. Null partitions means every one that needs it. */
export function electLeadersHandler(services: Services): Handler<ElectLeadersRequest, ElectLeadersResponse> {
  return forwardedHandler(services, {
    api: ElectLeadersApi,
    timeoutMs: (request) => request.timeoutMs,
    failed: ({ topicPartitions }, errorCode, errorMessage, version) => ({
      throttleTimeMs: 0,
      // Version 0 has no error of the whole: there the partitions alone carry it.
      errorCode: version === 0 ? ErrorCode.NONE : errorCode,
      replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }) => ({
        topic,
        partitionResult: partitions.map((partitionId) => ({ partitionId, errorCode, errorMessage })),
      })),
    }),
  })
}
