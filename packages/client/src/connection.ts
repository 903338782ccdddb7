import type { Address } from '@millrace/base'
import { type Api, ApiVersionsApi, decodeResponse, encodeRequest } from '@millrace/protocol'
import { ErrorCode } from '@millrace/base'
import { connect, type Socket } from 'node:net'
import { ConnectionError, KafkaError, ProtocolError, TimeoutError } from './errors.ts'
import { FrameAssembler } from './frame-assembler.ts'

export interface ConnectionOptions {
  readonly clientId: string
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  /** A larger frame of a broker closes the connection before it is read. */
  readonly maxFrameBytes: number
}

interface Waiting {
  readonly api: Api
  readonly version: number
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

const SOFTWARE = { clientSoftwareName: 'millrace-ts', clientSoftwareVersion: '0.1.0' }

/** One socket to one broker. Requests are answered in the order they were sent; versions are agreed on at the start. */
export class Connection {
  readonly address: Address
  private readonly socket: Socket
  private readonly options: ConnectionOptions
  private readonly waiting = new Map<number, Waiting>()
  private readonly frames: FrameAssembler
  private versions: ReadonlyMap<number, readonly [min: number, max: number]> = new Map()
  private correlationId = 0
  private failure: Error | null = null

  private constructor(address: Address, socket: Socket, options: ConnectionOptions) {
    this.address = address
    this.socket = socket
    this.options = options
    this.frames = new FrameAssembler(options.maxFrameBytes, (frame) => this.receive(frame))
  }

  /** Resolves once the versions are agreed on. Rejects with `ConnectionError` or `TimeoutError`. */
  static async open(address: Address, options: ConnectionOptions): Promise<Connection> {
    const connection = new Connection(address, await dial(address, options), options)
    connection.listen()
    try {
      await connection.agree()
    } catch (error) {
      connection.close()
      throw error
    }
    return connection
  }

  get open(): boolean {
    return this.failure === null
  }

  /** The version of an API that both sides know best. Throws `KafkaError` UNSUPPORTED_VERSION when there is none. */
  version(api: Api): number {
    const range = this.versions.get(api.key)
    const version = Math.min(api.versions[1], range?.[1] ?? -1)
    if (range === undefined || version < Math.max(api.versions[0], range[0]))
      throw new KafkaError(
        ErrorCode.UNSUPPORTED_VERSION,
        `${api.name} at ${name(this.address)}`,
        'the broker does not serve a version that this client knows',
      )
    return version
  }

  async send<Q, R>(api: Api<Q, R>, request: Q, timeoutMs = this.options.requestTimeoutMs): Promise<R> {
    return (await this.sendAs(api, this.version(api), request, timeoutMs)) as R
  }

  /** For requests without an answer (acks 0). Resolves once the bytes are with the operating system. */
  async sendOnly<Q>(api: Api<Q>, request: Q): Promise<void> {
    this.check()
    const parts = encodeRequest(api as Api, this.version(api as Api), this.nextId(), this.options.clientId, request)
    await new Promise<void>((resolve, reject) =>
      this.write(parts, (error) => (error ? reject(new ConnectionError(error.message)) : resolve())),
    )
  }

  close(): void {
    this.fail(new ConnectionError(`the connection to ${name(this.address)} was closed`))
  }

  private async agree(): Promise<void> {
    const newest = ApiVersionsApi.versions[1]
    let answer = await this.sendAs(ApiVersionsApi as Api, newest, SOFTWARE, this.options.requestTimeoutMs).catch(
      (error: unknown) => {
        throw error
      },
    )
    if ((answer as { errorCode: number }).errorCode === ErrorCode.UNSUPPORTED_VERSION)
      answer = await this.sendAs(ApiVersionsApi, 0, SOFTWARE, this.options.requestTimeoutMs)
    const { errorCode, apiKeys } = answer as {
      errorCode: ErrorCode
      apiKeys: readonly { apiKey: number; minVersion: number; maxVersion: number }[]
    }
    if (errorCode !== ErrorCode.NONE) throw new KafkaError(errorCode, `versions of ${name(this.address)}`)
    this.versions = new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, [minVersion, maxVersion]]))
  }

  private sendAs(api: Api, version: number, request: unknown, timeoutMs: number): Promise<unknown> {
    this.check()
    const id = this.nextId()
    const parts = encodeRequest(api, version, id, this.options.clientId, request)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          this.fail(new TimeoutError(`${api.name} was not answered by ${name(this.address)} within ${timeoutMs} ms`)),
        timeoutMs,
      )
      this.waiting.set(id, { api, version, resolve, reject, timer })
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

  private listen(): void {
    this.socket.on('data', (chunk) => {
      try {
        this.frames.push(chunk)
      } catch (error) {
        this.fail(
          error instanceof ProtocolError
            ? error
            : new ProtocolError(`${name(this.address)} sent bytes that are no answer: ${String(error)}`),
        )
      }
    })
    this.socket.on('error', (error) =>
      this.fail(new ConnectionError(`the connection to ${name(this.address)} broke: ${error.message}`)),
    )
    this.socket.on('close', () =>
      this.fail(new ConnectionError(`the connection to ${name(this.address)} was closed by the broker`)),
    )
  }

  /** Answers come in the order of the requests; anything else is a broken or hostile broker. */
  private receive(frame: Uint8Array): void {
    const [expected] = this.waiting.keys()
    const id = new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getInt32(0)
    if (expected === undefined || id !== expected)
      throw new ProtocolError(`${name(this.address)} answered request ${id}, expected ${expected ?? 'none'}`)
    const waiting = this.waiting.get(id) as Waiting
    this.waiting.delete(id)
    clearTimeout(waiting.timer)
    try {
      waiting.resolve(decodeResponse(waiting.api, waiting.version, frame).value)
    } catch (error) {
      waiting.reject(
        new ProtocolError(`the ${waiting.api.name} answer of ${name(this.address)} does not decode: ${String(error)}`),
      )
      throw error
    }
  }

  private fail(error: Error): void {
    if (this.failure !== null) return
    this.failure = error
    this.socket.destroy()
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer)
      reject(error)
    }
    this.waiting.clear()
  }
}

function dial(address: Address, options: ConnectionOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address.host, port: address.port, noDelay: true })
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new TimeoutError(`${name(address)} did not answer within ${options.connectTimeoutMs} ms`))
    }, options.connectTimeoutMs)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      resolve(socket)
    })
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(
        new ConnectionError(
          `could not connect to ${name(address)}: ${error.message || (error as NodeJS.ErrnoException).code}`,
        ),
      )
    })
  })
}

function name(address: Address): string {
  return `${address.host}:${address.port}`
}
