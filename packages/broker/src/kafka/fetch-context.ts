import { ErrorCode, type Uuid } from '@millrace/base'
import type { FetchRequest } from '@millrace/protocol'
import type { Replica } from '../seams.ts'
import { IDS_SINCE } from './fetch-response.ts'
import type { FetchedTopic } from './fetch-response.ts'
import { type FetchSession, type SessionFetch, SessionPartition } from './fetch-session.ts'
import { FetchPartition, type FetchTerms } from './purgatory/fetch-partition.ts'
import type { Services } from './services.ts'

const NO_SESSION = 0
/** Epochs of requests that name all their partitions: one ends its session if it has any, the other would have a new one. */
const FINAL_EPOCH = -1
const INITIAL_EPOCH = 0

/** What a fetch reads, and what of it is answered. */
export interface FetchContext {
  readonly partitions: readonly FetchPartition[]
  /** Called once, when everything is read. */
  answer(): { readonly sessionId: number; readonly topics: readonly FetchedTopic[] }
  /** The fetch will be answered by this, or never; called before its end, so that it can be interrupted. */
  begun(running: SessionFetch): void
  /** The answer is written down, or nobody wants it any more. */
  over(): void
}

/** The request of one version on one broker. */
export interface FetchQuestion {
  readonly services: Services
  readonly version: number
  readonly request: FetchRequest
  readonly terms: FetchTerms
}

/**
 * What a request is about, in the order in which Kafka decides it: a request that names all its partitions ends the session that it carries; one that
 * continues a session needs that session, its epoch and its way of naming topics. Else the error of the whole answer.
 */
export function contextOf(question: FetchQuestion): FetchContext | ErrorCode {
  const { services, version, request } = question
  const { sessionId, sessionEpoch } = request
  const { fetchSessions } = services.broker
  if (sessionEpoch === FINAL_EPOCH || sessionEpoch === INITIAL_EPOCH) {
    if (sessionId !== NO_SESSION) fetchSessions.remove(sessionId)
    return sessionEpoch === FINAL_EPOCH ? new WholeFetch(question) : new FirstFetch(question)
  }
  const session = fetchSessions.get(sessionId)
  if (session === null) return ErrorCode.FETCH_SESSION_ID_NOT_FOUND
  if (session.epoch !== sessionEpoch) return ErrorCode.INVALID_FETCH_SESSION_EPOCH
  if (session.usesTopicIds !== version >= IDS_SINCE) return ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
  session.running?.interrupt()
  if (!fetchSessions.mayGrow(session.growth(request.topics))) {
    fetchSessions.remove(sessionId)
    return ErrorCode.FETCH_SESSION_ID_NOT_FOUND
  }
  session.update(request.topics, request.forgottenTopicsData)
  if (session.size === 0) {
    fetchSessions.remove(sessionId)
    return new WholeFetch(question)
  }
  fetchSessions.touch(session)
  session.advance()
  return new NextFetch(question, session)
}

/** All partitions are named and answered, and nothing is kept. */
class WholeFetch implements FetchContext {
  readonly partitions: FetchPartition[] = []
  protected readonly topics: { name: string; readonly id: Uuid; readonly partitions: FetchPartition[] }[] = []

  constructor({ services, request, terms }: FetchQuestion) {
    for (const { topic, topicId, partitions } of request.topics) {
      const mine = { name: topic, id: topicId, partitions: [] as FetchPartition[] }
      for (const asked of partitions) {
        const one = new FetchPartition(asked)
        one.begin(locate(services, mine, asked.partition, terms.byId), terms)
        mine.partitions.push(one)
        this.partitions.push(one)
      }
      this.topics.push(mine)
    }
  }

  answer(): { sessionId: number; topics: readonly FetchedTopic[] } {
    return { sessionId: NO_SESSION, topics: this.topics }
  }

  begun(): void {}

  over(): void {}
}

/** All partitions are named and answered, and a session is granted with the answer where there is room for one. */
class FirstFetch extends WholeFetch {
  private readonly question: FetchQuestion

  constructor(question: FetchQuestion) {
    super(question)
    this.question = question
  }

  override answer(): { sessionId: number; topics: readonly FetchedTopic[] } {
    return { ...super.answer(), sessionId: this.grant() }
  }

  private grant(): number {
    const { services, version, request } = this.question
    const { fetchSessions } = services.broker
    if (this.partitions.length === 0) return NO_SESSION
    const session = fetchSessions.grant({ partitions: this.partitions.length, usesTopicIds: version >= IDS_SINCE })
    if (session === null) return NO_SESSION
    const named = request.topics.map((asked, at) => ({ ...asked, topic: this.topics[at]?.name ?? '' }))
    session.update(named, [])
    session.told(this.partitions)
    fetchSessions.touch(session)
    return session.id
  }
}

/** The partitions of a session; what its client knows already is not answered. */
class NextFetch implements FetchContext {
  readonly partitions: readonly SessionPartition[]
  private readonly session: FetchSession

  constructor({ services, terms }: FetchQuestion, session: FetchSession) {
    this.session = session
    this.partitions = session.partitions
    for (const one of this.partitions) one.begin(locate(services, one.topic, one.index, terms.byId), terms)
  }

  begun(running: SessionFetch): void {
    this.session.running = running
  }

  answer(): { sessionId: number; topics: readonly FetchedTopic[] } {
    const topics: { name: string; id: Uuid; partitions: SessionPartition[] }[] = []
    let last: SessionPartition | null = null
    for (const one of this.partitions) {
      if (!one.tell()) continue
      if (last?.topic === one.topic) topics.at(-1)?.partitions.push(one)
      else topics.push({ name: one.topic.name, id: one.topic.id, partitions: [one] })
      last = one
    }
    return { sessionId: this.session.id, topics }
  }

  over(): void {
    this.session.rest()
  }
}

/** The replica that is asked for, or why it is not here. An id whose topic's name is another topic's now is INCONSISTENT_TOPIC_ID. */
function locate(
  services: Services,
  topic: { name: string; readonly id: Uuid },
  partition: number,
  byId: boolean,
): Replica | ErrorCode {
  const { replicas, image } = services.broker
  if (!byId) return replicas.find(topic.name, partition)
  const found = replicas.findById(topic.id, partition)
  if (found !== ErrorCode.UNKNOWN_TOPIC_ID) {
    if (topic.name === '') topic.name = image.topics.get(topic.id)?.name ?? ''
    return found
  }
  const renewed = topic.name !== '' && image.topicByName(topic.name) !== null
  return renewed ? ErrorCode.INCONSISTENT_TOPIC_ID : found
}
