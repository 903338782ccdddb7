import { ErrorCode } from '@millrace/base'
import { MAX_ID } from '../bounds.ts'
import type { ConsumerHeartbeat, GroupsConfig } from '../seams.ts'

export const LEAVE = -1
/** A static member that will be back. */
export const LEAVE_FOR_A_WHILE = -2

/** A heartbeat that is refused, with words for the client's log. */
export interface Refusal {
  readonly error: ErrorCode
  readonly message: string
}

export function refusal(error: ErrorCode, message: string): Refusal {
  return { error, message }
}

/** What is wrong with a heartbeat whatever the group is like, or null. */
export function heartbeatProblem(request: ConsumerHeartbeat, config: GroupsConfig): Refusal | null {
  const problem = malformed(request) ?? (request.memberEpoch === 0 ? incomplete(request) : null)
  if (problem !== null) return refusal(ErrorCode.INVALID_REQUEST, problem)
  const { serverAssignor } = request
  const known: readonly string[] = config.consumer.assignors
  if (serverAssignor === null || known.includes(serverAssignor)) return null
  return refusal(
    ErrorCode.UNSUPPORTED_ASSIGNOR,
    `the assignor ${JSON.stringify(serverAssignor)} is not known; known are ${known.join(', ')}`,
  )
}

/** Characters: the names of a subscription are one record. */
const MAX_NAMES = 250_000

function malformed(request: ConsumerHeartbeat): string | null {
  return oversized(request) ?? misspoken(request)
}

function oversized({ groupId, memberId, instanceId, rackId, topicNames }: ConsumerHeartbeat): string | null {
  for (const [what, text] of Object.entries({ groupId, memberId, instanceId, rackId })) {
    if (text !== null && text.length > MAX_ID)
      return `the ${what} has ${text.length} characters; at most ${MAX_ID} are allowed`
  }
  const characters = (topicNames ?? []).reduce((sum, name) => sum + name.length + 1, 0)
  if (characters <= MAX_NAMES) return null
  return `the names of the topics have ${characters} characters; at most ${MAX_NAMES} are allowed, a regular expression needs fewer`
}

function misspoken(request: ConsumerHeartbeat): string | null {
  if (request.groupId === '') return 'the group id must not be empty'
  if (request.instanceId === '') return 'the instance id must not be empty'
  if (request.rackId === '') return 'the rack id must not be empty'
  if (request.memberEpoch < LEAVE_FOR_A_WHILE) return `there is no member epoch ${request.memberEpoch}`
  if (request.memberEpoch !== 0 && request.memberId === '') return 'the member id must not be empty'
  if (request.memberEpoch === LEAVE_FOR_A_WHILE && request.instanceId === null)
    return 'only a member with an instance id can leave for a while'
  return null
}

/** A member that joins tells all about itself. */
function incomplete(request: ConsumerHeartbeat): string | null {
  if (request.rebalanceTimeoutMs < 0) return 'a member that joins must give its rebalance timeout'
  if (request.owned === null || request.owned.some(({ partitions }) => partitions.length > 0))
    return 'a member that joins must own no partitions, and say so'
  if (request.topicNames === null && request.topicRegex === null)
    return 'a member that joins must give the topics that it subscribes to'
  return null
}
