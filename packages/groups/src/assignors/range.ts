import type { Uuid } from '@millrace/base'
import { AssignmentDraft, inOrder } from './assignment.ts'
import type { Assignment, AssignorMember, PartitionCounts } from './assignment.ts'

/**
 * Gives each subscriber of a topic a run of neighbouring partitions, the first subscribers one more where it does not divide. Members are in the
 * same order for every topic, so topics with as many partitions and the same subscribers are co-partitioned: whoever has partition 3 of one has
 * partition 3 of the other.
 */
export function range(members: readonly AssignorMember[], counts: PartitionCounts): Map<string, Assignment> {
  const drafts = new Map<string, AssignmentDraft>()
  const subscribers = new Map<Uuid, string[]>()
  for (const member of inOrder(members)) {
    drafts.set(member.memberId, new AssignmentDraft())
    for (const topic of member.topics) {
      const others = subscribers.get(topic)
      if (others === undefined) subscribers.set(topic, [member.memberId])
      else others.push(member.memberId)
    }
  }
  for (const [topic, memberIds] of subscribers) {
    const count = counts.get(topic) ?? 0
    const share = Math.floor(count / memberIds.length)
    const larger = count % memberIds.length
    let partition = 0
    memberIds.forEach((memberId, at) => {
      const end = partition + share + (at < larger ? 1 : 0)
      for (; partition < end; partition++) drafts.get(memberId)?.add(topic, partition)
    })
  }
  return new Map([...drafts].map(([memberId, draft]) => [memberId, draft.finish()]))
}
