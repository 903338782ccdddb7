import { ErrorCode } from '@millrace/base'
import type { OffsetCommitResponse } from '@millrace/groups'
import type { ClusterImage } from '@millrace/metadata'

interface AskedTopic {
  readonly name: string
  readonly partitions: readonly number[]
}

interface TopicAnswer {
  readonly name: string
  readonly partitions: { readonly partitionIndex: number; readonly errorCode: ErrorCode }[]
}

/** The errors of a request that names topics of which the coordinator hears only those that are there. */
export class TopicErrors {
  private readonly topics: readonly (AskedTopic & { readonly known: boolean })[]

  constructor(image: ClusterImage, topics: readonly AskedTopic[]) {
    this.topics = topics.map((topic) => ({ ...topic, known: image.topicByName(topic.name) !== null }))
  }

  /** The coordinator has nothing to do. */
  get noneKnown(): boolean {
    return this.topics.every(({ known }) => !known)
  }

  /** One error for all topics that are there. */
  all(error: ErrorCode): TopicAnswer[] {
    return this.topics.map((topic) => answerOf(topic, () => error))
  }

  /** The coordinator's, which are in the order of the request. */
  merged(answers: OffsetCommitResponse['topics']): TopicAnswer[] {
    let at = 0
    return this.topics.map((topic) => {
      const answer = topic.known ? answers[at++] : undefined
      return answerOf(topic, (index) => answer?.partitions[index]?.error ?? ErrorCode.UNKNOWN_SERVER_ERROR)
    })
  }
}

function answerOf(
  { name, partitions, known }: AskedTopic & { readonly known: boolean },
  error: (index: number) => ErrorCode,
): TopicAnswer {
  return {
    name,
    partitions: partitions.map((partitionIndex, index) => ({
      partitionIndex,
      errorCode: known ? error(index) : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    })),
  }
}
