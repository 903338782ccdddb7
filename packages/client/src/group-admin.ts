import { ErrorCode, MillraceError, ZERO_UUID } from '@millrace/base'
import {
  ConsumerGroupDescribeApi,
  DeleteGroupsApi,
  DescribeGroupsApi,
  ListGroupsApi,
  OffsetCommitApi,
  OffsetDeleteApi,
  OffsetFetchApi,
  type OffsetFetchResponse,
} from '@millrace/protocol'
import type { Cluster } from './cluster.ts'
import type { Connection } from './connection.ts'
import type { ConnectionPool } from './connection-pool.ts'
import { type Coordinator, Coordinators } from './coordinators.ts'
import { ConnectionError, TimeoutError } from './errors.ts'
import {
  fromClassicGroup,
  fromConsumerGroup,
  type GroupDescription,
  sorted,
  type TopicPartition,
} from './group-descriptions.ts'
import { refuse, refuseFinally } from './refusal.ts'
import { retrying } from './retry.ts'

/** A group as the list of its broker has it. */
export interface GroupListing {
  readonly groupId: string
  /** `consumer` for consumers, empty for a group that only has offsets; other programs have their own. */
  readonly protocolType: string
  /** Empty where the broker does not tell (before Kafka 2.6). */
  readonly state: string
  /** `classic` or `consumer`; empty where the broker does not tell (before Kafka 3.8). */
  readonly type: string
}

/** Where a group's next reader begins. */
export interface CommittedOffset extends TopicPartition {
  readonly offset: number
  /** -1 where whoever committed did not say. */
  readonly leaderEpoch: number
  readonly metadata: string
}

/** An offset that is to be committed for a group. */
export interface NewOffset extends TopicPartition {
  readonly offset: number
  readonly metadata?: string
}

/** From this version on one request can ask for many groups, in a field of their own. */
const MANY_GROUPS = 8

/**
 * Lists, describes, changes and deletes groups. Every call finds the coordinators that it needs, and is tried again, for as long as the client's
 * retry timeout, while they change or load; refusals are `KafkaError`s.
 */
export class GroupAdmin {
  private readonly cluster: Cluster
  private readonly pool: ConnectionPool
  private readonly coordinators: Coordinators

  constructor(cluster: Cluster, pool: ConnectionPool) {
    this.cluster = cluster
    this.pool = pool
    this.coordinators = new Coordinators(cluster, pool)
  }

  /** All groups of all brokers, sorted by name. */
  async list(): Promise<readonly GroupListing[]> {
    const found = await retrying('list of groups', this.cluster.retryRules(), async () => {
      await this.cluster.refreshBrokers()
      return Promise.all(this.cluster.brokerIds.map((id) => this.listOf(id)))
    })
    // A group that moves while it is listed is told twice.
    const groups = new Map(found.flat().map((group) => [group.groupId, group]))
    return [...groups.values()].toSorted((a, b) => (a.groupId < b.groupId ? -1 : 1))
  }

  /** Groups with their members, in the order of the names; one that does not exist is in state `Dead`, without members. */
  async describe(groupIds: readonly string[]): Promise<readonly GroupDescription[]> {
    const found = await this.coordinators.ask('description of groups', groupIds, describeAll)
    return groupIds.map((groupId) => found.get(groupId) as GroupDescription)
  }

  /** What a group has committed, sorted; nothing for one that does not exist. */
  async offsets(groupId: string): Promise<readonly CommittedOffset[]> {
    return this.coordinators.askOne(groupId, async (connection) => {
      const asked = { groupId, memberId: null, memberEpoch: -1, topics: null }
      const answer = await connection.send(OffsetFetchApi, (version) =>
        version < MANY_GROUPS
          ? { groupId, topics: null, groups: [], requireStable: false }
          : { groupId: '', topics: [], groups: [asked], requireStable: false },
      )
      const isNewer = answer.groups.length > 0
      const group = isNewer ? answer.groups.find((one) => one.groupId === groupId) : answer
      refuse(group, `offsets of group ${groupId}`)
      return committedOffsets(group?.topics ?? [])
    })
  }

  /**
   * Commits offsets for a group that has no members; a group that does not exist begins to. Resolves once they are replicated. Some may be committed
   * although it rejects: with UNKNOWN_MEMBER_ID when the group has members.
   */
  async alterOffsets(groupId: string, offsets: readonly NewOffset[]): Promise<void> {
    for (const { topic, partition, offset } of offsets)
      if (!Number.isSafeInteger(offset) || offset < 0)
        throw new MillraceError('CONFIG_INVALID', `${offset} is no offset for topic ${topic} partition ${partition}`, {
          fix: 'Give a whole number of at least 0.',
        })
    const request = {
      groupId,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      groupInstanceId: null,
      retentionTimeMs: -1,
      topics: byTopic(offsets).map(([name, partitions]) => ({
        name,
        topicId: ZERO_UUID,
        partitions: partitions.map(({ partition, offset, metadata }) => ({
          partitionIndex: partition,
          committedOffset: offset,
          committedLeaderEpoch: -1,
          committedMetadata: metadata ?? '',
        })),
      })),
    }
    await this.coordinators.askOne(groupId, async (connection) => {
      const answer = await connection.send(OffsetCommitApi, request)
      refuseEach(answer.topics, offsets, `offset of group ${groupId}`)
    })
  }

