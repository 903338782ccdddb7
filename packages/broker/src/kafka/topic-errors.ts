import { ErrorCode } from '@millrace/base'
import type { Uuid } from '@millrace/base'
import type { OffsetCommitResponse } from '@millrace/groups'
import type { ClusterImage, TopicImage } from '@millrace/metadata'

/** How a request names its topics. */
export type Naming = 'byName' | 'byId'

interface NamedTopic {
  readonly name: string
  readonly topicId: Uuid
}

interface AskedTopic extends NamedTopic {
  readonly partitions: readonly number[]
}

interface TopicAnswer extends NamedTopic {
  readonly partitions: { readonly partitionIndex: number; readonly errorCode: ErrorCode }[]
}

/** The topic that a request names; null where it is not there. */
export function namedTopic(image: ClusterImage, { name, topicId }: NamedTopic, naming: Naming): TopicImage | null {
  return naming === 'byName' ? image.topicByName(name) : (image.topics.get(topicId) ?? null)
}

/** What is said of a topic that is not there. */
export function unknownTopic(naming: Naming): ErrorCode {
  return naming === 'byName' ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.UNKNOWN_TOPIC_ID
}

/** The errors of a request that names topics of which the coordinator hears only those that are there. */
export class TopicErrors {
  private readonly topics: readonly (AskedTopic & { readonly known: boolean })[]
  private readonly unknown: ErrorCode

  constructor(image: ClusterImage, topics: readonly AskedTopic[], naming: Naming) {
    this.topics = topics.map((topic) => ({ ...topic, known: namedTopic(image, topic, naming) !== null }))
    this.unknown = unknownTopic(naming)
  }

  /** The coordinator has nothing to do. */
  get noneKnown(): boolean {
    return this.topics.every(({ known }) => !known)
  }

  /** One error for all topics that are there. */
  all(error: ErrorCode): TopicAnswer[] {
    return this.topics.map((topic) => this.answerOf(topic, () => error))
  }

  /** The coordinator's, which are in the order of the request. */
  merged(answers: OffsetCommitResponse['topics']): TopicAnswer[] {
    let at = 0
    return this.topics.map((topic) => {
      const answer = topic.known ? answers[at++] : undefined
      return this.answerOf(topic, (index) => answer?.partitions[index]?.error ?? ErrorCode.UNKNOWN_SERVER_ERROR)
    })
  }

  private answerOf(
    { name, topicId, partitions, known }: AskedTopic & { readonly known: boolean },
    error: (index: number) => ErrorCode,
  ): TopicAnswer {
    return {
      name,
      topicId,
      partitions: partitions.map((partitionIndex, index) => ({
        partitionIndex,
        errorCode: known ? error(index) : this.unknown,
      })),
    }
  }
}
