import { createServer } from 'node:net'
import type { AddressInfo, Server as NetServer, Socket } from 'node:net'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Address, Done, Lane, Listener, SteadyLog } from '@millrace/base'
import { ioError } from '../io-error.ts'
import { AcceptedStream } from './accepted-stream.ts'
import type { Accept } from './accepted-stream.ts'
import { SERVER_OPTIONS } from './peer-service.ts'
import type { peerService } from './peer-service.ts'

/** More nodes than a cluster has, times the lanes, with room for reconnects. */
const MAX_CONNECTIONS = 1024
/** How long a connection may be there without a stream. */
const SILENCE_MS = 10_000
/** Every connection of HTTP/2 begins with it, and no request of Kafka's does, nor TLS. */
const HTTP2_BEGINS = 'P'.charCodeAt(0)

const STRANGER =
  'not a node: this port is for nodes alone; clients and tools reach the controller through any Kafka listener (--bootstrap-server, not --bootstrap-controller)'

type FrameCall = ServerDuplexStream<Uint8Array, Uint8Array>

/**
 * A port on which peers open streams. The sockets are accepted here and handed to gRPC, so that a taken port, a full table of
 * descriptors and connections that never say anything are in our hands.
 */
export class PeerListener {
  private readonly grpc = new Server(SERVER_OPTIONS)
  private readonly sockets: NetServer
  private readonly log: SteadyLog | null
  /** The connections, by the other side's `host:port`, with how many streams each has. */
  private readonly connections = new Map<string, { readonly socket: Socket; streams: number }>()

  constructor(service: ReturnType<typeof peerService>, accept: Accept, log: SteadyLog | null) {
    this.log = log
    const method = (lane: Lane) => (call: FrameCall) => this.accepted(call, lane, accept)
    const methods = { control: method('control'), replication: method('replication'), bulk: method('bulk') }
    this.grpc.addService(service, methods)
    const injector = this.grpc.createConnectionInjector(ServerCredentials.createInsecure())
    this.sockets = createServer({ noDelay: true }, (socket) => {
      this.connected(socket)
      this.whenSpeaking(socket, () => injector.injectConnection(socket))
    })
    this.sockets.maxConnections = MAX_CONNECTIONS
  }

  listen(at: Address, done: Done<Listener>): void {
    const failed = (error: Error): void =>
      done(ioError(`${at.host}:${at.port}`, error), undefined as unknown as Listener)
    this.sockets.once('error', failed)
    this.sockets.listen({ host: at.host, port: at.port }, () => {
      this.sockets.removeListener('error', failed)
      // Later errors are of single accepts, as when no descriptor is free: those connections are shed.
      this.sockets.on('error', () => {})
      const { port } = this.sockets.address() as AddressInfo
      done(null, { address: { host: at.host, port }, close: (closed) => this.close(closed) })
    })
  }

  private close(done: Done<void>): void {
    this.sockets.close()
    for (const { socket, streams } of this.connections.values()) if (streams === 0) socket.destroy()
    setImmediate(() => done(null))
  }

  private connected(socket: Socket): void {
    const name = `${socket.remoteAddress}:${socket.remotePort}`
    const connection = { socket, streams: 0 }
    this.connections.set(name, connection)
    const silence = setTimeout(() => connection.streams === 0 && socket.destroy(), SILENCE_MS)
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(silence)
      this.connections.delete(name)
    })
  }

  /** Who does not speak as nodes do gets no answer that it could misread, and a line of the log says where it belongs. */
  private whenSpeaking(socket: Socket, asNode: () => void): void {
    const listen = (): void => {
      const first = socket.read() as Buffer | null
      if (first === null) return
      socket.removeListener('readable', listen)
      if (first[0] === HTTP2_BEGINS) {
        socket.unshift(first)
        return asNode()
      }
      const { remoteAddress, remotePort, localPort } = socket
      this.log?.warn('stranger', { remote: `${remoteAddress}:${remotePort}`, port: localPort }, STRANGER)
      socket.destroy()
    }
    socket.on('readable', listen)
  }

  private accepted(call: FrameCall, lane: Lane, accept: Accept): void {
    const connection = this.connections.get(call.getPeer())
    if (connection !== undefined) connection.streams++
    call.once('close', () => connection !== undefined && connection.streams--)
    void new AcceptedStream(call, lane, accept)
  }
}