  /** Deletes what a group has committed for partitions of topics that no member of it is subscribed to (else GROUP_SUBSCRIBED_TO_TOPIC). */
  async deleteOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<void> {
    const topics = byTopic(partitions).map(([name, named]) => ({
      name,
      partitions: named.map(({ partition }) => ({ partitionIndex: partition })),
    }))
    await this.coordinators.askOne(groupId, async (connection) => {
      const answer = await connection.send(OffsetDeleteApi, { groupId, topics })
      refuse(answer, `group ${groupId}`)
      refuseEach(answer.topics, partitions, `offset of group ${groupId}`)
    })
  }

  /**
   * Deletes a group that has no members (else NON_EMPTY_GROUP), with its offsets. One that is gone after a try whose answer was lost counts as
   * deleted.
   */
  async delete(groupId: string): Promise<void> {
    let uncertain = false
    await this.coordinators.askOne(groupId, async (connection) => {
      try {
        const { results } = await connection.send(DeleteGroupsApi, { groupsNames: [groupId] })
        const result = results.find((one) => one.groupId === groupId)
        if (!(uncertain && result?.errorCode === ErrorCode.GROUP_ID_NOT_FOUND)) refuse(result, `group ${groupId}`)
      } catch (error) {
        uncertain ||= error instanceof ConnectionError || error instanceof TimeoutError
        throw error
      }
    })
  }

  private async listOf(broker: number): Promise<readonly GroupListing[]> {
    const connection = await this.cluster.broker(this.pool, broker)
    const answer = await connection.send(ListGroupsApi, { statesFilter: [], typesFilter: [] })
    refuse(answer, `groups of broker ${broker}`)
    return answer.groups.map(({ groupId, protocolType, groupState, groupType }) => {
      this.coordinators.learn(groupId, { id: broker, ...connection.address })
      return { groupId, protocolType, state: groupState, type: groupType.toLowerCase() }
    })
  }
}

/** Groups of the newer protocol first: the others are unknown to that question, and to be asked for in the older way. */
async function describeAll(
  connection: Connection,
  groupIds: readonly string[],
  coordinator: Coordinator,
): Promise<ReadonlyMap<string, GroupDescription>> {
  const found = new Map<string, GroupDescription>()
  if (connection.serves(ConsumerGroupDescribeApi)) {
    const { groups } = await connection.send(ConsumerGroupDescribeApi, {
      groupIds: [...groupIds],
      includeAuthorizedOperations: false,
    })
    for (const group of groups) {
      if (IS_NO_CONSUMER_GROUP.has(group.errorCode)) continue
      refuse(group, `group ${group.groupId}`)
      found.set(group.groupId, fromConsumerGroup(group, coordinator))
    }
  }
  const others = groupIds.filter((groupId) => !found.has(groupId))
  if (others.length === 0) return found
  const { groups } = await connection.send(DescribeGroupsApi, { groups: others, includeAuthorizedOperations: false })
  for (const groupId of others) {
    const group = groups.find((one) => one.groupId === groupId)
    if (group?.errorCode !== ErrorCode.GROUP_ID_NOT_FOUND) refuse(group, `group ${groupId}`)
    if (group !== undefined) found.set(groupId, fromClassicGroup(group, coordinator))
  }
  return found
}

const IS_NO_CONSUMER_GROUP: ReadonlySet<number> = new Set([ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.UNSUPPORTED_VERSION])

type FetchedTopics = OffsetFetchResponse['topics']

/** Partitions without a committed offset, which have -1, are left out. */
function committedOffsets(topics: FetchedTopics): readonly CommittedOffset[] {
  const offsets: CommittedOffset[] = []
  for (const { name, partitions } of topics)
    for (const { partitionIndex, committedOffset, committedLeaderEpoch, metadata, errorCode } of partitions) {
      refuse({ errorCode }, `offset of topic ${name} partition ${partitionIndex}`)
      if (committedOffset < 0) continue
      const committed = { offset: committedOffset, leaderEpoch: committedLeaderEpoch, metadata: metadata ?? '' }
      offsets.push({ topic: name, partition: partitionIndex, ...committed })
    }
  return sorted(offsets)
}

interface AnsweredTopic {
  readonly name: string
  readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[]
}

/** Throws for the first partition that was refused or left out. */
function refuseEach(topics: readonly AnsweredTopic[], asked: readonly TopicPartition[], what: string): void {
  const answers = new Map(
    topics.flatMap(({ name, partitions }) => partitions.map((one) => [`${name}/${one.partitionIndex}`, one] as const)),
  )
  for (const { topic, partition } of asked)
    refuseFinally(answers.get(`${topic}/${partition}`), `${what} for topic ${topic} partition ${partition}`)
}

function byTopic<T extends TopicPartition>(partitions: readonly T[]): readonly (readonly [string, readonly T[]])[] {
  return [...Map.groupBy(partitions, ({ topic }) => topic)]
}
