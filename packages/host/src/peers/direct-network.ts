import { IoError } from '@millrace/base'
import type { Address, Done, Lane, Listener, PeerHandler, PeerStream, Peers } from '@millrace/base'
import { addressProblem } from '../dialable.ts'
import { LaterTurns } from '../turns.ts'
import type { Accept } from './accepted-stream.ts'
import { DirectConnection } from './direct-connection.ts'

/** How a cut link shows itself: its streams break at once, or they fall silent until the link is healed. */
export type Cut = 'broken' | 'silent'

/** How long a probe over a cut link takes, as that of the real thing. */
const PROBE_TIMEOUT_MS = 500

interface Listening {
  readonly node: string
  readonly accept: Accept
}

/**
 * The links between the nodes of one process. Frames are copied and delivered in later turns, in order. For tests links between two
 * named nodes can be cut and healed, and a node can be taken off the network as if its process had died.
 */
export class DirectNetwork {
  readonly turns = new LaterTurns()
  private readonly listening = new Map<string, Listening>()
  private readonly connections = new Set<DirectConnection>()
  private readonly cuts = new Map<string, Cut>()
  private nextPort = 50_000

  /** The network as the named node sees it. */
  peers(node: string): Peers {
    return new DirectPeers(this, node)
  }

  /** Cuts the link between two nodes, in both directions. */
  cut(one: string, other: string, how: Cut): void {
    this.cuts.set(linkName(one, other), how)
    if (how === 'broken') this.breakWhere((connection) => connection.joins(one, other))
  }

  /** Heals a link; what was held back on it is delivered. */
  heal(one: string, other: string): void {
    this.cuts.delete(linkName(one, other))
    for (const connection of this.connections) if (connection.joins(one, other)) connection.wake()
  }

  /** Breaks the streams between two nodes; new ones can be opened at once. */
  break(one: string, other: string): void {
    this.breakWhere((connection) => connection.joins(one, other))
  }

  /** Takes a node off the network as the death of its process does: it hears nothing more, its peers see broken streams. */
  kill(node: string): void {
    for (const [place, { node: owner }] of this.listening) if (owner === node) this.listening.delete(place)
    for (const connection of this.connections) connection.killed(node)
  }

  /** For the nodes' ends of the network. */
  listen(node: string, at: Address, accept: Accept, done: Done<Listener>): void {
    const address = { host: at.host, port: at.port === 0 ? this.nextPort++ : at.port }
    const place = placeName(address)
    if (this.listening.has(place)) {
      const error = new IoError('EADDRINUSE', place, 'the address is taken')
      return this.turns.later(() => done(error, undefined as unknown as Listener))
    }
    this.listening.set(place, { node, accept })
    const close = (closed: Done<void>): void => {
      if (this.listening.get(place)?.accept === accept) this.listening.delete(place)
      this.turns.later(() => closed(null))
    }
    this.turns.later(() => done(null, { address, close }))
  }

  /** For the nodes' ends of the network. */
  open(node: string, to: Address, lane: Lane, hello: Uint8Array, handler: PeerHandler): PeerStream {
    const connection: DirectConnection = new DirectConnection({
      turns: this.turns,
      opener: node,
      acceptor: () => this.listening.get(placeName(to)),
      cut: (other) => this.cuts.get(linkName(node, other)),
      over: () => void this.connections.delete(connection),
    })
    this.connections.add(connection)
    return connection.open(lane, hello, handler)
  }

  /** For the nodes' ends of the network. */
  probe(node: string, to: Address, done: (seen: 'refused' | 'alive' | 'unknown') => void): void {
    const owner = this.listening.get(placeName(to))?.node
    if (addressProblem(to) !== null) this.turns.later(() => done('unknown'))
    else if (owner === undefined) this.turns.later(() => done('refused'))
    else if (this.cuts.has(linkName(node, owner))) setTimeout(done, PROBE_TIMEOUT_MS, 'unknown')
    else this.turns.later(() => done('alive'))
  }

  private breakWhere(matches: (connection: DirectConnection) => boolean): void {
    for (const connection of this.connections) if (matches(connection)) connection.break('the link is cut')
  }
}

class DirectPeers implements Peers {
  private readonly network: DirectNetwork
  private readonly node: string

  constructor(network: DirectNetwork, node: string) {
    this.network = network
    this.node = node
  }

  listen(at: Address, accept: Accept, done: Done<Listener>): void {
    this.network.listen(this.node, at, accept, done)
  }

  open(to: Address, lane: Lane, hello: Uint8Array, handler: PeerHandler): PeerStream {
    return this.network.open(this.node, to, lane, hello, handler)
  }

  probe(to: Address, done: (seen: 'refused' | 'alive' | 'unknown') => void): void {
    this.network.probe(this.node, to, done)
  }
}

function linkName(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`
}

function placeName({ host, port }: Address): string {
  return `${host}:${port}`
}
