import { unreachable } from '@millrace/base'
import type { Random } from '@millrace/base'
import { classicRoster } from './classic/description.ts'
import { ClassicGroup } from './classic/group.ts'
import { ConsumerGroup } from './consumer/group.ts'
import { isConsumerRecord } from './consumer/group-state.ts'
import { GroupOffsets } from './offsets/group-offsets.ts'
import type { GroupRecord } from './records/kinds.ts'
import { TopicNames } from './regex/topic-names.ts'
import type {
  CommittedOffset,
  GroupMemberView,
  GroupsConfig,
  GroupState,
  GroupView,
  Rebalance,
  TopicsView,
} from './seams.ts'

export type Group = ClassicGroup | ConsumerGroup

export interface GroupsContext {
  readonly config: GroupsConfig
  readonly topics: TopicsView
  readonly random: Random
}

/**
 * The groups of a shard and their offsets, as the records have it: a group is of one of two types, and offsets are of neither, so that they
 * outlast a change of it. Whoever has offsets has a group, be it one that nobody ever joined.
 */
export class Registry {
  readonly context: GroupsContext
  private readonly names: TopicNames
  private readonly groups = new Map<string, Group>()
  private readonly offsets = new Map<string, GroupOffsets>()

  constructor(context: GroupsContext) {
    this.context = context
    this.names = new TopicNames(context.topics)
  }

  get(groupId: string): Group | null {
    return this.groups.get(groupId) ?? null
  }

  ids(): Iterable<string> {
    return this.groups.keys()
  }

  [Symbol.iterator](): IterableIterator<Group> {
    return this.groups.values()
  }

  offsetsOf(groupId: string): GroupOffsets | null {
    return this.offsets.get(groupId) ?? null
  }

  /** The groups that have offsets, and those. */
  allOffsets(): Iterable<readonly [groupId: string, offsets: GroupOffsets]> {
    return this.offsets
  }

  newClassic(groupId: string): ClassicGroup {
    return new ClassicGroup(this.context.config, groupId)
  }

  newConsumer(groupId: string): ConsumerGroup {
    return new ConsumerGroup({ ...this.context, names: this.names }, groupId)
  }

  /** Takes the place of the group that had this id. */
  put(group: Group): void {
    this.groups.set(group.groupId, group)
  }

  view(groupId: string): GroupView | null {
    const group = this.groups.get(groupId)
    return group === undefined ? null : new View(group, this.offsets.get(groupId) ?? null)
  }

  /** Forgets a group of which nothing is left; false when there is none with this id any more. */
  prune(groupId: string): boolean {
    const group = this.groups.get(groupId)
    if (group === undefined) return false
    const isGone = group.type === 'classic' ? group.isBlank : !group.exists
    if (!isGone) return true
    const hasOffsets = this.offsets.has(groupId)
    if (hasOffsets && group.type === 'consumer') this.put(this.newClassic(groupId))
    else if (!hasOffsets) this.groups.delete(groupId)
    return hasOffsets
  }

  /** The one way in which durable state changes. */
  apply(record: GroupRecord): void {
    if (record.name === 'offsetCommit') return this.applyOffset(record)
    if (record.name === 'groupMetadata') return this.applyClassic(record)
    if (!isConsumerRecord(record)) return unreachable(record, 'record of a group')
    const { groupId } = record.key
    const group = this.groups.get(groupId)
    if (group?.type === 'consumer') return group.replay(record)
    // Nothing to take away from.
    if (record.value === null) return
    const made = this.newConsumer(groupId)
    this.put(made)
    made.replay(record)
  }

  private applyOffset(record: GroupRecord & { name: 'offsetCommit' }): void {
    const { groupId } = record.key
    let offsets = this.offsets.get(groupId)
    if (offsets === undefined) {
      if (record.value === null) return
      offsets = new GroupOffsets()
      this.offsets.set(groupId, offsets)
    }
    offsets.replay(record)
    if (offsets.isEmpty) this.offsets.delete(groupId)
    else if (!this.groups.has(groupId)) this.put(this.newClassic(groupId))
  }

  private applyClassic(record: GroupRecord & { name: 'groupMetadata' }): void {
    const { groupId } = record.key
    const group = this.groups.get(groupId)
    if (record.value !== null) {
      const classic = group?.type === 'classic' ? group : this.newClassic(groupId)
      this.put(classic)
      classic.replay(record)
    } else if (group?.type === 'classic') {
      this.groups.delete(groupId)
      if (this.offsets.has(groupId)) this.put(this.newClassic(groupId))
    }
  }
}

class View implements GroupView {
  readonly groupId: string
  private readonly group: Group
  private readonly committed: GroupOffsets | null

  constructor(group: Group, offsets: GroupOffsets | null) {
    this.groupId = group.groupId
    this.group = group
    this.committed = offsets
  }

  get type(): 'classic' | 'consumer' {
    return this.group.type
  }

  get state(): GroupState {
    return this.group.state
  }

  get protocolType(): string {
    return protocolTypeOf(this.group)
  }

  get generation(): number {
    return this.group.generation
  }

  get members(): number {
    return this.group.members
  }

  get rebalances(): readonly Rebalance[] {
    return this.group.rebalances
  }

  offsets(): Iterable<CommittedOffset> {
    return this.committed?.all() ?? []
  }

  roster(): Iterable<GroupMemberView> {
    return this.group.type === 'classic' ? classicRoster(this.group) : this.group.roster()
  }
}

/** What a listing tells of the protocol that the members agree by. */
export function protocolTypeOf(group: Group): string {
  return group.type === 'classic' ? group.protocolType : 'consumer'
}
