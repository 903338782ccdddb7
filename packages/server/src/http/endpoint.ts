import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Address, ByteHandler, ByteStream, Done, Listener, World } from '@millrace/base'
import type { Broker } from '@millrace/broker'
import { promised } from '../promised.ts'
import { type Answer, answerTo, problem } from './answers.ts'
import { StreamSocket } from './stream-socket.ts'

/** More connections than scrapers and people need; others are closed at once. */
const MOST_CONNECTIONS = 64
const MOST_HEADER_BYTES = 16 * 1024
/** A connection on which nothing is asked or taken for so long is closed. */
const IDLE_US = 30_000_000

/** The node's HTTP endpoint: Prometheus's /metrics, and /groups as JSON. It reads and changes nothing; every answer is of this moment. */
export class HttpEndpoint {
  private readonly world: World
  private readonly broker: Broker
  private readonly server: Server
  private readonly sockets = new Set<StreamSocket>()
  private listener: Listener | null = null

  constructor(world: World, broker: Broker) {
    this.world = world
    this.broker = broker
    this.server = createServer({ maxHeaderSize: MOST_HEADER_BYTES, keepAliveTimeout: 0 }, (request, response) => {
      this.answer(request, response).catch((error: unknown) => this.failed(request, response, error))
    })
  }

  start(at: Address, done: Done<Address>): void {
    const accept = (stream: ByteStream): ByteHandler => this.accept(stream)
    this.world.streams.listen(at, accept, (error, listener) => {
      if (error === null) this.listener = listener
      done(error, listener?.address)
    })
  }

  async stop(): Promise<void> {
    const { listener } = this
    this.listener = null
    if (listener !== null) await promised<void>((done) => listener.close(done))
    for (const socket of this.sockets) socket.destroy()
  }

  private accept(stream: ByteStream): ByteHandler {
    const socket = new StreamSocket(stream)
    if (this.sockets.size >= MOST_CONNECTIONS) {
      socket.destroy()
      return socket.handler
    }
    this.sockets.add(socket)
    this.watch(socket)
    this.server.emit('connection', socket)
    return socket.handler
  }

  /** Closes it when nothing has moved for long, and forgets it when it is over. */
  private watch(socket: StreamSocket): void {
    let moved = true
    const look = (): void => {
      if (!moved) return void socket.destroy()
      moved = false
      timer = this.world.timers.after(IDLE_US, look)
    }
    let timer = this.world.timers.after(IDLE_US, look)
    socket.onMoved = () => {
      moved = true
    }
    socket.on('error', () => {})
    socket.on('close', () => {
      timer.cancel()
      this.sockets.delete(socket)
    })
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '/' } = request
    const isRead = method === 'GET' || method === 'HEAD'
    const path = url.split('?', 1)[0] as string
    const { status, type, body, headers } = isRead ? await answerTo(this.broker, path) : NOT_ALLOWED
    response.writeHead(status, {
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...headers,
    })
    if (method === 'HEAD') response.end()
    else await pipeline(Readable.from(body), response)
  }

  private failed(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    // The other side went away in the midst of it.
    if (request.socket.destroyed) return
    this.world.log.error({ path: request.url, error }, 'HTTP request failed')
    if (response.headersSent) return void response.destroy()
    const { status, type, body } = problem(500, 'UNKNOWN_SERVER_ERROR', 'The node failed to answer; its log says why.')
    response.writeHead(status, { 'content-type': type })
    response.end([...body].join(''))
  }
}

const NOT_ALLOWED: Answer = {
  ...problem(405, 'METHOD_NOT_ALLOWED', 'Only GET and HEAD are answered here: nothing can be changed.'),
  headers: { allow: 'GET, HEAD' },
}
