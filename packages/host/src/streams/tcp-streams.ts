import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Address, ByteHandler, ByteStream, ByteStreams, Done, Listener } from '@millrace/base'
import { addressProblem } from '../dialable.ts'
import { ioError } from '../io-error.ts'
import { TcpStream } from './tcp-stream.ts'

/** Limits of {@link TcpStreams}. */
export interface TcpOptions {
  /** How many accepted connections may be open at once over one listener; more are closed as they come. */
  readonly maxConnections?: number
}

const NO_DELAY = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }

/**
 * TCP. When the other side ends its half, what was written before is still sent and the stream closes. Closing a listener leaves the
 * accepted streams open. When no descriptor is free, new connections are shed and the listener lives on.
 */
export class TcpStreams implements ByteStreams {
  private readonly maxConnections: number

  constructor(options: TcpOptions = {}) {
    this.maxConnections = options.maxConnections ?? 10_000
  }

  listen(at: Address, accept: (stream: ByteStream) => ByteHandler, done: Done<Listener>): void {
    const accepted = (socket: Socket): void => {
      const stream = new TcpStream(socket)
      stream.start(accept(stream))
      setImmediate(() => stream.opened())
    }
    const server = createServer({ ...NO_DELAY, allowHalfOpen: true, pauseOnConnect: true }, accepted)
    server.maxConnections = this.maxConnections
    const failed = (error: Error): void =>
      done(ioError(`${at.host}:${at.port}`, error), undefined as unknown as Listener)
    const close = (closed: Done<void>): void => {
      server.close()
      setImmediate(() => closed(null))
    }
    server.once('error', failed)
    server.listen({ host: at.host, port: at.port }, () => {
      server.removeListener('error', failed)
      // Later errors are of single accepts, as when no descriptor is free: those connections are shed.
      server.on('error', () => {})
      done(null, { address: { host: at.host, port: (server.address() as AddressInfo).port }, close })
    })
  }

  connect(to: Address, handler: ByteHandler): ByteStream {
    const problem = addressProblem(to)
    if (problem !== null) return unconnected(to, problem, handler)
    const socket = connect({ ...NO_DELAY, host: to.host, port: to.port, allowHalfOpen: true })
    const stream = new TcpStream(socket, `${to.host}:${to.port}`)
    stream.start(handler)
    socket.once('connect', () => stream.opened())
    return stream
  }
}

/** A stream that never was. */
function unconnected({ host, port }: Address, problem: string, handler: ByteHandler): ByteStream {
  const nothing = (): void => {}
  setImmediate(() => handler.closed(problem))
  const write: ByteStream['write'] = (_parts, written) => {
    if (written !== undefined) setImmediate(written)
    return false
  }
  return { remote: `${host}:${port}`, write, pause: nothing, resume: nothing, close: nothing }
}
