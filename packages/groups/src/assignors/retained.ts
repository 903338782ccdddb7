import type { Uuid } from '@millrace/base'
import { compareText } from './assignment.ts'
import type { AssignorMember, PartitionCounts } from './assignment.ts'

export interface TopicPartition {
  readonly topic: Uuid
  readonly partition: number
}

/**
 * What each member may keep of what it had: partitions that are still there, of topics that it still subscribes to, in the order of topic
 * and partition. One that several claim is the first one's.
 */
export function retained(members: readonly AssignorMember[], counts: PartitionCounts): TopicPartition[][] {
  const claimed = new Map<Uuid, Uint8Array>()
  return members.map((member) => {
    const kept: TopicPartition[] = []
    for (const topic of [...member.previous.keys()].sort(compareText)) {
      if (!member.topics.has(topic)) continue
      const marks = marksOf(claimed, topic, counts)
      for (const partition of member.previous.get(topic) ?? []) {
        if (marks[partition] !== 0) continue
        marks[partition] = 1
        kept.push({ topic, partition })
      }
    }
    return kept
  })
}

function marksOf(claimed: Map<Uuid, Uint8Array>, topic: Uuid, counts: PartitionCounts): Uint8Array {
  const known = claimed.get(topic)
  if (known !== undefined) return known
  const marks = new Uint8Array(counts.get(topic) ?? 0)
  claimed.set(topic, marks)
  return marks
}
