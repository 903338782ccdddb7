import type { Uuid } from '@millrace/base'
import { expect } from 'vitest'
import type { Assignment, AssignorMember, PartitionCounts } from '../../src/assignors/assignment.ts'

/** A member by its id, that had `previous` until now. */
export function member(memberId: string, topics: readonly Uuid[], more: Partial<AssignorMember> = {}): AssignorMember {
  return { memberId, instanceId: null, topics: new Set(topics), previous: new Map(), ...more }
}

export function counts(of: Record<Uuid, number>): PartitionCounts {
  return new Map(Object.entries(of))
}

/** `topic-partition` texts by member. */
export function plain(result: ReadonlyMap<string, Assignment>): Record<string, string[]> {
  return Object.fromEntries([...result].map(([memberId, assignment]) => [memberId, texts(assignment)]))
}

export function texts(assignment: Assignment): string[] {
  return [...assignment].flatMap(([topic, partitions]) => partitions.map((partition) => `${topic}-${partition}`))
}

/** The members again, with what they were given as what they had. */
export function after(members: readonly AssignorMember[], result: ReadonlyMap<string, Assignment>): AssignorMember[] {
  return members.map((one) => ({ ...one, previous: result.get(one.memberId) ?? new Map() }))
}

/** Every partition of a subscribed topic has one owner, who subscribes to it; nothing else is assigned. */
export function expectComplete(
  members: readonly AssignorMember[],
  sizes: PartitionCounts,
  result: ReadonlyMap<string, Assignment>,
): void {
  expect([...result.keys()].sort()).toEqual(members.map(({ memberId }) => memberId).sort())
  const owners = new Map<string, string>()
  for (const { memberId, topics } of members) {
    for (const [topic, partitions] of result.get(memberId) ?? []) {
      expect(topics.has(topic), `${memberId} subscribes to ${topic}`).toBe(true)
      expect(partitions, 'ascending').toEqual([...new Set(partitions)].sort((a, b) => a - b))
      for (const partition of partitions) {
        expect(
          owners.get(`${topic}-${partition}`),
          `the owner of ${topic}-${partition} besides ${memberId}`,
        ).toBeUndefined()
        owners.set(`${topic}-${partition}`, memberId)
      }
    }
  }
  const subscribed = new Set(members.flatMap(({ topics }) => [...topics]))
  const all = [...subscribed].flatMap((topic) =>
    Array.from({ length: sizes.get(topic) ?? 0 }, (_, partition) => `${topic}-${partition}`),
  )
  expect([...owners.keys()].sort()).toEqual(all.sort())
}
