import type { Uuid } from '@millrace/base'
import type { Assignment } from '../assignors/assignment.ts'
import type { ValueOf } from '../records/kinds.ts'
import type { TopicPartitions } from '../seams.ts'

/** Partitions that a member has, by topic; each with the member epoch at which it was given them. */
export type Holding = ReadonlyMap<Uuid, ReadonlyMap<number, number>>

export const NOTHING: Holding = new Map()

type HeldPartitions = ValueOf<'currentAssignment'>['assigned'][number]

/** As a record holds it; partitions without an epoch of their own were given at `memberEpoch` for all that is known. */
export function holdingOf(topics: readonly HeldPartitions[], memberEpoch: number): Holding {
  return new Map(
    topics.map(({ topicId, partitions, epochs }) => [
      topicId,
      new Map(partitions.map((partition, at) => [partition, epochs?.[at] ?? memberEpoch])),
    ]),
  )
}

export function heldPartitions(holding: Holding): HeldPartitions[] {
  return [...holding].map(([topicId, partitions]) => ({
    topicId,
    partitions: [...partitions.keys()],
    epochs: [...partitions.values()],
  }))
}

export function topicPartitions(holding: Holding): TopicPartitions[] {
  return [...holding].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions.keys()] }))
}

export function targetPartitions(target: Assignment): { topicId: Uuid; partitions: number[] }[] {
  return [...target].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions] }))
}

/** Whether both have the same partitions; when they were given does not matter. */
export function samePartitions(a: Holding, b: Holding): boolean {
  if (a.size !== b.size) return false
  for (const [topic, partitions] of a) {
    const others = b.get(topic)
    if (others === undefined || others.size !== partitions.size) return false
    for (const partition of partitions.keys()) if (!others.has(partition)) return false
  }
  return true
}

/** Whether any of `owned` is in the holding. */
export function ownsAny(owned: readonly TopicPartitions[], holding: Holding): boolean {
  return owned.some(({ topicId, partitions }) => {
    const held = holding.get(topicId)
    return held !== undefined && partitions.some((partition) => held.has(partition))
  })
}

/** Whether all of `owned` is in the holding. */
export function ownsOnly(owned: readonly TopicPartitions[], holding: Holding): boolean {
  return owned.every(({ topicId, partitions }) => {
    const held = holding.get(topicId)
    return partitions.every((partition) => held?.has(partition) === true)
  })
}
