import { connect } from 'node:net'
import type { Address, Done, Lane, Listener, PeerHandler, PeerStream, Peers, SteadyLog } from '@millrace/base'
import { addressProblem } from '../dialable.ts'
import type { Accept } from './accepted-stream.ts'
import { OpenedStream } from './opened-stream.ts'
import { PeerListener } from './peer-listener.ts'
import { peerService } from './peer-service.ts'

const PROBE_TIMEOUT_MS = 500

/**
 * Streams between nodes over gRPC, by the service of proto/millrace/peer.proto.
 *
 * A process that ended is seen at once, as `broken`, because its sockets close; a host that vanished is seen by keepalive after 8 s at
 * most. Opening dials once, for at most 5 s. `queuedBytes` counts what the stream has not handed to the network yet; `send` says stop at
 * 256 KiB, `drained` follows at 32 KiB.
 */
export class GrpcPeers implements Peers {
  private readonly service = peerService()
  private readonly log: SteadyLog | null

  /** Tells `log`, if there is one, who came to its ports and is no node. */
  constructor(log: SteadyLog | null = null) {
    this.log = log
  }

  listen(at: Address, accept: Accept, done: Done<Listener>): void {
    new PeerListener(this.service, accept, this.log).listen(at, done)
  }

  open(to: Address, lane: Lane, hello: Uint8Array, handler: PeerHandler): PeerStream {
    const problem = addressProblem(to)
    if (problem !== null) return brokenStream(problem, handler)
    return new OpenedStream(to, this.service[lane], hello, handler)
  }

  probe(to: Address, done: (seen: 'refused' | 'alive' | 'unknown') => void): void {
    if (addressProblem(to) !== null) return void setImmediate(done, 'unknown')
    const socket = connect({ host: to.host, port: to.port })
    let answered = false
    const answer = (seen: 'refused' | 'alive' | 'unknown'): void => {
      if (answered) return
      answered = true
      clearTimeout(timeout)
      socket.destroy()
      done(seen)
    }
    const timeout = setTimeout(answer, PROBE_TIMEOUT_MS, 'unknown')
    socket.on('connect', () => answer('alive'))
    socket.on('error', (error) => answer(isRefusal(error) ? 'refused' : 'unknown'))
  }
}

/** A stream that never was. */
function brokenStream(detail: string, handler: PeerHandler): PeerStream {
  let over = false
  const end = (why: 'local' | 'broken', text: string): void => {
    if (over) return
    over = true
    setImmediate(() => handler.closed(why, text))
  }
  setImmediate(end, 'broken', detail)
  return { send: () => false, sendParts: () => false, queuedBytes: 0, close: (reason) => end('local', reason) }
}

/** A name may have several addresses; every one of them must have refused. */
function isRefusal(error: NodeJS.ErrnoException): boolean {
  if (error instanceof AggregateError) return (error.errors as NodeJS.ErrnoException[]).every(isRefusal)
  return error.code === 'ECONNREFUSED'
}
