import type { Uuid } from '@millrace/base'

/** Partitions by the id of their topic, ascending; a topic without partitions is not in it. */
export type Assignment = ReadonlyMap<Uuid, readonly number[]>

export const NO_PARTITIONS: Assignment = new Map()

/** What an assignor knows of a member. */
export interface AssignorMember {
  readonly memberId: string
  /** Of a static member, who keeps its place among the members when it comes back by another id. */
  readonly instanceId: string | null
  /** The topics that it subscribes to and that exist. */
  readonly topics: ReadonlySet<Uuid>
  /** What it was to have until now; may name topics and partitions that are gone, or that two members claim. */
  readonly previous: Assignment
}

/** How many partitions a topic has. Every topic that a member subscribes to is in it. */
export type PartitionCounts = ReadonlyMap<Uuid, number>

/**
 * Divides all partitions of the subscribed topics among the members that subscribe to them: each partition has exactly one owner, every member is
 * in the result. Equal arguments, in whatever order, give the same result.
 */
export type Assignor = (members: readonly AssignorMember[], counts: PartitionCounts) => Map<string, Assignment>

/** Static members by their instance, then the others by their id: an order that survives a restart of a static member. */
export function inOrder(members: readonly AssignorMember[]): AssignorMember[] {
  return [...members].sort((a, b) => {
    if (a.instanceId === null || b.instanceId === null) {
      if (a.instanceId !== null) return -1
      if (b.instanceId !== null) return 1
      return compareText(a.memberId, b.memberId)
    }
    return compareText(a.instanceId, b.instanceId) || compareText(a.memberId, b.memberId)
  })
}

export function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** How many partitions there are in all. */
export function countPartitions(assignment: Assignment): number {
  let count = 0
  for (const partitions of assignment.values()) count += partitions.length
  return count
}

export function sameAssignment(a: Assignment, b: Assignment): boolean {
  if (a.size !== b.size) return false
  for (const [topic, partitions] of a) {
    const others = b.get(topic)
    if (others === undefined || others.length !== partitions.length) return false
    for (let i = 0; i < partitions.length; i++) if (partitions[i] !== others[i]) return false
  }
  return true
}

/** An assignment under construction; partitions may be added in any order. */
export class AssignmentDraft {
  private readonly topics = new Map<Uuid, number[]>()

  add(topic: Uuid, partition: number): void {
    const partitions = this.topics.get(topic)
    if (partitions === undefined) this.topics.set(topic, [partition])
    else partitions.push(partition)
  }

  /** Topics in the order of their ids, so that equal assignments have equal bytes in the log. */
  finish(): Assignment {
    const topics = [...this.topics].sort(([a], [b]) => compareText(a, b))
    for (const [, partitions] of topics) partitions.sort((a, b) => a - b)
    return new Map(topics)
  }
}
