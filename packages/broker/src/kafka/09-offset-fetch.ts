import { ErrorCode, ZERO_UUID } from '@millrace/base'
import type { Uuid } from '@millrace/base'
import type { OffsetFetch, OffsetFetchResponse as Fetched } from '@millrace/groups'
import type { ClusterImage } from '@millrace/metadata'
import { OffsetFetchApi } from '@millrace/protocol'
import type { OffsetFetchRequest, OffsetFetchResponse } from '@millrace/protocol'
import { type Asked, askGroups } from './group-questions.ts'
import type { Handler, Services } from './services.ts'
import { namedTopic, unknownTopic } from './topic-errors.ts'
import type { Naming } from './topic-errors.ts'

type GroupAnswer = OffsetFetchResponse['groups'][number]
type TopicAnswer = GroupAnswer['topics'][number]
type AskedGroup = OffsetFetchRequest['groups'][number]
type AskedTopic = NonNullable<AskedGroup['topics']>[number]

/** The first version that asks for several groups (KIP-709). */
const SEVERAL_SINCE = 8
/** The first version that has an error of the group. */
const GROUP_ERROR_SINCE = 2
/** The first version that names topics by id. */
const IDS_SINCE = 10

/**
 * Committed offsets, -1 where there is none: but never while the coordinator does not know, because consumers begin at either end of the log
 * then. A group that is not there has no offsets, and no error. Null topics means all. In version 1 the group's error is each partition's. From
 * version 10 on topics are named by id: one that is not there is 100, and not among all.
 */
export function offsetFetchHandler(services: Services): Handler<OffsetFetchRequest, OffsetFetchResponse> {
  return {
    api: OffsetFetchApi,
    serve(exchange, request) {
      const { version } = exchange
      const naming = version >= IDS_SINCE ? 'byId' : 'byName'
      const asked = groupsOf(request, version).map((group) => new GroupFetch(services.broker.image, group, naming))
      askGroups<Fetched, GroupAnswer, OffsetFetchResponse>(services, exchange, asked, (answers) =>
        version >= SEVERAL_SINCE ? severalOf(answers) : oneOf(answers[0] as GroupAnswer, version),
      )
    },
  }
}

function groupsOf({ groups, groupId, topics }: OffsetFetchRequest, version: number): readonly AskedGroup[] {
  if (version >= SEVERAL_SINCE) return groups
  const named = topics?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null
  return [{ groupId, memberId: null, memberEpoch: -1, topics: named }]
}

/** The offsets of one group that a request asks for. */
class GroupFetch implements Asked<Fetched, GroupAnswer> {
  readonly groupId: string
  private readonly image: ClusterImage
  private readonly naming: Naming
  private readonly member: { readonly memberId: string | null; readonly memberEpoch: number }
  /** With the names of those that are there, null for the others; null for all. */
  private readonly topics: readonly (AskedTopic & { readonly found: string | null })[] | null

  constructor(image: ClusterImage, { groupId, memberId, memberEpoch, topics }: AskedGroup, naming: Naming) {
    this.groupId = groupId
    this.image = image
    this.naming = naming
    this.member = { memberId, memberEpoch }
    const foundOf = (topic: AskedTopic): string | null =>
      naming === 'byName' ? topic.name : (namedTopic(image, topic, naming)?.name ?? null)
    this.topics = topics?.map((topic) => ({ ...topic, found: foundOf(topic) })) ?? null
  }

  request(reply: OffsetFetch['reply']): OffsetFetch {
    const { groupId, member, topics } = this
    const asked =
      topics?.flatMap(({ found, partitionIndexes }) =>
        found === null ? [] : [{ name: found, partitions: partitionIndexes }],
      ) ?? null
    return { kind: 'offsetFetch', groupId, ...member, topics: asked, reply }
  }

  answered({ error, topics }: Fetched): GroupAnswer {
    if (error !== ErrorCode.NONE) return this.failed(error)
    const { groupId } = this
    return { groupId, errorCode: error, topics: this.topics === null ? this.allOf(topics) : this.askedOf(topics) }
  }

  failed(errorCode: ErrorCode): GroupAnswer {
    return { groupId: this.groupId, errorCode, topics: (this.topics ?? []).map((topic) => failed(topic, errorCode)) }
  }

  private allOf(fetched: Fetched['topics']): TopicAnswer[] {
    return fetched.flatMap((topic) => {
      const topicId = this.image.topicByName(topic.name)?.id
      return this.naming === 'byId' && topicId === undefined ? [] : [found(topic, topicId ?? ZERO_UUID)]
    })
  }

  /** The coordinator's are in the order of the request. */
  private askedOf(fetched: Fetched['topics']): TopicAnswer[] {
    let at = 0
    return (this.topics ?? []).map((topic) => {
      const answer = topic.found === null ? undefined : fetched[at++]
      return answer === undefined ? failed(topic, unknownTopic(this.naming)) : found(answer, topic.topicId)
    })
  }
}

function found({ name, partitions }: Fetched['topics'][number], topicId: Uuid): TopicAnswer {
  return {
    name,
    topicId,
    partitions: partitions.map(({ partition, offset, leaderEpoch, metadata, error }) => ({
      partitionIndex: partition,
      committedOffset: offset,
      committedLeaderEpoch: leaderEpoch,
      metadata,
      errorCode: error,
    })),
  }
}

function failed({ name, topicId, partitionIndexes }: AskedTopic, errorCode: ErrorCode): TopicAnswer {
  const unknown = { committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode }
  return { name, topicId, partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, ...unknown })) }
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
