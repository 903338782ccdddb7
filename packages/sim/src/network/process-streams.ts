import type {
  Accepted,
  Address,
  ByteHandler,
  ByteStream,
  ByteStreams,
  Done,
  Lane,
  Listener,
  PeerHandler,
  Peers,
  PeerStream,
  Refusal,
} from '@millrace/base'
import { addressProblem } from '@millrace/host'
import type { Schedule } from '../seams.ts'
import { ConnectorEnd, ListenerEnd } from './byte-end.ts'
import type { Dial } from './connection.ts'
import type { Answer, Kind, Process } from './host.ts'
import { AcceptorEnd, OpenerEnd } from './peer-end.ts'

export type Seen = 'refused' | 'alive' | 'unknown'

/** What the streams of a process ask of the network. */
export interface Sockets {
  readonly schedule: Schedule
  listen(
    process: Process,
    at: Address,
    what: { readonly kind: Kind; readonly answer: Answer },
    done: Done<Listener>,
  ): void
  dial(process: Process, dial: Dial): void
  probe(process: Process, to: Address, done: (seen: Seen) => void): void
}

/** One process's streams to other nodes. */
export class SimPeers implements Peers {
  private readonly sockets: Sockets
  private readonly process: Process

  constructor(sockets: Sockets, process: Process) {
    this.sockets = sockets
    this.process = process
  }

  listen(
    at: Address,
    accept: (hello: Uint8Array, lane: Lane, stream: PeerStream) => Accepted | Refusal,
    done: Done<Listener>,
  ): void {
    const { sockets, process } = this
    const answer: Answer = (listening, connection, out) =>
      new AcceptorEnd({ schedule: sockets.schedule, life: process.life, connection, out }, listening, accept)
    sockets.listen(process, at, { kind: 'peer', answer }, done)
  }

  open(to: Address, lane: Lane, hello: Uint8Array, handler: PeerHandler): PeerStream {
    const { schedule } = this.sockets
    const { life } = this.process
    const problem = addressProblem(to)
    if (problem !== null) return this.broken(problem, handler)
    let opener: OpenerEnd | null = null
    this.sockets.dial(this.process, {
      kind: 'peer',
      to,
      lane,
      near: (connection, out) => (opener = new OpenerEnd({ schedule, connection, life, out }, hello, handler)),
    })
    return opener as unknown as OpenerEnd
  }

  probe(to: Address, done: (seen: Seen) => void): void {
    if (addressProblem(to) === null) this.sockets.probe(this.process, to, done)
    else this.sockets.schedule.post(1, this.process.life, () => done('unknown'))
  }

  /** A stream that never was. */
  private broken(detail: string, handler: PeerHandler): PeerStream {
    let over = false
    const end = (why: 'local' | 'broken', text: string): void => {
      if (over) return
      over = true
      this.sockets.schedule.post(1, this.process.life, () => handler.closed(why, text))
    }
    this.sockets.schedule.post(1, this.process.life, () => end('broken', detail))
    return { send: () => false, sendParts: () => false, queuedBytes: 0, close: (reason) => end('local', reason) }
  }
}

/** One process's byte streams. */
export class SimStreams implements ByteStreams {
  private readonly sockets: Sockets
  private readonly process: Process

  constructor(sockets: Sockets, process: Process) {
    this.sockets = sockets
    this.process = process
  }

  listen(at: Address, accept: (stream: ByteStream) => ByteHandler, done: Done<Listener>): void {
    const { sockets, process } = this
    const answer: Answer = (listening, connection, out) =>
      new ListenerEnd(
        { schedule: sockets.schedule, life: process.life, connection, out, remote: connection.remote },
        listening,
        accept,
      )
    sockets.listen(process, at, { kind: 'bytes', answer }, done)
  }

  connect(to: Address, handler: ByteHandler): ByteStream {
    const { schedule } = this.sockets
    const { life } = this.process
    const remote = `${to.host}:${to.port}`
    const problem = addressProblem(to)
    if (problem !== null) return this.unconnected(remote, problem, handler)
    let connector: ConnectorEnd | null = null
    this.sockets.dial(this.process, {
      kind: 'bytes',
      to,
      lane: 'control',
      near: (connection, out) => (connector = new ConnectorEnd({ schedule, connection, life, out, remote }, handler)),
    })
    return connector as unknown as ConnectorEnd
  }

  /** A stream that never was. */
  private unconnected(remote: string, problem: string, handler: ByteHandler): ByteStream {
    const later = (run: () => void): void => void this.sockets.schedule.post(1, this.process.life, run)
    later(() => handler.closed(problem))
    const nothing = (): void => {}
    const write: ByteStream['write'] = (_parts, written) => {
      if (written !== undefined) later(written)
      return false
    }
    return { remote, write, pause: nothing, resume: nothing, close: nothing }
  }
}
