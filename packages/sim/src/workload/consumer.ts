import { ErrorCode, LONG_MAX, type Uuid, ZERO_UUID } from '@millrace/base'
import { FetchApi, type FetchRequest, type FetchResponse } from '@millrace/protocol'
import { type Operation, Violation } from '../seams.ts'
import type { Role, SimClient } from './client.ts'
import { ClientFetchSession, IDS_SINCE, SESSIONS_SINCE, type Step } from './fetch-session.ts'
import { readFetched } from './fetched.ts'
import { Lookups } from './lookups.ts'
import { Reading } from './reading.ts'
import type { WireConnection } from './wire.ts'

/** Below this version a broker does not hand out zstd; no topic of ours forbids it. */
const ZSTD_SINCE = 10
const EPOCH_SINCE = 9
const LOG_START_SINCE = 5
const BACKOFF_US = 100_000

/** Of 100 requests in a session so many carry another epoch than its next, as many end it, and as many name topics otherwise than those before. */
const STUMBLE_PERCENT = 1

/** A consumer's, without a session. */
const PLAIN_FETCH = {
  clusterId: null,
  replicaId: -1,
  replicaState: { replicaId: -1, replicaEpoch: -1 },
  sessionId: 0,
  sessionEpoch: -1,
  forgottenTopicsData: [],
  rackId: '',
}

type Topic = { topic: string; topicId: Uuid; partitions: FetchRequest['topics'][number]['partitions'][number][] }
type Answered = FetchResponse['responses'][number]['partitions'][number]

interface Asked {
  readonly reading: Reading
  readonly topicId: Uuid
  readonly from: number
  readonly epoch: number
}

/** A fetch of some partitions of one broker, on its way. */
interface Polling {
  readonly broker: number
  readonly invokedUs: number
  readonly version: number
  /** What its requests to the broker have in common; null where each stands for itself. */
  readonly session: ClientFetchSession | null
  readonly asked: readonly Asked[]
}

/** How a consumer reads; drawn for most, all there is for those that read everything in the end. */
export interface ReadingStyle {
  readonly final: boolean
  readonly maxBytes: number
  readonly partitionMaxBytes: number
  readonly minBytes: number
  readonly maxWaitMs: number
  readonly isolationLevel: 0 | 1
  readonly thinkUs: number
  /** Of 100 fetches so many are held against the leader epoch that the client knows; 100 asks for a version that can. */
  readonly fencedPercent: number
  /** Whether its requests name only what changes (KIP-227), and whether they name topics by id where the version allows it. */
  readonly sessions: boolean
  readonly topicIds: boolean
}

/** Draws how the consumers of a run use sessions and ids. */
export function drawNaming({ draw, crowd }: SimClient): Pick<ReadingStyle, 'sessions' | 'topicIds'> {
  const { sessionPercent, topicIdPercent } = crowd.rates
  return { sessions: draw.chance(sessionPercent), topicIds: draw.chance(topicIdPercent) }
}

/**
 * A consumer by assignment: one fetch a broker at a time, from where it is. It goes on from where a poll ended, follows leaders, and looks positions up when it
 * has none, or when its position is not in the log any more.
 */
export class Consumer implements Role {
  readonly readings: Reading[] = []
  private readonly client: SimClient
  private readonly style: ReadingStyle
  private readonly lookups: Lookups
  private readonly polling = new Set<number>()
  /** By broker. */
  private readonly sessions = new Map<number, ClientFetchSession>()
  private polls = 0

  constructor(client: SimClient, style: ReadingStyle) {
    this.client = client
    this.style = style
    this.lookups = new Lookups(client, style, () => this.wake())
    if (style.topicIds) client.view.wantIds()
  }

  get busy(): boolean {
    return this.polling.size > 0 || this.lookups.underWay > 0
  }

