import type { Random } from '@millrace/base'
import { createGroupShard, groupPartition, type GroupsConfig, type GroupShard, type TopicsView } from '@millrace/groups'

/** What decides about groups; the real ones, but for tests of what is around them. */
export interface GroupMachines {
  createShard(config: GroupsConfig, topics: TopicsView, random: Random): GroupShard
  /** The partition of `__consumer_offsets` that a group belongs to, of so many. */
  partitionOf(groupId: string, partitions: number): number
}

export const GROUP_MACHINES: GroupMachines = { createShard: createGroupShard, partitionOf: groupPartition }
