import type { ErrorCode } from '@millrace/base'
import type { DescribeConsumerGroupResponse as Described, NamedPartitions } from '@millrace/groups'
import { ConsumerGroupDescribeApi, OPERATIONS_NOT_ASKED } from '@millrace/protocol'
import type { ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse } from '@millrace/protocol'
import { type Asked, askGroups } from './group-questions.ts'
import { GROUP_OPERATIONS } from './operations.ts'
import type { Handler, Services } from './services.ts'

type GroupAnswer = ConsumerGroupDescribeResponse['groups'][number]
type Assignment = GroupAnswer['members'][number]['assignment']

/** Consumer groups (KIP-848) and their members. A classic group is GROUP_ID_NOT_FOUND here, so that tools ask DescribeGroups about it. */
export function consumerGroupDescribeHandler(
  services: Services,
): Handler<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse> {
  return {
    api: ConsumerGroupDescribeApi,
    serve(exchange, { groupIds, includeAuthorizedOperations }) {
      const operations = includeAuthorizedOperations ? GROUP_OPERATIONS : OPERATIONS_NOT_ASKED
      const asked = groupIds.map((groupId) => askedOf(groupId, operations))
      askGroups<Described, GroupAnswer, ConsumerGroupDescribeResponse>(services, exchange, asked, (groups) => ({
        throttleTimeMs: 0,
        groups: [...groups],
      }))
    },
  }
}

function askedOf(groupId: string, authorizedOperations: number): Asked<Described, GroupAnswer> {
  return {
    groupId,
    request: (reply) => ({ kind: 'describeConsumerGroup', groupId, reply }),
    answered: (described) => ({ groupId, authorizedOperations, ...describedOf(described) }),
    failed: (errorCode: ErrorCode) => ({ groupId, authorizedOperations, errorCode, ...NOTHING }),
  }
}

const NOTHING = { errorMessage: null, groupState: '', groupEpoch: 0, assignmentEpoch: 0, assignorName: '', members: [] }

function describedOf(described: Described): Omit<GroupAnswer, 'groupId' | 'authorizedOperations'> {
  const { error, message, state, epoch, assignmentEpoch, assignor, members } = described
  return {
    errorCode: error,
    errorMessage: message,
    groupState: state,
    groupEpoch: epoch,
    assignmentEpoch,
    assignorName: assignor,
    members: members.map(({ topicNames, topicRegex, assignment, targetAssignment, ...member }) => ({
      ...member,
      subscribedTopicNames: [...topicNames],
      subscribedTopicRegex: topicRegex,
      assignment: assignmentOf(assignment),
      targetAssignment: assignmentOf(targetAssignment),
    })),
  }
}

function assignmentOf(partitions: readonly NamedPartitions[]): Assignment {
  return {
    topicPartitions: partitions.map((one) => ({
      topicId: one.topicId,
      topicName: one.topic,
      partitions: [...one.partitions],
    })),
  }
}
