import {
  type CommittedOffset,
  type GroupMemberView,
  type GroupView,
  type LagStatus,
  type LogHistory,
  worstStatus,
} from '@millrace/groups'
import { NO_REBALANCES } from './rebalance-tally.ts'
import type { GroupLag, PartitionLag } from './seams.ts'
import type { WatchedGroup } from './watched-group.ts'

/** How long a topic keeps its records, in milliseconds and bytes; -1 for ever. */
export interface Retention {
  readonly ms: number
  readonly bytes: number
}

/** What is known of the log of a partition; null for one that does not exist any more. */
export interface LogFacts {
  readonly history: LogHistory | null
  readonly retention: Retention
}

interface Sources {
  readonly watched: WatchedGroup | null
  readonly nowMs: number
  facts(topic: string, partition: number): LogFacts | null
}

/** A group's lag as it is now: its commits of this moment, held against the logs as they are here, or were at the last survey elsewhere. */
export function reportOf(group: GroupView, { watched, nowMs, facts }: Sources): GroupLag {
  const owners = ownersOf(group)
  const partitions: PartitionLag[] = []
  for (const commit of group.offsets()) {
    const { topic, partition } = commit
    const window = watched?.window(topic, partition) ?? null
    const member = owners.get(topic)?.get(partition) ?? null
    const status = window?.status(nowMs) ?? 'OK'
    partitions.push(partitionLag({ commit, facts: facts(topic, partition), status, member, nowMs }))
  }
  const { groupId, type, state, generation, members } = group
  return {
    groupId,
    type,
    state,
    generation,
    members,
    status: worstStatus(partitions.map(({ status }) => status)),
    sumLag: folded(partitions, 'lag', (a, b) => a + b),
    maxLag: folded(partitions, 'lag', Math.max),
    maxLagSeconds: folded(partitions, 'lagSeconds', Math.max),
    secondsToRetention: folded(partitions, 'secondsToRetention', Math.min),
    partitions,
    sinceMs: watched?.sinceMs ?? nowMs,
    rebalances: watched?.rebalances ?? NO_REBALANCES,
  }
}

interface Look {
  readonly commit: CommittedOffset
  readonly facts: LogFacts | null
  readonly status: LagStatus
  readonly member: GroupMemberView | null
  readonly nowMs: number
}

function partitionLag({ commit, facts, status, member, nowMs }: Look): PartitionLag {
  const { topic, partition, offset, commitMs } = commit
  const last = facts?.history?.last ?? null
  const known = { topic, partition, offset, commitMs, status, member }
  const nothing = { logStart: null, logEnd: null, lag: null, lagSeconds: null, secondsToRetention: null }
  if (facts === null || facts.history === null || last === null) return { ...known, ...nothing }
  const { logStart, logEnd } = last
  const lag = Math.max(0, logEnd - Math.max(offset, logStart))
  const seconds = lag === 0 ? 0 : facts.history.lagSeconds(offset)
  // As of now: the record has become older since the look.
  const lagSeconds = seconds === null || lag === 0 ? seconds : seconds + Math.max(0, nowMs - last.nowMs) / 1000
  const secondsToRetention =
    offset < logStart ? 0 : untilLoss(facts.history, facts.retention, { offset, lag, lagSeconds })
  return { ...known, logStart, logEnd, lag, lagSeconds, secondsToRetention }
}

/** Time is what the topic says; with a limit in bytes it is as fast as the log lost records so far. */
function untilLoss(
  history: LogHistory,
  { ms, bytes }: Retention,
  { offset, lag, lagSeconds }: { readonly offset: number; readonly lag: number; readonly lagSeconds: number | null },
): number | null {
  if (lag === 0) return Number.POSITIVE_INFINITY
  const byAge = ms < 0 ? Number.POSITIVE_INFINITY : lagSeconds === null ? null : Math.max(0, ms / 1000 - lagSeconds)
  const bySize = bytes < 0 ? Number.POSITIVE_INFINITY : history.secondsToRetention(offset)
  return byAge === null || bySize === null ? (byAge ?? bySize) : Math.min(byAge, bySize)
}

function ownersOf(group: GroupView): Map<string, Map<number, GroupMemberView>> {
  const owners = new Map<string, Map<number, GroupMemberView>>()
  for (const member of group.roster())
    for (const { topic, partitions } of member.assigned) {
      const known = owners.get(topic) ?? new Map<number, GroupMemberView>()
      for (const partition of partitions) known.set(partition, member)
      owners.set(topic, known)
    }
  return owners
}

function folded(
  partitions: readonly PartitionLag[],
  of: 'lag' | 'lagSeconds' | 'secondsToRetention',
  fold: (a: number, b: number) => number,
): number | null {
  let result: number | null = null
  for (const { [of]: value } of partitions) if (value !== null) result = result === null ? value : fold(result, value)
  return result
}
