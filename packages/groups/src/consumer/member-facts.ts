import type { Subscription } from '../classic/consumer-protocol.ts'
import { sameProtocols, termsOf } from '../classic/member.ts'
import type { ConsumerHeartbeat, JoinGroup } from '../seams.ts'
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

/** What is known of a member after a JoinGroup; all that it supports subscribes alike. */
export function classicFacts(before: MemberFacts | null, request: JoinGroup, subscription: Subscription): MemberFacts {
  const { clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs, protocols } = termsOf(request)
  return {
    instanceId: request.groupInstanceId ?? before?.instanceId ?? null,
    rackId: subscription.rackId ?? before?.rackId ?? null,
    clientId,
    clientHost,
    topicNames: distinct(subscription.topics),
    topicRegex: '',
    rebalanceTimeoutMs,
    serverAssignor: before?.serverAssignor ?? null,
    classic: { sessionTimeoutMs, protocols },
  }
}

export function distinct(names: readonly string[]): string[] {
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
    sameClassic(a.classic, b.classic) &&
    subscribesAlike(a, b)
  )
}

function sameClassic(a: MemberFacts['classic'], b: MemberFacts['classic']): boolean {
  if (a === null || b === null) return a === b
  return a.sessionTimeoutMs === b.sessionTimeoutMs && sameProtocols(a.protocols, b.protocols)
}

export function subscribesAlike(a: MemberFacts, b: MemberFacts): boolean {
  return (
    a.topicRegex === b.topicRegex &&
    a.topicNames.length === b.topicNames.length &&
    a.topicNames.every((name, at) => name === b.topicNames[at])
  )
}
