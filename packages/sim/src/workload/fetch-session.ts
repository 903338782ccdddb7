import { ErrorCode, type Uuid } from '@millrace/base'
import type { FetchRequest, FetchResponse } from '@millrace/protocol'
import { Violation } from '../seams.ts'

type AskedTopic = FetchRequest['topics'][number]
type AskedPartition = AskedTopic['partitions'][number]
type ForgottenTopic = FetchRequest['forgottenTopicsData'][number]
type AnsweredTopic = FetchResponse['responses'][number]

/** The first version of Fetch with sessions, and the first that names topics by id. */
export const SESSIONS_SINCE = 7
export const IDS_SINCE = 13
const NO_SESSION = 0
/** All partitions are named: for a session that they are in from then on, or to end the one that is carried. */
const INITIAL = 0
const FINAL = -1

/** What a request does with its session, whether that is right or not. */
export type Step = 'goes on' | 'ends' | 'repeats' | 'skips'

/** One partition of the session. */
interface Asked {
  readonly topic: string
  readonly topicId: Uuid
  readonly partition: AskedPartition
  /** As the broker told it last in this session; -1 before, and when it told an error. */
  highWatermark: number
}

/**
 * What one broker knows of a consumer's partitions (KIP-227): once a session is granted, a request names only what is asked otherwise than before and
 * what is no longer asked, and an answer only what is new. One request at a time; whenever an answer does not come or tells an error, the next request
 * names everything, and gives up the session that the broker may still have.
 */
export class ClientFetchSession {
  private id = NO_SESSION
  private epoch = INITIAL
  /** What the broker is to answer, by name, as of the request that was made last. */
  private asked: ReadonlyMap<string, Asked> = new Map()
  private byId = false
  private step: Step = 'goes on'

  /** The request for these partitions, their names and ids given, as this session makes it in a version. */
  narrow(request: FetchRequest, version: number, step: Step = 'goes on'): FetchRequest {
    const before = this.asked
    this.byId = version >= IDS_SINCE
    this.asked = this.askedOf(request)
    this.step = this.id === NO_SESSION || this.epoch === INITIAL ? 'goes on' : step
    const sessionId = this.id
    if (this.step === 'ends') return { ...request, sessionId, sessionEpoch: FINAL }
    if (this.epoch === INITIAL) return { ...request, sessionId, sessionEpoch: INITIAL }
    // What `repeats` carries would be 0, another request altogether, at the session's beginning.
    const wrong = this.step === 'repeats' && this.epoch > 1 ? this.epoch - 1 : this.epoch + 1
    const sessionEpoch = this.step === 'goes on' ? this.epoch : wrong
    return { ...request, sessionId, sessionEpoch, topics: this.news(request, before), ...this.forgotten(before) }
  }

  /** What the answer tells: all that was asked, what is new of it, or nothing. Null is no answer. Throws what a broker must not answer. */
  answered(response: FetchResponse | null): 'none' | 'all' | 'news' {
    const { step } = this
    this.step = 'goes on'
    if (response !== null && (step === 'repeats' || step === 'skips')) checkRefused(response)
    if (response === null || response.errorCode !== ErrorCode.NONE) {
      if (response?.errorCode === ErrorCode.FETCH_SESSION_ID_NOT_FOUND) this.id = NO_SESSION
      this.epoch = INITIAL
      return 'none'
    }
    const isWhole = this.epoch === INITIAL || step === 'ends'
    this.checkId(response, step)
    this.note(response.responses)
    this.id = response.sessionId
    this.epoch = this.id === NO_SESSION ? INITIAL : nextEpoch(this.epoch)
    return isWhole ? 'all' : 'news'
  }

  /** The watermark of a partition as this session knows it; -1 when it does not. */
  highWatermarkOf(topic: string, partition: number): number {
    return this.asked.get(nameOf(topic, partition))?.highWatermark ?? -1
  }

  private askedOf({ topics }: FetchRequest): ReadonlyMap<string, Asked> {
    const asked = new Map<string, Asked>()
    for (const { topic, topicId, partitions } of topics)
      for (const partition of partitions) {
        const name = nameOf(topic, partition.partition)
        const known = this.epoch === INITIAL ? null : (this.asked.get(name) ?? null)
        const isSame = known !== null && (!this.byId || known.topicId === topicId)
        asked.set(name, { topic, topicId, partition, highWatermark: isSame ? known.highWatermark : -1 })
      }
    return asked
  }

  private news({ topics }: FetchRequest, before: ReadonlyMap<string, Asked>): AskedTopic[] {
    const isNews = ({ topic, topicId }: AskedTopic, one: AskedPartition): boolean => {
      const known = before.get(nameOf(topic, one.partition))
      if (known === undefined || (this.byId && known.topicId !== topicId)) return true
      const { fetchOffset, currentLeaderEpoch } = known.partition
      return fetchOffset !== one.fetchOffset || currentLeaderEpoch !== one.currentLeaderEpoch
    }
    return topics
      .map((topic) => ({ ...topic, partitions: topic.partitions.filter((one) => isNews(topic, one)) }))
      .filter(({ partitions }) => partitions.length > 0)
  }

  /** What is no longer read, and, where topics are named by id, what was made anew. */
  private forgotten(before: ReadonlyMap<string, Asked>): { forgottenTopicsData: ForgottenTopic[] } {
    const forgottenTopicsData: ForgottenTopic[] = []
    for (const [name, { topic, topicId, partition }] of before) {
      const now = this.asked.get(name)
      if (now === undefined || (this.byId && now.topicId !== topicId))
        forgottenTopicsData.push({ topic, topicId, partitions: [partition.partition] })
    }
    return { forgottenTopicsData }
  }

  private checkId({ sessionId }: FetchResponse, step: Step): void {
    if (step === 'ends' && sessionId !== NO_SESSION)
      throw new Violation('fetch-session', `who ended session ${this.id} is answered session ${sessionId}`)
    if (step === 'goes on' && this.epoch !== INITIAL && sessionId !== this.id && sessionId !== NO_SESSION)
      throw new Violation('fetch-session', `session ${this.id} is answered as ${sessionId}`)
  }

  private note(responses: readonly AnsweredTopic[]): void {
    for (const { topic, topicId, partitions } of responses)
      for (const { partitionIndex, errorCode, highWatermark } of partitions) {
        const asked = this.find(topic, topicId, partitionIndex)
        if (asked === null)
          throw new Violation(
            'fetch-session',
            `${topic || topicId}-${partitionIndex} is answered to who does not ask for it`,
          )
        asked.highWatermark = errorCode === ErrorCode.NONE ? highWatermark : -1
      }
  }

  private find(topic: string, topicId: Uuid, partition: number): Asked | null {
    if (!this.byId) return this.asked.get(nameOf(topic, partition)) ?? null
    for (const one of this.asked.values())
      if (one.topicId === topicId && one.partition.partition === partition) return one
    return null
  }
}

/** A session goes on under one epoch alone, the next. */
function checkRefused({ errorCode }: FetchResponse): void {
  if (errorCode !== ErrorCode.INVALID_FETCH_SESSION_EPOCH && errorCode !== ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    throw new Violation('fetch-session', `an epoch that is not the session's next is answered with error ${errorCode}`)
}

function nextEpoch(epoch: number): number {
  return epoch === 0x7fff_ffff ? 1 : epoch + 1
}

function nameOf(topic: string, partition: number): string {
  return `${topic}-${partition}`
}
