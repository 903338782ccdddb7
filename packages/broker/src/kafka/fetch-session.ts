import type { Uuid } from '@millrace/base'
import type { FetchRequest } from '@millrace/protocol'
import { FetchPartition } from './purgatory/fetch-partition.ts'

type AskedTopic = FetchRequest['topics'][number]
type AskedPartition = AskedTopic['partitions'][number]
type ForgottenTopic = FetchRequest['forgottenTopicsData'][number]

/** The epoch after `epoch`; 0 and below are requests for something else. */
function nextEpoch(epoch: number): number {
  return epoch === 0x7fff_ffff ? 1 : epoch + 1
}

/** A topic of a session, named as the session's versions name topics. The name of one by id is '' until the id is known. */
export interface SessionTopic {
  name: string
  readonly id: Uuid
}

/** One partition of a session: what the client asks of it, and what it was told last. */
export class SessionPartition extends FetchPartition {
  readonly topic: SessionTopic
  private toldHighWatermark = -1
  private toldLogStart = -1

  constructor(topic: SessionTopic, asked: AskedPartition) {
    super(asked)
    this.topic = topic
  }

  /** The client was told how another one, of the same partition, stands. */
  toldAs({ highWatermark, logStart, diverging }: FetchPartition): void {
    this.toldHighWatermark = diverging === null ? highWatermark : -1
    this.toldLogStart = logStart
  }

  /**
   * Whether the client does not know yet how the partition stands, which it is told now. After an error the watermark that it was told counts for
   * nothing, so that the end of the error is told too.
   */
  tell(): boolean {
    const told =
      this.bytes > 0 ||
      this.highWatermark !== this.toldHighWatermark ||
      this.logStart !== this.toldLogStart ||
      this.error !== 0 ||
      this.preferredReplica >= 0 ||
      this.diverging !== null
    this.toldAs(this)
    return told
  }
}

/** Who answers a request of a session while it lasts. */
export interface SessionFetch {
  /** Another request of the session came: this one is answered INVALID_FETCH_SESSION_EPOCH. */
  interrupt(): void
}

/**
 * The partitions that one client fetches again and again (KIP-227), so that its requests name only what changes, and their answers too. Its
 * partitions are what its fetches read into and wait with: a fetch that is parked holds nothing of its own per partition.
 */
export class FetchSession {
  readonly id: number
  readonly usesTopicIds: boolean
  readonly createdUs: number
  /** What the next request must carry. */
  epoch = 1
  lastUsedUs: number
  /** The request that is being answered. */
  running: SessionFetch | null = null
  private readonly topics = new Map<string, { topic: SessionTopic; partitions: Map<number, SessionPartition> }>()
  /** In the order in which they are read: who had records waits behind the others. */
  private order: SessionPartition[] = []

  constructor(id: number, usesTopicIds: boolean, nowUs: number) {
    this.id = id
    this.usesTopicIds = usesTopicIds
    this.createdUs = nowUs
    this.lastUsedUs = nowUs
  }

  /** Live; replaced by the next change. */
  get partitions(): readonly SessionPartition[] {
    return this.order
  }

  get size(): number {
    return this.order.length
  }

  /** How many partitions the session would have more, forgotten ones not counted. */
  growth(topics: readonly AskedTopic[]): number {
    let more = 0
    for (const asked of topics) {
      const known = this.topics.get(this.keyOf(asked))?.partitions
      for (const { partition } of asked.partitions) if (known === undefined || !known.has(partition)) more++
    }
    return more
  }

  /** What the request adds, asks otherwise or forgets. */
  update(topics: readonly AskedTopic[], forgotten: readonly ForgottenTopic[]): void {
    for (const asked of topics) {
      const { topic, partitions } = this.topicOf(asked)
      for (const one of asked.partitions) {
        const known = partitions.get(one.partition)
        if (known !== undefined) {
          known.ask(one)
          continue
        }
        const added = new SessionPartition(topic, one)
        partitions.set(one.partition, added)
        this.order.push(added)
      }
    }
    const gone = new Set<SessionPartition>()
    for (const asked of forgotten) this.forget(asked, gone)
    if (gone.size > 0) this.order = this.order.filter((partition) => !gone.has(partition))
  }

  /** How the partitions stood in the full answer with which the session began. */
  told(partitions: readonly FetchPartition[]): void {
    let at = 0
    // A partition that was named twice is one.
    const whole = partitions.length === this.order.length
    for (const one of this.order) {
      const answered = whole ? partitions[at++] : undefined
      if (answered !== undefined) one.toldAs(answered)
    }
  }

  advance(): void {
    this.epoch = nextEpoch(this.epoch)
  }

  /** A request is over: nothing is held for it, and who had records is read last the next time. */
  rest(): void {
    this.running = null
    let served = 0
    for (const { bytes } of this.order) if (bytes > 0) served++
    if (served > 0 && served < this.order.length) {
      const behind = this.order.filter(({ bytes }) => bytes > 0)
      this.order = [...this.order.filter(({ bytes }) => bytes === 0), ...behind]
    }
    for (const partition of this.order) partition.rest()
  }

  private forget(asked: ForgottenTopic, gone: Set<SessionPartition>): void {
    const key = this.keyOf(asked)
    const topic = this.topics.get(key)
    if (topic === undefined) return
    for (const index of asked.partitions) {
      const partition = topic.partitions.get(index)
      if (partition === undefined) continue
      topic.partitions.delete(index)
      gone.add(partition)
    }
    if (topic.partitions.size === 0) this.topics.delete(key)
  }

  private topicOf(asked: AskedTopic): { topic: SessionTopic; partitions: Map<number, SessionPartition> } {
    const key = this.keyOf(asked)
    let found = this.topics.get(key)
    if (found === undefined) {
      found = { topic: { name: asked.topic, id: asked.topicId }, partitions: new Map() }
      this.topics.set(key, found)
    }
    return found
  }

  private keyOf({ topic, topicId }: { readonly topic: string; readonly topicId: Uuid }): string {
    return this.usesTopicIds ? topicId : topic
  }
}
