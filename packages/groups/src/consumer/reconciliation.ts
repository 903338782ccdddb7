import type { Uuid } from '@millrace/base'
import type { Assignment } from '../assignors/assignment.ts'
import type { TopicPartitions } from '../seams.ts'
import { NOTHING, ownsAny } from './holding.ts'
import type { Holding } from './holding.ts'

/**
 * How a member gets from what it has to what it is to have, step by step with its heartbeats and without waiting for the other members (KIP-848).
 *
 *   stable      has all of its target as of its epoch
 *   revoking    was told to give partitions up and has not said that it did; stays in the epoch in which it had them
 *   waiting     is in the epoch of the target, and other members still have some of what it is to get
 *
 * A partition belongs to one member at a time: it is given when nobody else has it, and who was told to give it up has it until they say so.
 */
export const MemberState = { stable: 0, revoking: 1, waiting: 2 } as const

export interface Current {
  readonly memberEpoch: number
  /** The epoch before, in which a member may come once more: the answer that told it the newer one may be lost. */
  readonly previousEpoch: number
  readonly state: number
  /** What the member may own now. */
  readonly assigned: Holding
  /** What it was told to give up. */
  readonly revoking: Holding
}

/** Of a member that just joined. */
export const BLANK: Current = {
  memberEpoch: 0,
  previousEpoch: 0,
  state: MemberState.stable,
  assigned: NOTHING,
  revoking: NOTHING,
}

export interface Goal {
  readonly epoch: number
  readonly target: Assignment
  /** Whether no other member has this partition. */
  isFree(topic: Uuid, partition: number): boolean
}

/** What the member has after it said what it owns (null: as before). The same object when nothing changes. */
export function reconcile(current: Current, goal: Goal, owned: readonly TopicPartitions[] | null): Current {
  if (current.state === MemberState.stable) {
    return current.memberEpoch === goal.epoch ? current : nextStep(current, goal, owned)
  }
  if (current.state === MemberState.waiting) return orSame(current, nextStep(current, goal, owned))
  if (owned === null || ownsAny(owned, current.revoking)) return current
  // An epoch on, so that the member sees that it was heard even when it has to give up more before it gets to the target's.
  return nextStep(current, goal, owned, current.memberEpoch + 1)
}

function nextStep(
  current: Current,
  goal: Goal,
  owned: readonly TopicPartitions[] | null,
  revokingEpoch = current.memberEpoch,
): Current {
  const { kept, given, revoked, missing } = compare(current.assigned, goal)
  if (revoked.size > 0 && (owned === null || ownsAny(owned, revoked))) {
    const { memberEpoch, previousEpoch } = inEpoch(current, revokingEpoch)
    return { memberEpoch, previousEpoch, state: MemberState.revoking, assigned: kept, revoking: revoked }
  }
  const state = missing ? MemberState.waiting : MemberState.stable
  const { memberEpoch, previousEpoch } = inEpoch(current, goal.epoch)
  return { memberEpoch, previousEpoch, state, assigned: given, revoking: NOTHING }
}

/** The previous epoch is always one that the member was told. */
function inEpoch(current: Current, epoch: number): Pick<Current, 'memberEpoch' | 'previousEpoch'> {
  if (epoch === current.memberEpoch) return current
  return { memberEpoch: epoch, previousEpoch: current.memberEpoch }
}

interface Comparison {
  /** What the member has and is to have. */
  readonly kept: Holding
  /** That, and what it is to get and nobody else has. */
  readonly given: Holding
  /** What it has and is not to have. */
  readonly revoked: Holding
  /** Whether others have some of what it is to get. */
  readonly missing: boolean
}

function compare(assigned: Holding, goal: Goal): Comparison {
  const kept = new Map<Uuid, Map<number, number>>()
  const given = new Map<Uuid, Map<number, number>>()
  let missing = false
  for (const [topic, partitions] of goal.target) {
    const has = assigned.get(topic)
    for (const partition of partitions) {
      const since = has?.get(partition)
      if (since !== undefined) put(kept, topic, { partition, epoch: since })
      else if (!goal.isFree(topic, partition)) {
        missing = true
        continue
      }
      put(given, topic, { partition, epoch: since ?? goal.epoch })
    }
  }
  return { kept, given, revoked: without(assigned, kept), missing }
}

function put(into: Map<Uuid, Map<number, number>>, topic: Uuid, one: { partition: number; epoch: number }): void {
  const partitions = into.get(topic)
  if (partitions === undefined) into.set(topic, new Map([[one.partition, one.epoch]]))
  else partitions.set(one.partition, one.epoch)
}

function without(holding: Holding, less: Holding): Holding {
  const rest = new Map<Uuid, Map<number, number>>()
  for (const [topic, partitions] of holding) {
    const gone = less.get(topic)
    for (const [partition, epoch] of partitions) {
      if (gone?.has(partition) !== true) put(rest, topic, { partition, epoch })
    }
  }
  return rest
}

/** A member that waits is asked again and again: no record for what is as it was. */
function orSame(before: Current, after: Current): Current {
  const same =
    after.state === before.state &&
    after.memberEpoch === before.memberEpoch &&
    sameSize(after.assigned, before.assigned) &&
    after.revoking.size === 0
  return same ? before : after
}

/** Enough where the one is the other and what was added: within an epoch nothing is taken from a member that waits. */
function sameSize(a: Holding, b: Holding): boolean {
  const count = (holding: Holding): number => [...holding.values()].reduce((sum, { size }) => sum + size, 0)
  return count(a) === count(b)
}
