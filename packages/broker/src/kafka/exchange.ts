import { encodeResponse } from '@millrace/protocol'
import type { Api, DecodedRequest } from '@millrace/protocol'
import type { Connection } from './connection.ts'
import type { FetchMemory } from './fetch-memory.ts'

const NOTHING = new Uint8Array(0)
const PRODUCE = 0
/** Requests up to this size count as what they are. */
const SMALL_BYTES = 64 * 1024
/** A decoded list of small things takes about this much more memory than its bytes; a produce's bytes are not decoded. */
const DECODED_FACTOR = 8
/** A part of a forwarded answer is put behind a header of at most: length, correlation id, tag section. */
const HEADER_BYTES = 9

/**
 * One request on its way to its answer. A handler ends it exactly once: with a response, in silence, or by ending the connection. What
 * comes after the first end, or after the client has gone, is dropped.
 */
export class Exchange<Response = unknown> {
  readonly connection: Connection
  readonly api: Api<unknown, Response>
  readonly version: number
  readonly correlationId: number
  readonly clientId: string | null
  /** What the request counts for in the memory for requests. */
  readonly weight: number
  /** What is to be written; null for silence. */
  parts: readonly Uint8Array[] | null = null
  responseBytes = 0
  finished = false
  /** Called when the client goes away before the answer, so that a parked request does not wait for nobody. */
  onAbandoned: (() => void) | null = null
  /** What the answer's bytes lie in. Whoever writes the answer releases it. */
  memory: FetchMemory | null = null
  private frame: Uint8Array
  private readonly bodyAt: number
  private readonly bodyEnd: number

  constructor(connection: Connection, { header, bodyEnd }: DecodedRequest, frame: Uint8Array) {
    this.connection = connection
    this.api = header.api as Api<unknown, Response>
    this.version = header.apiVersion
    this.correlationId = header.correlationId
    this.clientId = header.clientId
    this.frame = frame
    this.bodyAt = header.bodyAt
    this.bodyEnd = bodyEnd
    const plain = header.apiKey === PRODUCE || frame.length <= SMALL_BYTES
    this.weight = plain ? frame.length : frame.length * DECODED_FACTOR
  }

  /** The request without its header and without what follows it in the frame, as it travelled: what is forwarded. */
  get body(): Uint8Array {
    return this.frame.subarray(this.bodyAt, this.bodyEnd)
  }

  /** The request's bytes are needed no more; whoever waits long for an answer calls this first. */
  forgetBody(): void {
    this.frame = NOTHING
  }

  respond(response: Response): void {
    if (this.finished) return
    this.respondParts(encodeResponse(this.api, this.version, this.correlationId, response))
  }

  /** A response whose body is encoded already, in the version of the request. */
  respondBody(body: Uint8Array): void {
    if (this.finished) return
    const flexible = this.api.flexible !== null && this.version >= this.api.flexible
    const length = (flexible ? HEADER_BYTES : HEADER_BYTES - 1) - 4 + body.length
    const head = Buffer.allocUnsafe(flexible ? HEADER_BYTES : HEADER_BYTES - 1)
    head.writeInt32BE(length, 0)
    head.writeInt32BE(this.correlationId, 4)
    if (flexible) head[8] = 0
    this.respondParts([head, body])
  }

  /** A whole response frame, its length included. The parts must not change until they are written. */
  respondParts(parts: readonly Uint8Array[]): void {
    if (this.finished) return
    this.parts = parts
    for (const part of parts) this.responseBytes += part.length
    this.finish()
  }

  /** Produce with acks=0 has no answer. */
  silence(): void {
    if (!this.finished) this.finish()
  }

  /** Gives up what the answer held; it is written. */
  settled(): void {
    this.parts = null
    this.forgetBody()
  }

  /** The client went away. */
  abandoned(): void {
    this.parts = null
    this.forgetBody()
    this.finished = true
    const onAbandoned = this.onAbandoned
    this.onAbandoned = null
    onAbandoned?.()
    this.memory?.release()
  }

  private finish(): void {
    this.finished = true
    this.onAbandoned = null
    this.connection.answered(this)
  }
}
