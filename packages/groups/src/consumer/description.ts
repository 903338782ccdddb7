import { ErrorCode } from '@millrace/base'
import type { Uuid } from '@millrace/base'
import { NO_PARTITIONS } from '../assignors/assignment.ts'
import type { DescribeConsumerGroupResponse, GroupMemberView, NamedPartitions, TopicsView } from '../seams.ts'
import type { ConsumerGroupState } from './group-state.ts'
import type { Member } from './member.ts'

const CLASSIC_MEMBER = 0
const CONSUMER_MEMBER = 1

/** A group as ConsumerGroupDescribe tells it; partitions of topics that are gone are left out, they have no name any more. */
export function describeGroup(
  state: ConsumerGroupState,
  topics: TopicsView,
  assignor: string,
): DescribeConsumerGroupResponse {
  return {
    error: ErrorCode.NONE,
    message: null,
    state: state.state(),
    epoch: state.epoch,
    assignmentEpoch: state.targetEpoch,
    assignor,
    members: [...state.members.values()].map((member) => describeMember(member, state, topics)),
  }
}

/** The members for the node itself, each with what it has now. */
export function consumerRoster(state: ConsumerGroupState, topics: TopicsView): GroupMemberView[] {
  return Array.from(state.members.values(), ({ memberId, facts, current }) => ({
    memberId,
    groupInstanceId: facts.instanceId,
    clientId: facts.clientId,
    clientHost: facts.clientHost,
    assigned: named(
      Array.from(current.assigned, ([id, partitions]) => [id, [...partitions.keys()]]),
      topics,
    ),
  }))
}

function describeMember(
  { memberId, facts, current }: Member,
  state: ConsumerGroupState,
  topics: TopicsView,
): DescribeConsumerGroupResponse['members'][number] {
  const assigned = [...current.assigned].map(([id, partitions]): [Uuid, number[]] => [id, [...partitions.keys()]])
  return {
    memberId,
    instanceId: facts.instanceId,
    rackId: facts.rackId,
    clientId: facts.clientId,
    clientHost: facts.clientHost,
    memberEpoch: current.memberEpoch,
    topicNames: facts.topicNames,
    topicRegex: facts.topicRegex,
    assignment: named(assigned, topics),
    targetAssignment: named(state.targets.get(memberId) ?? NO_PARTITIONS, topics),
    memberType: facts.classic === null ? CONSUMER_MEMBER : CLASSIC_MEMBER,
  }
}

function named(partitions: Iterable<readonly [Uuid, readonly number[]]>, topics: TopicsView): NamedPartitions[] {
  return [...partitions].flatMap(([topicId, numbers]) => {
    const topic = topics.byId(topicId)
    return topic === null ? [] : [{ topicId, topic: topic.name, partitions: numbers }]
  })
}
