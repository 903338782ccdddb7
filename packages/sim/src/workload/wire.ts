import {
  type Address,
  type ByteHandler,
  type ByteStream,
  type ByteStreams,
  ErrorCode,
  type Timer,
} from '@millrace/base'
import {
  type Api,
  ApiVersionsApi,
  decodeResponse,
  encodeRequest,
  FetchApi,
  OffsetCommitApi,
  OffsetFetchApi,
  ProduceApi,
} from '@millrace/protocol'
import type { Draw } from '../run/draw.ts'
import { type Life, type Schedule, Violation } from '../seams.ts'
import { FrameReader } from './frame-reader.ts'

/** What a client's connections share. */
export interface WireParts {
  readonly schedule: Schedule
  readonly streams: ByteStreams
  readonly life: Life
  readonly draw: Draw
  readonly clientId: string
  /** How long a request may take; then the connection is closed, as Kafka's clients do. */
  readonly requestTimeoutUs: number
}

/** Who a connection tells of itself. */
export interface WireOwner {
  /** ApiVersions are known, or there is room to write again. */
  ready(): void
  /** Once, and last, after all requests were answered with null. */
  closed(): void
}

interface Pending {
  readonly correlationId: number
  readonly api: Api
  readonly version: number
  readonly dueUs: number
  /** Null: nobody knows what became of the request. */
  readonly answer: (response: unknown) => void
}

/** The last versions that name topics by name, as clients here do that do not ask for others. */
const NAMES_TOPICS_UNTIL: ReadonlyMap<number, number> = new Map([
  [FetchApi.key, 12],
  [ProduceApi.key, 12],
  [OffsetCommitApi.key, 9],
  [OffsetFetchApi.key, 9],
])

/**
 * One connection of a Kafka client: asks for the broker's versions first, then any number of requests at a time, which a broker answers in their order.
 * What does not follow the protocol is a violation, because the network under it neither loses nor changes bytes.
 */
export class WireConnection implements ByteHandler {
  readonly id: number
  readonly address: Address
  private readonly parts: WireParts
  private readonly owner: WireOwner
  private readonly stream: ByteStream
  private readonly frames = new FrameReader((frame) => this.take(frame))
  private readonly ranges = new Map<number, readonly [number, number]>()
  private readonly chosen = new Map<number, number>()
  private pending: Pending[] = []
  private nextCorrelationId = 0
  private blocked = false
  private known = false
  private over = false
  private watch: Timer | null = null

  constructor(id: number, address: Address, parts: WireParts, owner: WireOwner) {
    this.id = id
    this.address = address
    this.parts = parts
    this.owner = owner
    this.stream = parts.streams.connect(address, this)
    this.askVersions()
  }

  get ready(): boolean {
    return this.known && !this.blocked && !this.over
  }

  /**
   * The version of an API for this connection, drawn from what both sides can, the newest half of the time. `floor` and `ceiling` are the first and the last version
   * that will do; 0 is no answer where there is none.
   */
  version(api: Api, floor = 0, ceiling = NAMES_TOPICS_UNTIL.get(api.key) ?? api.versions[1]): number {
    const chosen = this.chosen.get(api.key)
    if (chosen !== undefined && chosen >= floor && chosen <= ceiling) return chosen
    const [least, most] = this.ranges.get(api.key) ?? [0, -1]
    const from = Math.max(api.versions[0], least, floor)
    const to = Math.min(ceiling, most)
    if (from > to)
      throw new Violation(
        'wire-versions',
        `no version of ${api.name} from ${floor} on is served, only ${least} to ${most}`,
      )
    const { draw } = this.parts
    const version = draw.chance(50) ? to : draw.between(from, to)
    this.chosen.set(api.key, version)
    return version
  }