  wake(): void {
    const { client, style } = this
    if (client.crowd.quiet && !style.final) return
    for (const [broker, readings] of this.dueByLeader()) {
      const connection = client.connectionTo(broker)
      if (connection === null) continue
      for (const reading of readings) this.lookups.lookIfDue(reading, connection)
      const ready = readings.filter(({ busy, offset }) => !busy && offset !== null)
      if (ready.length > 0 && !this.polling.has(broker)) this.poll(broker, connection, ready)
    }
  }

  private dueByLeader(): Map<number, Reading[]> {
    const { view, nowUs } = this.client
    const due = new Map<number, Reading[]>()
    for (const reading of this.readings) {
      if (reading.busy || reading.notBeforeUs > nowUs) continue
      const { leader } = reading.view
      if (leader < 0) {
        view.doubt()
        continue
      }
      const known = due.get(leader)
      if (known === undefined) due.set(leader, [reading])
      else known.push(reading)
    }
    return due
  }

  private poll(broker: number, connection: WireConnection, readings: readonly Reading[]): void {
    const { client, style } = this
    const version = this.versionOver(connection, readings)
    const session = this.sessionWith(broker)
    const asked = this.inTurn(readings).map((reading) => {
      reading.busy = true
      const fenced = version >= EPOCH_SINCE && client.draw.chance(style.fencedPercent)
      const topicId = this.idOf(reading.view.topic)
      return { reading, topicId, from: reading.offset as number, epoch: fenced ? reading.view.epoch : -1 }
    })
    const polling = { broker, invokedUs: client.nowUs, version, session, asked }
    this.polling.add(broker)
    const request = this.request(asked)
    const sent = session?.narrow(request, version, this.drawStep()) ?? request
    connection.ask(FetchApi, version, sent, (response) => {
      this.polling.delete(broker)
      for (const { reading } of asked) reading.busy = false
      const counts = session?.answered(response) ?? 'all'
      if (response === null) this.retryLater(asked.map(({ reading }) => reading))
      else if (counts !== 'none') this.take(polling, response, counts)
      if (client.draw.chance(1) && !style.final) connection.rest(client.draw.between(100_000, 2_000_000))
      if (style.thinkUs > 0) client.after(style.thinkUs, () => this.wake())
      else this.wake()
    })
  }

  private versionOver(connection: WireConnection, readings: readonly Reading[]): number {
    const { client, style } = this
    const floors = [
      client.crowd.rates.codecs.includes('zstd') ? ZSTD_SINCE : 0,
      style.fencedPercent === 100 ? EPOCH_SINCE : 0,
      style.sessions ? SESSIONS_SINCE : 0,
    ]
    const known = style.topicIds && readings.every(({ view }) => client.view.idOf(view.topic) !== null)
    // Clients whose metadata tells no id of some topic go back to names, in the midst of a session too.
    const byId = known && !client.draw.chance(STUMBLE_PERCENT)
    return connection.version(FetchApi, Math.max(...floors), byId ? FetchApi.versions[1] : IDS_SINCE - 1)
  }

  private sessionWith(broker: number): ClientFetchSession | null {
    if (!this.style.sessions) return null
    let session = this.sessions.get(broker)
    if (session === undefined) this.sessions.set(broker, (session = new ClientFetchSession()))
    return session
  }

  private drawStep(): Step {
    const { client, style } = this
    if (style.final || !client.draw.chance(2 * STUMBLE_PERCENT)) return 'goes on'
    return client.draw.pick(['ends', 'ends', 'repeats', 'skips'])
  }

  /** Each time another one is first: what comes first in a fetch is served first, and an answer may be full before the last. */
  private inTurn(readings: readonly Reading[]): readonly Reading[] {
    const first = this.polls++ % readings.length
    return [...readings.slice(first), ...readings.slice(0, first)]
  }

