import { ErrorCode } from '@millrace/base'
import type { OffsetCommit, OffsetCommitResponse as Committed } from '@millrace/groups'
import { OffsetCommitApi } from '@millrace/protocol'
import type { OffsetCommitRequest, OffsetCommitResponse } from '@millrace/protocol'
import { askGroup } from './group-questions.ts'
import type { Handler, Services } from './services.ts'
import { namedTopic, TopicErrors } from './topic-errors.ts'
import type { Naming } from './topic-errors.ts'

/** The first version that speaks of member epochs (KIP-848). */
const EPOCHS_SINCE = 9
/** The first version that names topics by id. */
const IDS_SINCE = 10

/**
 * Commits offsets of a group; answered once every in-sync replica of the group's partition has them. Errors are per partition: a topic that
 * is not there is 3, or 100 where topics are named by id (version 10), whatever the group says. An empty group id is refused with 24: Kafka takes it, and its own tools then stumble over
 * the group without a name.
 */
export function offsetCommitHandler(services: Services): Handler<OffsetCommitRequest, OffsetCommitResponse> {
  return {
    api: OffsetCommitApi,
    serve(exchange, request) {
      const naming = exchange.version >= IDS_SINCE ? 'byId' : 'byName'
      const errors = errorsOf(services, request, naming)
      if (request.groupId === '') exchange.respond(answer(errors.all(ErrorCode.INVALID_GROUP_ID)))
      else if (errors.noneKnown) exchange.respond(answer(errors.all(ErrorCode.NONE)))
      else
        askGroup<Committed, OffsetCommitResponse>(services, exchange, {
          ...asked({ ...commitOf(services, request, naming), knowsMemberEpochs: exchange.version >= EPOCHS_SINCE }),
          answered: ({ topics }) => answer(errors.merged(topics)),
          failed: (error) => answer(errors.all(error)),
        })
    },
  }
}

function errorsOf({ broker }: Services, { topics }: OffsetCommitRequest, naming: Naming): TopicErrors {
  return new TopicErrors(
    broker.image,
    topics.map((topic) => ({ ...topic, partitions: topic.partitions.map((one) => one.partitionIndex) })),
    naming,
  )
}

function asked(commit: Omit<OffsetCommit, 'reply'>): {
  groupId: string
  request: (reply: OffsetCommit['reply']) => OffsetCommit
} {
  return { groupId: commit.groupId, request: (reply) => ({ ...commit, reply }) }
}

function commitOf(
  { broker }: Services,
  { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch, retentionTimeMs, topics }: OffsetCommitRequest,
  naming: Naming,
): Omit<OffsetCommit, 'reply' | 'knowsMemberEpochs'> {
  return {
    kind: 'offsetCommit',
    groupId,
    memberId,
    groupInstanceId,
    generation: generationIdOrMemberEpoch,
    retentionMs: retentionTimeMs,
    topics: topics.flatMap((named) => {
      const topic = namedTopic(broker.image, named, naming)
      if (topic === null) return []
      return {
        name: topic.name,
        id: topic.id,
        partitions: named.partitions.map((one) => ({
          partition: one.partitionIndex,
          offset: one.committedOffset,
          leaderEpoch: one.committedLeaderEpoch,
          metadata: one.committedMetadata ?? '',
        })),
      }
    }),
  }
}

function answer(topics: ReturnType<TopicErrors['all']>): OffsetCommitResponse {
  return { throttleTimeMs: 0, topics }
}