  /**
   * `answer` is called once, in a later turn, unless the client's life ends: with null when nobody knows what became of the request. It may take `moreUs` longer than
   * the client's other requests.
   */
  // oxlint-disable-next-line max-params -- a request, its answer, and how long that may take.
  ask<Q, R>(api: Api<Q, R>, version: number, request: Q, answer: (response: R | null) => void, moreUs = 0): void {
    const { schedule, clientId, requestTimeoutUs } = this.parts
    const correlationId = this.nextCorrelationId++
    const dueUs = schedule.nowUs + requestTimeoutUs + moreUs
    this.pending.push({ correlationId, api, version, dueUs, answer: answer as (response: unknown) => void })
    if (this.over) schedule.post(0, this.parts.life, () => this.failAll())
    else this.write(encodeRequest(api, version, correlationId, clientId, request))
    this.watchFrom(dueUs)
  }

  /** A request without an answer: a produce with acks 0. */
  tell<Q>(api: Api<Q>, version: number, request: Q): void {
    if (!this.over) this.write(encodeRequest(api, version, this.nextCorrelationId++, this.parts.clientId, request))
  }

  /** Reads nothing for a while: a client that is slow. */
  rest(forUs: number): void {
    if (this.over) return
    this.stream.pause()
    this.parts.schedule.post(forUs, this.parts.life, () => {
      if (!this.over) this.stream.resume()
    })
  }

  close(): void {
    if (this.over) return
    this.stream.close()
    this.finish()
  }

  opened(): void {
    // What was written before is on its way already.
  }

  data(chunk: Uint8Array): void {
    if (!this.over) this.frames.push(chunk)
  }

  drained(): void {
    this.blocked = false
    if (this.ready) this.owner.ready()
  }

  closed(): void {
    this.finish()
  }

  private write(parts: readonly Uint8Array[]): void {
    if (!this.stream.write(parts)) this.blocked = true
  }

  private askVersions(): void {
    const version = this.parts.draw.between(ApiVersionsApi.versions[0], ApiVersionsApi.versions[1])
    const request = { clientSoftwareName: 'simulator', clientSoftwareVersion: '1' }
    this.ask(ApiVersionsApi, version, request, (response) => {
      if (response === null) return
      if (response.errorCode !== ErrorCode.NONE)
        throw new Violation('wire-versions', `ApiVersions ${version} was answered with error ${response.errorCode}`)
      for (const { apiKey, minVersion, maxVersion } of response.apiKeys)
        this.ranges.set(apiKey, [minVersion, maxVersion])
      this.known = true
      if (this.ready) this.owner.ready()
    })
  }

  private take(frame: Uint8Array): void {
    if (this.over) return
    const first = this.pending.shift()
    if (first === undefined) throw new Violation('wire-order', `a broker answered what was never asked`)
    const { correlationId, value } = decode(first, frame)
    if (correlationId !== first.correlationId)
      throw new Violation('wire-order', `a broker answered request ${correlationId} before ${first.correlationId}`)
    first.answer(value)
  }

  private finish(): void {
    if (this.over) return
    this.over = true
    this.watch?.cancel()
    this.failAll()
    this.owner.closed()
  }

  private failAll(): void {
    const pending = this.pending
    this.pending = []
    for (const { answer } of pending) answer(null)
  }

  /** One timer a connection: it looks at the oldest request, and again when that one is due. */
  private watchFrom(dueUs: number): void {
    if (this.watch !== null || this.over) return
    const { schedule, life } = this.parts
    this.watch = schedule.post(Math.max(0, dueUs - schedule.nowUs), life, () => {
      this.watch = null
      const oldest = this.pending[0]
      if (oldest === undefined) return
      if (oldest.dueUs <= schedule.nowUs) this.close()
      else this.watchFrom(oldest.dueUs)
    })
  }
}

function decode({ api, version }: Pending, frame: Uint8Array): { correlationId: number; value: unknown } {
  try {
    return decodeResponse(api, version, frame)
  } catch (error) {
    throw new Violation('wire-format', `the answer to ${api.name} ${version} cannot be read: ${String(error)}`)
  }
}
