import { type Address, ErrorCode } from '@millrace/base'
import {
  type Api,
  ApiVersionsApi,
  decodeResponse,
  encodeRequest,
  FetchApi,
  OffsetCommitApi,
  OffsetFetchApi,
  ProduceApi,
  responseCorrelationId,
} from '@millrace/protocol'
import { connect, type Socket } from 'node:net'
import { addressText } from './address.ts'
import { ClosedError, ConnectionError, KafkaError, ProtocolError, TimeoutError } from './errors.ts'
import { FrameAssembler } from './frame-assembler.ts'

export interface ConnectionOptions {
  readonly clientId: string
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  /** A larger frame of a broker closes the connection before it is read. */
  readonly maxFrameBytes: number
}

interface Waiting {
  readonly id: number
  readonly api: Api
  readonly version: number
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

/** A request, or how it looks in the version that both sides agreed on: some APIs put the same question into other fields. */
export type Versioned<Q> = Q | ((version: number) => Q)

type VersionRange = readonly [min: number, max: number]

/** The last versions that name topics by name, as this client does. */
const NAMES_TOPICS_UNTIL: ReadonlyMap<number, number> = new Map([
  [FetchApi.key, 12],
  [ProduceApi.key, 12],
  [OffsetCommitApi.key, 9],
  [OffsetFetchApi.key, 9],
])
const SOFTWARE = { clientSoftwareName: 'millrace-ts', clientSoftwareVersion: '0.1.0' }
/** A peer that vanished without a word is noticed after this long, even where no request waits. */
const KEEP_ALIVE_MS = 30_000

/** One socket to one broker. Requests are answered in the order they were sent; versions are agreed on at the start. */
export class Connection {
  readonly address: Address
  /** Resolves once the versions are agreed on. Rejects with `ConnectionError`, `TimeoutError`, `ProtocolError` or `KafkaError`. */
  readonly ready: Promise<this>
  private readonly socket: Socket
  private readonly options: ConnectionOptions
  /** In the order of their requests. */
  private readonly waiting: Waiting[] = []
  private readonly frames: FrameAssembler
  private versions: ReadonlyMap<number, VersionRange> = new Map()
  private correlationId = 0
  private connected = false
  private failure: Error | null = null

  constructor(address: Address, options: ConnectionOptions) {
    this.address = address
    this.options = options
    this.frames = new FrameAssembler(options.maxFrameBytes, (frame) => this.receive(frame))
    this.socket = connect({ host: address.host, port: address.port, noDelay: true })
    this.socket.setKeepAlive(true, KEEP_ALIVE_MS)
    this.ready = this.start()
    // Whoever waits for it sees the failure; nobody may be waiting.
    this.ready.catch(() => undefined)
  }

  /** False once it failed or was closed; it never opens again. */
  get open(): boolean {
    return this.failure === null
  }

  /** The version of an API that both sides know best. Throws `KafkaError` UNSUPPORTED_VERSION when there is none. */
  version(api: Api): number {
    const range = this.versions.get(api.key)
    const most = NAMES_TOPICS_UNTIL.get(api.key) ?? api.versions[1]
    const version = Math.min(most, range?.[1] ?? -1)
    if (range === undefined || version < Math.max(api.versions[0], range[0]))
      throw new KafkaError(
        ErrorCode.UNSUPPORTED_VERSION,
        `${api.name} at ${this.name}`,
        'the broker does not serve a version that this client knows',
      )
    return version
  }

  /** Whether both sides know a version of an API. */
  serves(api: Api): boolean {
    const range = this.versions.get(api.key)
    return range !== undefined && range[0] <= api.versions[1] && api.versions[0] <= range[1]
  }

  /** Rejects with `TimeoutError` when it is not answered in time; the connection is then closed, because answers come in order. */
  async send<Q, R>(api: Api<Q, R>, request: Versioned<Q>, timeoutMs = this.options.requestTimeoutMs): Promise<R> {
    const version = this.version(api)
    const asked = typeof request === 'function' ? (request as (version: number) => Q)(version) : request
    return (await this.sendAs(api, version, asked, timeoutMs)) as R
  }

  /** For requests without an answer (acks 0). Resolves once the bytes are with the operating system. */
  async sendOnly<Q>(api: Api<Q>, request: Q): Promise<void> {
    this.check()
    const parts = encodeRequest(api as Api, this.version(api as Api), this.nextId(), this.options.clientId, request)
    await new Promise<void>((resolve, reject) =>
      this.write(parts, (error) => {
        if (error) reject(this.failure ?? new ConnectionError(`${this.name}: ${error.message}`))
        else resolve()
      }),
    )
  }

