import { ErrorCode, ZERO_UUID } from '@millrace/base'
import type { OffsetDelete } from '@millrace/groups'
import { OffsetDeleteApi } from '@millrace/protocol'
import type { OffsetDeleteRequest, OffsetDeleteResponse } from '@millrace/protocol'
import { askGroup } from './group-questions.ts'
import type { Handler, Services } from './services.ts'
import { TopicErrors } from './topic-errors.ts'

type Deleted = Parameters<OffsetDelete['reply']>[0]

/** Deletes a group's offsets of topics that no member reads. A topic that is not there is 3; the group's own error is the answer's. */
export function offsetDeleteHandler(services: Services): Handler<OffsetDeleteRequest, OffsetDeleteResponse> {
  return {
    api: OffsetDeleteApi,
    serve(exchange, { groupId, topics: asked }) {
      const { image } = services.broker
      const topics = asked.map(({ name, partitions }) => ({
        name,
        topicId: ZERO_UUID,
        partitions: partitions.map(({ partitionIndex }) => partitionIndex),
      }))
      const known = topics.filter(({ name }) => image.topicByName(name) !== null)
      const errors = new TopicErrors(image, topics, 'byName')
      askGroup<Deleted, OffsetDeleteResponse>(services, exchange, {
        groupId,
        request: (reply) => ({ kind: 'offsetDelete', groupId, topics: known, reply }),
        answered: (deleted) =>
          deleted.error === ErrorCode.NONE
            ? { errorCode: deleted.error, throttleTimeMs: 0, topics: errors.merged(deleted.topics) }
            : failed(deleted.error),
        failed,
      })
    },
  }
}

function failed(errorCode: ErrorCode): OffsetDeleteResponse {
  return { errorCode, throttleTimeMs: 0, topics: [] }
}