  private request(asked: readonly Asked[]): FetchRequest {
    const { maxWaitMs, minBytes, maxBytes, partitionMaxBytes, isolationLevel } = this.style
    const topics: Topic[] = []
    for (const { reading, topicId, from, epoch } of asked) {
      const { topic: name, partition } = reading.view
      let topic = topics.find((each) => each.topic === name)
      if (topic === undefined) topics.push((topic = { topic: name, topicId, partitions: [] }))
      topic.partitions.push({
        partition,
        currentLeaderEpoch: epoch,
        fetchOffset: from,
        lastFetchedEpoch: -1,
        logStartOffset: -1,
        partitionMaxBytes,
        replicaDirectoryId: ZERO_UUID,
        highWatermark: LONG_MAX,
      })
    }
    return { ...PLAIN_FETCH, maxWaitMs, minBytes, maxBytes, isolationLevel, topics }
  }

  private idOf(topic: string): Uuid {
    return (this.style.topicIds ? this.client.view.idOf(topic) : null) ?? ZERO_UUID
  }

  private take(polling: Polling, response: FetchResponse, counts: 'all' | 'news'): void {
    for (const one of polling.asked) {
      const { topic, partition } = one.reading.view
      const answer = answerTo(one, polling.version, response)
      if (answer === undefined && counts === 'all')
        throw new Violation('wire-format', `a fetch from ${topic}-${partition} was not answered`)
      // Somebody may have moved the reading, or taken it away, while the fetch was on its way.
      if (!this.readings.includes(one.reading) || one.reading.offset !== one.from) continue
      if (answer === undefined) one.reading.atEnd = polling.session?.highWatermarkOf(topic, partition) === one.from
      else this.takePartition(polling, one, answer)
    }
  }

  private takePartition(polling: Polling, one: Asked, answer: Answered): void {
    const { reading, from } = one
    const { errorCode } = answer
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
      this.record(polling, one, answer, [])
      return reading.moveTo('earliest')
    }
    if (errorCode !== ErrorCode.NONE) return this.retryLater([reading])
    const fetched = readFetched(answer.records, from)
    reading.atEnd = fetched.batches === 0 && answer.highWatermark === from
    if (fetched.batches === 0) return
    if (fetched.values.length === 0)
      throw new Violation(
        'useless-fetch',
        `a fetch from ${reading.view.topic}-${reading.view.partition} at ${from} gave only batches before it`,
      )
    this.record(polling, one, answer, [...fetched.values])
    reading.offset = fetched.next
    reading.batchEpoch = fetched.leaderEpoch
    reading.moved = false
  }

  private record(
    { invokedUs, version }: Polling,
    { reading, from, epoch }: Asked,
    { errorCode, highWatermark, logStartOffset }: Answered,
    values: Operation['values'],
  ): void {
    const { client, style } = this
    client.crowd.ended({
      client: client.name,
      kind: 'poll',
      invokedUs,
      endedUs: client.nowUs,
      outcome: errorCode === ErrorCode.NONE ? 'ok' : 'fail',
      topic: reading.view.topic,
      partition: reading.view.partition,
      values,
      from,
      epoch,
      moved: reading.moved,
      error: errorCode,
      highWatermark,
      logStart: version >= LOG_START_SINCE ? logStartOffset : -1,
      final: style.final,
    })
  }

  private retryLater(readings: readonly Reading[]): void {
    const { client } = this
    client.view.doubt()
    const waitUs = client.draw.between(BACKOFF_US / 4, BACKOFF_US)
    for (const reading of readings) reading.notBeforeUs = client.nowUs + waitUs
    client.after(waitUs, () => this.wake())
  }
}

function answerTo({ reading, topicId }: Asked, version: number, { responses }: FetchResponse): Answered | undefined {
  const { topic, partition } = reading.view
  return responses
    .find((each) => (version >= IDS_SINCE ? each.topicId === topicId : each.topic === topic))
    ?.partitions.find(({ partitionIndex }) => partitionIndex === partition)
}