  /** Breaks off what is under way with `ClosedError`. */
  close(): void {
    this.fail(new ClosedError(`the connection to ${this.name} was closed by this client`))
  }

  private get name(): string {
    return addressText(this.address)
  }

  private async start(): Promise<this> {
    const { connectTimeoutMs } = this.options
    const timer = setTimeout(
      () => this.fail(new TimeoutError(`${this.name} did not accept a connection within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    )
    try {
      await new Promise<void>((resolve, reject) => this.listen(resolve, reject))
    } finally {
      clearTimeout(timer)
    }
    try {
      await this.agree()
    } catch (error) {
      this.fail(error as Error)
      throw error
    }
    return this
  }

  private async agree(): Promise<void> {
    const timeoutMs = this.options.requestTimeoutMs
    const api = ApiVersionsApi as Api
    let answer = (await this.sendAs(api, api.versions[1], SOFTWARE, timeoutMs)) as VersionsAnswer
    if (answer.errorCode === ErrorCode.UNSUPPORTED_VERSION)
      answer = (await this.sendAs(api, 0, SOFTWARE, timeoutMs)) as VersionsAnswer
    if (answer.errorCode !== ErrorCode.NONE)
      throw new KafkaError(answer.errorCode as ErrorCode, `versions of ${this.name}`)
    this.versions = new Map(
      answer.apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, [minVersion, maxVersion]]),
    )
  }

  private sendAs(api: Api, version: number, request: unknown, timeoutMs: number): Promise<unknown> {
    this.check()
    const id = this.nextId()
    const parts = encodeRequest(api, version, id, this.options.clientId, request)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.fail(new TimeoutError(`${api.name} was not answered by ${this.name} within ${timeoutMs} ms`)),
        timeoutMs,
      )
      this.waiting.push({ id, api, version, resolve, reject, timer })
      this.write(parts)
    })
  }

  private check(): void {
    if (this.failure !== null) throw this.failure
  }

  private nextId(): number {
    this.correlationId = (this.correlationId + 1) & 0x7fffffff
    return this.correlationId
  }

  private write(parts: readonly Uint8Array[], done?: (error?: Error | null) => void): void {
    this.socket.cork()
    parts.forEach((part, at) => this.socket.write(part, at === parts.length - 1 ? done : undefined))
    this.socket.uncork()
  }

  private listen(connected: () => void, refused: (error: Error) => void): void {
    this.socket.once('connect', () => {
      this.connected = true
      connected()
    })
    this.socket.on('data', (chunk) => this.take(chunk))
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      const reason = error.message === '' ? (error.code ?? 'unknown error') : error.message
      this.fail(
        new ConnectionError(
          this.connected
            ? `the connection to ${this.name} broke: ${reason}`
            : `could not connect to ${this.name}: ${reason}`,
        ),
      )
    })
    this.socket.on('close', () => {
      this.fail(new ConnectionError(`the connection to ${this.name} was closed by the broker`))
      refused(this.failure as Error)
    })
  }

  private take(chunk: Buffer): void {
    if (this.failure !== null) return
    try {
      this.frames.push(chunk)
    } catch (error) {
      this.fail(
        error instanceof ProtocolError
          ? new ProtocolError(`${this.name}: ${error.message}`)
          : new ProtocolError(`${this.name} sent bytes that are no answer: ${String(error)}`),
      )
    }
  }

  /** Answers come in the order of the requests; anything else is a broken or hostile broker. */
  private receive(frame: Uint8Array): void {
    const id = responseCorrelationId(frame)
    const waiting = this.waiting[0]
    if (waiting === undefined || id !== waiting.id)
      throw new ProtocolError(`answered request ${id}, expected ${waiting?.id ?? 'none'}`)
    const { value } = this.decode(waiting, frame)
    this.waiting.shift()
    clearTimeout(waiting.timer)
    waiting.resolve(value)
  }

  private decode({ api, version }: Waiting, frame: Uint8Array): { readonly value: unknown } {
    try {
      return decodeResponse(api, version, frame)
    } catch (error) {
      throw new ProtocolError(`its ${api.name} answer does not decode: ${String(error)}`)
    }
  }

  private fail(error: Error): void {
    if (this.failure !== null) return
    this.failure = error
    this.socket.destroy()
    for (const { reject, timer } of this.waiting.splice(0)) {
      clearTimeout(timer)
      reject(error)
    }
  }
}

interface VersionsAnswer {
  readonly errorCode: number
  readonly apiKeys: readonly { readonly apiKey: number; readonly minVersion: number; readonly maxVersion: number }[]
}
