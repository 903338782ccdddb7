import type { ConsumerHeartbeat } from '../seams.ts'
import type { MemberFacts } from './member.ts'

/** What is known of a member after a heartbeat, in which null says that nothing changed. */
export function factsAfter(before: MemberFacts | null, request: ConsumerHeartbeat): MemberFacts {
  return {
    instanceId: request.instanceId ?? before?.instanceId ?? null,
    rackId: request.rackId ?? before?.rackId ?? null,
    clientId: request.clientId,
    clientHost: request.clientHost,
    topicNames: request.topicNames === null ? (before?.topicNames ?? []) : distinct(request.topicNames),
    topicRegex: request.topicRegex ?? before?.topicRegex ?? '',
    rebalanceTimeoutMs:
      request.rebalanceTimeoutMs === -1 ? (before?.rebalanceTimeoutMs ?? -1) : request.rebalanceTimeoutMs,
    serverAssignor: request.serverAssignor ?? before?.serverAssignor ?? null,
    classic: null,
  }
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names)].sort()
}

export function sameFacts(a: MemberFacts, b: MemberFacts): boolean {
  return (
    a.instanceId === b.instanceId &&
    a.rackId === b.rackId &&
    a.clientId === b.clientId &&
    a.clientHost === b.clientHost &&
    a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
    a.serverAssignor === b.serverAssignor &&
    a.classic === b.classic &&
    subscribesAlike(a, b)
  )
}

export function subscribesAlike(a: MemberFacts, b: MemberFacts): boolean {
  return (
    a.topicRegex === b.topicRegex &&
    a.topicNames.length === b.topicNames.length &&
    a.topicNames.every((name, at) => name === b.topicNames[at])
  )
}
