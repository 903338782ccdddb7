import { ErrorCode } from '@millrace/base'
import type { OffsetFetch, OffsetFetchResponse as Fetched } from '@millrace/groups'
import { OffsetFetchApi } from '@millrace/protocol'
import type { OffsetFetchRequest, OffsetFetchResponse } from '@millrace/protocol'
import { type Asked, askGroups } from './group-questions.ts'
import type { Handler, Services } from './services.ts'

type GroupAnswer = OffsetFetchResponse['groups'][number]
type AskedTopics = readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null

interface AskedGroup {
  readonly groupId: string
  readonly memberId: string | null
  readonly memberEpoch: number
  readonly topics: AskedTopics
}

/** The first version that asks for several groups (KIP-709). */
const SEVERAL_SINCE = 8
/** The first version that has an error of the group. */
const GROUP_ERROR_SINCE = 2

/**
 * Committed offsets, -1 where there is none: but never while the coordinator does not know, because consumers begin at either end of the log
 * then. A group that is not there has no offsets, and no error. Null topics means all. In version 1 the group's error is each partition's.
 */
export function offsetFetchHandler(services: Services): Handler<OffsetFetchRequest, OffsetFetchResponse> {
  return {
    api: OffsetFetchApi,
    serve(exchange, request) {
      const { version } = exchange
      const asked = groupsOf(request, version).map(askedOf)
      askGroups<Fetched, GroupAnswer, OffsetFetchResponse>(services, exchange, asked, (answers) =>
        version >= SEVERAL_SINCE ? severalOf(answers) : oneOf(answers[0] as GroupAnswer, version),
      )
    },
  }
}

function groupsOf({ groups, groupId, topics }: OffsetFetchRequest, version: number): readonly AskedGroup[] {
  return version >= SEVERAL_SINCE ? groups : [{ groupId, memberId: null, memberEpoch: -1, topics }]
}

function askedOf({ groupId, memberId, memberEpoch, topics }: AskedGroup): Asked<Fetched, GroupAnswer> {
  const fetch: Omit<OffsetFetch, 'reply'> = {
    kind: 'offsetFetch',
    groupId,
    memberId,
    memberEpoch,
    topics: topics?.map(({ name, partitionIndexes }) => ({ name, partitions: partitionIndexes })) ?? null,
  }
  return {
    groupId,
    request: (reply) => ({ ...fetch, reply }),
    answered: (fetched) => (fetched.error === ErrorCode.NONE ? found(groupId, fetched) : failed(fetch, fetched.error)),
    failed: (error) => failed(fetch, error),
  }
}

function found(groupId: string, { topics }: Fetched): GroupAnswer {
  return {
    groupId,
    errorCode: ErrorCode.NONE,
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partition, offset, leaderEpoch, metadata, error }) => ({
        partitionIndex: partition,
        committedOffset: offset,
        committedLeaderEpoch: leaderEpoch,
        metadata,
        errorCode: error,
      })),
    })),
  }
}

function failed({ groupId, topics }: Omit<OffsetFetch, 'reply'>, errorCode: ErrorCode): GroupAnswer {
  const unknown = { committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode }
  return {
    groupId,
    errorCode,
    topics: (topics ?? []).map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((partitionIndex) => ({ partitionIndex, ...unknown })),
    })),
  }
}

/** A group that has an error of its own has no topics. */
function severalOf(answers: readonly GroupAnswer[]): OffsetFetchResponse {
  const groups = answers.map((answer) => (answer.errorCode === ErrorCode.NONE ? answer : { ...answer, topics: [] }))
  return { throttleTimeMs: 0, topics: [], errorCode: ErrorCode.NONE, groups }
}

function oneOf({ errorCode, topics }: GroupAnswer, version: number): OffsetFetchResponse {
  const bare = errorCode !== ErrorCode.NONE && version >= GROUP_ERROR_SINCE
  return { throttleTimeMs: 0, topics: bare ? [] : topics, errorCode, groups: [] }
}
