import { ErrorCode } from '@millrace/base'
import type { JoinGroup, JoinGroupResponse as Joined } from '@millrace/groups'
import { JoinGroupApi } from '@millrace/protocol'
import type { JoinGroupRequest, JoinGroupResponse } from '@millrace/protocol'
import type { Exchange } from './exchange.ts'
import { askGroup, clientHost } from './group-questions.ts'
import type { Handler, Services } from './services.ts'

/** The first version with a rebalance timeout; before it the session's served. */
const REBALANCE_TIMEOUT_SINCE = 1
/** The first version in which a member is told its id before it joins (KIP-394). */
const KNOWN_ID_SINCE = 4
/** The first version in which the protocol may be null. */
const NULL_PROTOCOL_SINCE = 7
/** The first version in which a leader may be told to leave the assignment alone (KIP-814). */
const SKIPS_SINCE = 9

/**
 * Joins a classic group. The answer waits for the other members: as long as their rebalance timeout, in which nothing of the request but what the
 * member said of itself is held.
 */
export function joinGroupHandler(services: Services): Handler<JoinGroupRequest, JoinGroupResponse> {
  return {
    api: JoinGroupApi,
    serve(exchange, request) {
      if (request.groupId === '')
        exchange.respond(failed(request.memberId, ErrorCode.INVALID_GROUP_ID, exchange.version))
      else join(services, exchange, joinOf(exchange, request))
    },
  }
}

function join(services: Services, exchange: Exchange<JoinGroupResponse>, asked: Omit<JoinGroup, 'reply'>): void {
  const { version } = exchange
  askGroup<Joined, JoinGroupResponse>(services, exchange, {
    groupId: asked.groupId,
    request: (reply) => ({ ...asked, reply }),
    answered: (joined) => responseOf(joined, version),
    failed: (error) => failed(asked.memberId, error, version),
  })
}

function joinOf(exchange: Exchange<JoinGroupResponse>, request: JoinGroupRequest): Omit<JoinGroup, 'reply'> {
  const { version, clientId } = exchange
  const { groupId, memberId, groupInstanceId, sessionTimeoutMs, protocolType, protocols, reason } = request
  return {
    kind: 'joinGroup',
    groupId,
    memberId,
    groupInstanceId,
    sessionTimeoutMs,
    rebalanceTimeoutMs: version >= REBALANCE_TIMEOUT_SINCE ? request.rebalanceTimeoutMs : sessionTimeoutMs,
    protocolType,
    // A copy: the member's words are kept for as long as it is one, and what they came in must not be.
    protocols: protocols.map(({ name, metadata }) => ({ name, metadata: Uint8Array.from(metadata) })),
    reason,
    requireKnownMemberId: version >= KNOWN_ID_SINCE,
    supportsSkippingAssignment: version >= SKIPS_SINCE,
    clientId: clientId ?? '',
    clientHost: clientHost(exchange),
  }
}

function responseOf(joined: Joined, version: number): JoinGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: joined.error,
    generationId: joined.generation,
    protocolType: joined.protocolType,
    protocolName: joined.protocolName ?? (version >= NULL_PROTOCOL_SINCE ? null : ''),
    leader: joined.leader,
    skipAssignment: version >= SKIPS_SINCE && joined.skipAssignment,
    memberId: joined.memberId,
    members: [...joined.members],
  }
}

function failed(memberId: string, error: ErrorCode, version: number): JoinGroupResponse {
  const nothing = { generation: -1, protocolType: null, protocolName: null, leader: '', skipAssignment: false }
  return responseOf({ ...nothing, error, memberId, members: [] }, version)
}
