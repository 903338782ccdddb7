import type { Uuid } from '@millrace/base'
import { AssignmentDraft, compareText, inOrder } from './assignment.ts'
import type { Assignment, AssignorMember, PartitionCounts } from './assignment.ts'
import { retained } from './retained.ts'
import type { TopicPartition } from './retained.ts'
import { uniformMixed } from './uniform-mixed.ts'

/**
 * Balances how many partitions each member has, and moves no partition that it need not move. Where all members subscribe to the same topics
 * their counts differ by at most one; where they do not, no chain of moves could make the fullest member emptier without making another
 * one as full. Racks are not looked at.
 */
export function uniform(members: readonly AssignorMember[], counts: PartitionCounts): Map<string, Assignment> {
  const ordered = inOrder(members)
  return sameTopics(ordered) ? uniformSame(ordered, counts) : uniformMixed(ordered, counts)
}

function sameTopics(members: readonly AssignorMember[]): boolean {
  const first = members[0]?.topics
  if (first === undefined) return true
  return members.every((member) => {
    if (member.topics === first) return true
    if (member.topics.size !== first.size) return false
    for (const topic of member.topics) if (!first.has(topic)) return false
    return true
  })
}

/** Everybody subscribes to the same topics: each member has a quota, keeps what it had up to that, and the rest is dealt out. */
function uniformSame(members: readonly AssignorMember[], counts: PartitionCounts): Map<string, Assignment> {
  const topics = [...(members[0]?.topics ?? [])].sort(compareText)
  const kept = retained(members, counts)
  const quotas = quotasOf(
    kept.map((partitions) => partitions.length),
    totalOf(topics, counts),
  )
  const drafts = members.map(() => new AssignmentDraft())
  const taken = new Map(topics.map((topic) => [topic, new Uint8Array(counts.get(topic) ?? 0)]))
  const room = quotas.map((quota, at) => {
    const keeps = spread(kept[at] ?? [], quota)
    for (const { topic, partition } of keeps) {
      drafts[at]?.add(topic, partition)
      const marks = taken.get(topic)
      if (marks !== undefined) marks[partition] = 1
    }
    return quota - keeps.length
  })
  deal(taken, room, drafts)
  return new Map(members.map((member, at) => [member.memberId, (drafts[at] as AssignmentDraft).finish()]))
}

function totalOf(topics: readonly Uuid[], counts: PartitionCounts): number {
  return topics.reduce((sum, topic) => sum + (counts.get(topic) ?? 0), 0)
}

/** What each member is to have; those who have more than the even share already are the ones who get the odd partitions. */
function quotasOf(have: readonly number[], total: number): number[] {
  const share = Math.floor(total / have.length)
  let odd = total % have.length
  const quotas = have.map((count) => {
    if (count <= share || odd === 0) return share
    odd--
    return share + 1
  })
  for (let at = 0; odd > 0; at++) {
    if (quotas[at] !== share) continue
    quotas[at] = share + 1
    odd--
  }
  return quotas
}

/** `quota` of the partitions, evenly from all over the list, so that what a member gives up is a part of every topic. */
function spread(partitions: readonly TopicPartition[], quota: number): readonly TopicPartition[] {
  const count = partitions.length
  if (count <= quota) return partitions
  return partitions.filter((_, at) => Math.floor(((at + 1) * quota) / count) > Math.floor((at * quota) / count))
}

/** Deals what nobody has, topic by topic, one partition to each member in turn that has room. */
function deal(taken: ReadonlyMap<Uuid, Uint8Array>, room: number[], drafts: readonly AssignmentDraft[]): void {
  let at = 0
  for (const [topic, marks] of taken) {
    for (let partition = 0; partition < marks.length; partition++) {
      if (marks[partition] === 1) continue
      while (room[at] === 0) at = (at + 1) % room.length
      drafts[at]?.add(topic, partition)
      room[at] = (room[at] as number) - 1
      at = (at + 1) % room.length
    }
  }
}
