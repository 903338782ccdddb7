import { CONSUMER_PROTOCOL, encodeAssignment } from '../classic/consumer-protocol.ts'
import type { PartitionsByName } from '../classic/consumer-protocol.ts'
import type { ClassicGroup } from '../classic/group.ts'
import { ClassicMember } from '../classic/member.ts'
import type { ConsumerGroup } from '../consumer/group.ts'
import type { Member } from '../consumer/member.ts'
import type { TopicsView } from '../seams.ts'
import type { Turn } from '../turn.ts'

/**
 * A group of the newer protocol of whose members none speaks that any more becomes a classic one: its epoch is the generation, and what members have, or have not
 * given up yet, is their assignment. (Kafka writes what they were to have; who came by the newer protocol next would get what others still read.) Unless
 * all is at rest they rebalance; they can commit in the generation meanwhile. `put` makes `to` the group.
 */
export function downgrade(from: ConsumerGroup, to: ClassicGroup, turn: Turn, put: () => void): void {
  const { durable, course } = from
  const { nowMs, out } = turn
  to.generation = from.generation
  to.isUndivided = !course.isAtRest
  const members = Array.from(durable.members.values(), (member) => ({
    member: classicMember(member),
    held: heldBy(member, course.context.topics),
  }))
  from.tombstones(out)
  put()
  to.protocolType = CONSUMER_PROTOCOL
  to.stateMs = nowMs
  for (const { member } of members) to.roster.add(member)
  to.protocol = to.roster.elected() ?? ''
  for (const { member, held } of members) member.assignment = encodeAssignment(held, member.metadata(to.protocol))
  to.write(out)
  for (const { member } of members) to.heardOf(member, nowMs)
  to.story.goOn(course.story.soFar)
  to.story.settle(to.roster)
  if (to.isUndivided) to.prepareRebalance(turn)
}

function classicMember({ memberId, facts }: Member): ClassicMember {
  const { instanceId, clientId, clientHost, rebalanceTimeoutMs, classic } = facts
  const { sessionTimeoutMs, protocols } = classic ?? { sessionTimeoutMs: rebalanceTimeoutMs, protocols: [] }
  const terms = { clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, protocols }
  const member = new ClassicMember(memberId, instanceId, terms)
  member.synced = true
  return member
}

function heldBy({ current }: Member, topics: TopicsView): PartitionsByName {
  const held = [...current.assigned, ...current.revoking]
  return held.flatMap(([id, partitions]) => {
    const topic = topics.byId(id)?.name
    return topic === undefined ? [] : [{ topic, partitions: [...partitions.keys()] }]
  })
}
