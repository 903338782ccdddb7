import type { GroupLag, PartitionLag } from '@millrace/broker'
import type { Uuid } from '@millrace/base'
import type { ClusterImage } from '@millrace/metadata'
import type { GroupMemberView, GroupView, Rebalance } from '@millrace/groups'

/** A time as people and programs read it; null where there is none. */
export function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

/** JSON has no infinity: what never comes is told by null, as is what is not known, and `losesRecords` tells them apart. */
function retention(seconds: number | null): { secondsToRetention: number | null; losesRecords: boolean | null } {
  const comes = seconds !== null && Number.isFinite(seconds)
  return { secondsToRetention: comes ? seconds : null, losesRecords: seconds === null ? null : comes }
}

/** A group in the list of all groups. */
export function groupSummary(group: GroupLag): object {
  const { groupId, type, state, generation, members, status, sumLag, maxLag, maxLagSeconds, rebalances } = group
  return {
    group: groupId,
    type,
    state,
    generation,
    members,
    status,
    sumLag,
    maxLag,
    maxLagSeconds,
    ...retention(group.secondsToRetention),
    rebalances: rebalances.count,
  }
}

/** A group with its partitions and members. */
export function groupDetail(group: GroupLag, roster: Iterable<GroupMemberView>): object {
  return {
    ...groupSummary(group),
    watchedSince: isoTime(group.sinceMs),
    partitions: group.partitions
      .toSorted((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
      .map(partitionDetail),
    roster: Array.from(roster, ({ memberId, groupInstanceId, clientId, clientHost, assigned }) => ({
      memberId,
      groupInstanceId,
      clientId,
      host: clientHost,
      assigned,
    })),
  }
}

function partitionDetail(lag: PartitionLag): object {
  const { topic, partition, status, offset, commitMs, logStart, logEnd, lagSeconds, member } = lag
  return {
    topic,
    partition,
    status,
    offset,
    committedAt: isoTime(commitMs),
    logStart,
    logEnd,
    lag: lag.lag,
    lagSeconds,
    ...retention(lag.secondsToRetention),
    memberId: member?.memberId ?? null,
    clientId: member?.clientId ?? null,
    host: member?.clientHost ?? null,
  }
}

/** Why a group rebalanced: its last rebalances, oldest first, and how many there were of each kind. */
export function groupRebalances(
  view: GroupView,
  { sinceMs, rebalances: tally }: GroupLag,
  image: ClusterImage,
): object {
  return {
    group: view.groupId,
    state: view.state,
    watchedSince: isoTime(sinceMs),
    count: tally.count,
    totalMs: tally.totalMs,
    reasons: Object.fromEntries(tally.reasons),
    rebalances: view.rebalances.map((one) => rebalanceDetail(one, image)),
  }
}

function rebalanceDetail(
  { generation, startedMs, endedMs, members, moved, moves, causes }: Rebalance,
  image: ClusterImage,
): object {
  return {
    generation,
    startedAt: isoTime(startedMs),
    endedAt: isoTime(endedMs),
    durationMs: endedMs - startedMs,
    members,
    moved,
    moves: moves.map(({ topic, topicId, ...move }) => ({ topic: topic ?? nameOf(topicId, image), ...move })),
    causes,
  }
}

/** Null for a topic that is gone. */
function nameOf(topicId: Uuid | null, image: ClusterImage): string | null {
  return topicId === null ? null : (image.topics.get(topicId)?.name ?? null)
}
