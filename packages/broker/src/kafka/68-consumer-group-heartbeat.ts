import { ErrorCode } from '@millrace/base'
import type { ConsumerHeartbeat, ConsumerHeartbeatResponse as Beaten } from '@millrace/groups'
import { ConsumerGroupHeartbeatApi } from '@millrace/protocol'
import type { ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse } from '@millrace/protocol'
import type { Exchange } from './exchange.ts'
import { askGroup, clientHost } from './group-questions.ts'
import type { Handler, Services } from './services.ts'

/** The first version in which members name themselves (KIP-1082). */
const OWN_NAMES_SINCE = 1

/** The one request of a member of a consumer group (KIP-848): it joins, lives, gives partitions up, gets others, and leaves by it. */
export function consumerGroupHeartbeatHandler(
  services: Services,
): Handler<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse> {
  return {
    api: ConsumerGroupHeartbeatApi,
    serve(exchange, request) {
      const problem = problemOf(exchange.version, request)
      if (problem !== null) return exchange.respond(failed(problem.error, problem.message))
      const asked = heartbeatOf(exchange, request)
      askGroup<Beaten, ConsumerGroupHeartbeatResponse>(services, exchange, {
        groupId: asked.groupId,
        request: (reply) => ({ ...asked, reply }),
        answered: responseOf,
        failed: (error) => failed(error, null),
      })
    },
  }
}

function problemOf(
  version: number,
  { groupId, memberId }: ConsumerGroupHeartbeatRequest,
): { readonly error: ErrorCode; readonly message: string } | null {
  if (groupId === '') return { error: ErrorCode.INVALID_REQUEST, message: 'GroupId can not be empty.' }
  if (memberId === '' && version >= OWN_NAMES_SINCE)
    return { error: ErrorCode.INVALID_REQUEST, message: 'MemberId can not be empty.' }
  return null
}

function heartbeatOf(
  exchange: Exchange<ConsumerGroupHeartbeatResponse>,
  request: ConsumerGroupHeartbeatRequest,
): Omit<ConsumerHeartbeat, 'reply'> {
  const { groupId, memberId, memberEpoch, instanceId, rackId, rebalanceTimeoutMs, serverAssignor } = request
  return {
    kind: 'consumerHeartbeat',
    groupId,
    memberId,
    memberEpoch,
    instanceId,
    rackId,
    rebalanceTimeoutMs,
    serverAssignor,
    topicNames: request.subscribedTopicNames,
    topicRegex: request.subscribedTopicRegex,
    owned: request.topicPartitions,
    clientId: exchange.clientId ?? '',
    clientHost: clientHost(exchange),
  }
}

function responseOf(beaten: Beaten): ConsumerGroupHeartbeatResponse {
  const { error, message, memberId, memberEpoch, heartbeatIntervalMs, assignment } = beaten
  return {
    throttleTimeMs: 0,
    errorCode: error,
    errorMessage: message,
    memberId,
    memberEpoch,
    heartbeatIntervalMs,
    assignment: assignment === null ? null : { topicPartitions: [...assignment] },
  }
}

function failed(error: ErrorCode, message: string | null): ConsumerGroupHeartbeatResponse {
  return responseOf({ error, message, memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null })
}
