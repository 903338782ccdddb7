import { ErrorCode } from '@millrace/base'
import type { Uuid } from '@millrace/base'
import { AssignmentDraft, NO_PARTITIONS } from '../assignors/assignment.ts'
import { assignedPartitions, hasUserData, readSubscription } from '../classic/consumer-protocol.ts'
import type { PartitionsByName, Subscription } from '../classic/consumer-protocol.ts'
import type { ClassicGroup } from '../classic/group.ts'
import { fitsRecord } from '../classic/member.ts'
import type { ClassicMember } from '../classic/member.ts'
import { joinFailed } from '../classic/responses.ts'
import { patternProblem } from '../consumer/admission.ts'
import type { ConsumerGroup } from '../consumer/group.ts'
import { currentRecord, targetRecord } from '../consumer/group-records.ts'
import { heartbeatProblem, refusal } from '../consumer/heartbeat-problem.ts'
import type { Refusal } from '../consumer/heartbeat-problem.ts'
import type { MemberFacts } from '../consumer/member.ts'
import { distinct } from '../consumer/member-facts.ts'
import { MemberState } from '../consumer/reconciliation.ts'
import { NOTHING } from '../consumer/holding.ts'
import type { OutcomeBuilder } from '../outcome.ts'
import type { ConsumerHeartbeat, TopicsView } from '../seams.ts'

/** What speaks against a member of the newer protocol in a classic group that has members; null when the group may become one of that protocol. */
export function upgradeProblem(from: ClassicGroup, to: ConsumerGroup, request: ConsumerHeartbeat): Refusal | null {
  const { consumer } = from.config
  const invalid = heartbeatProblem(request, from.config) ?? patternProblem(to.durable, request)
  if (invalid !== null) return invalid
  const why = (reason: string): Refusal =>
    refusal(ErrorCode.GROUP_ID_NOT_FOUND, `${from.groupId} is a group of the classic protocol${reason}`)
  if (request.memberEpoch !== 0) return why('')
  if (consumer.migrationPolicy !== 'bidirectional' && consumer.migrationPolicy !== 'upgrade')
    return why(`, and group.consumer.migration.policy is ${consumer.migrationPolicy}`)
  if (!from.speaksConsumer) return why(` whose members are no consumers but of the type ${from.protocolType}`)
  if (from.members > consumer.maxSize) return why(` and has more members than group.consumer.max.size`)
  const problem = memberProblem(from)
  if (problem !== null) return why(` ${problem}`)
  const isThere =
    from.roster.get(request.memberId) !== null ||
    (request.instanceId !== null && from.roster.staticMemberId(request.instanceId) !== null)
  if (isThere || from.members < consumer.maxSize) return null
  return refusal(ErrorCode.GROUP_MAX_SIZE_REACHED, `the group has ${consumer.maxSize} members, and that is the most`)
}

function memberProblem({ roster, protocol }: ClassicGroup): string | null {
  for (const member of roster) {
    if (subscriptionOf(member, protocol) === null || assignedPartitions(member.assignment) === null)
      return `whose member ${member.memberId} says what is not understood`
    if (!fitsRecord(member.terms.protocols)) return `whose member ${member.memberId} says too much of itself`
    if (hasUserData(member.assignment)) return 'whose assignor tells its members more than their partitions'
  }
  return null
}

function subscriptionOf(member: ClassicMember, protocol: string | null): Subscription | null {
  const metadata = protocol === null ? member.terms.protocols[0]?.metadata : member.metadata(protocol)
  return metadata === undefined ? null : readSubscription(metadata)
}

/**
 * A classic group becomes one of the newer protocol, with all that its members have, in an epoch that is the generation. Who waits is told to join again, the
 * others find out by their next heartbeat once there is a newer target.
 */
export function upgrade(from: ClassicGroup, to: ConsumerGroup, nowMs: number, out: OutcomeBuilder): void {
  const { groupId, generation, roster } = from
  for (const member of roster) {
    from.answerJoin(member, out, joinFailed(member.memberId, ErrorCode.REBALANCE_IN_PROGRESS))
    from.answerSync(member, out, ErrorCode.REBALANCE_IN_PROGRESS)
  }
  from.erase(out)
  const { topics } = to.course.context
  const holdings = holdingsOf(from, topics)
  const members = Array.from(roster, (member) => ({
    key: { groupId, memberId: member.memberId },
    facts: factsOf(member, from.protocol),
    target: holdings.get(member.memberId)?.finish() ?? NO_PARTITIONS,
  }))
  for (const { key, facts } of members) out.record({ name: 'consumerMember', key, value: facts })
  out.record({ name: 'consumerGroup', key: { groupId }, value: { epoch: generation, metadataHash: 0 } })
  for (const { key, target } of members) out.record(targetRecord(key, target))
  out.record({ name: 'targetMetadata', key: { groupId }, value: { epoch: generation, assignedMs: 0 } })
  for (const { key, target } of members) {
    const assigned = new Map(
      [...target].map(([topic, partitions]) => [topic, new Map(partitions.map((one) => [one, generation]))]),
    )
    const epochs = { memberEpoch: generation, previousEpoch: generation, state: MemberState.stable }
    out.record(currentRecord(key, { ...epochs, assigned, revoking: NOTHING }))
  }
  for (const member of to.durable.members.values()) to.course.restartTimers(member, nowMs)
  to.course.story.goOn(from.story.soFar)
}

function factsOf(member: ClassicMember, protocol: string | null): MemberFacts {
  const { terms, groupInstanceId } = member
  const subscription = subscriptionOf(member, protocol)
  return {
    instanceId: groupInstanceId,
    rackId: subscription?.rackId ?? null,
    clientId: terms.clientId,
    clientHost: terms.clientHost,
    topicNames: distinct(subscription?.topics ?? []),
    topicRegex: '',
    rebalanceTimeoutMs: terms.rebalanceTimeoutMs,
    serverAssignor: null,
    classic: { sessionTimeoutMs: terms.sessionTimeoutMs, protocols: terms.protocols },
  }
}

/**
 * What each member may have. A rebalance that was under way has taken assignments back, and who keeps its partitions meanwhile says so when it joins:
 * that counts where no assignment says otherwise. No partition is two members'.
 */
function holdingsOf({ roster, protocol }: ClassicGroup, topics: TopicsView): Map<string, AssignmentDraft> {
  const taken = new Map<Uuid, Set<number>>()
  const holdings = new Map<string, AssignmentDraft>()
  for (const { memberId, assignment } of roster)
    holdings.set(memberId, take(taken, new AssignmentDraft(), assignedPartitions(assignment) ?? [], topics))
  for (const member of roster) {
    const holding = holdings.get(member.memberId) as AssignmentDraft
    take(taken, holding, subscriptionOf(member, protocol)?.owned ?? [], topics)
  }
  return holdings
}

function take(
  taken: Map<Uuid, Set<number>>,
  into: AssignmentDraft,
  named: PartitionsByName,
  topics: TopicsView,
): AssignmentDraft {
  for (const { topic, partitions } of named) {
    const id = topics.byName(topic)?.id
    if (id === undefined) continue
    const known = taken.get(id) ?? new Set()
    taken.set(id, known)
    for (const partition of partitions) {
      if (known.has(partition)) continue
      known.add(partition)
      into.add(id, partition)
    }
  }
  return into
}
