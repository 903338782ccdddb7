import { IoError } from '@millrace/base'
import type { Address, ByteStreams, Done, Listener, Peers, Random } from '@millrace/base'
import type { Life, Network, NetworkFaults, Schedule } from '../seams.ts'
import { Connection, OWN_NAMES } from './connection.ts'
import type { Dial, Wires } from './connection.ts'
import { Host, Process } from './host.ts'
import type { Answer, Kind, Listening } from './host.ts'
import { Link } from './link.ts'
import { SimPeers, SimStreams } from './process-streams.ts'
import type { Seen, Sockets } from './process-streams.ts'
import { Slab } from './slab.ts'

/** What a network is made of. */
export interface NetworkParts {
  readonly schedule: Schedule
  readonly random: Random
}

/** A network that only delays. */
export const CALM: NetworkFaults = {
  delayMinUs: 100,
  delayMeanUs: 300,
  breakPer10k: 0,
  retransmitPer10k: 0,
  retransmitMeanUs: 0,
  deliverAfterBreakPercent: 50,
}

const PROBE_TIMEOUT_US = 500_000
const SECOND_US = 1_000_000
const NO_LISTENER = undefined as unknown as Listener

/** The network of a run; see {@link Network}. Every name is a host: one that nobody started anything on refuses. */
export function createNetwork(parts: NetworkParts, faults: NetworkFaults = CALM): SimNetwork {
  return new SimNetwork(parts, faults)
}

export class SimNetwork implements Network, Wires, Sockets {
  faults: NetworkFaults
  readonly schedule: Schedule
  readonly wire: Life
  readonly slab = new Slab()
  private readonly random: Random
  private readonly hosts = new Map<string, Host>()
  private readonly links = new Map<string, Map<string, Link>>()
  private readonly processes = new Map<Life, Process>()
  private readonly connections = new Set<Connection>()
  private dials = 0
  private watching = false

  constructor({ schedule, random }: NetworkParts, faults: NetworkFaults) {
    this.schedule = schedule
    this.random = random
    this.faults = faults
    this.wire = schedule.newLife('network')
  }

  peers(host: string, life: Life): Peers {
    return new SimPeers(this, this.process(host, life))
  }

  streams(host: string, life: Life): ByteStreams {
    return new SimStreams(this, this.process(host, life))
  }

  cut(from: string, to: string): void {
    this.link(from, to).cut()
  }

  heal(from: string, to: string): void {
    const link = this.link(from, to)
    if (link.heal()) for (const connection of this.connections) connection.healed(link)
  }

  healAll(): void {
    for (const [from, links] of this.links)
      for (const to of links.keys()) {
        this.heal(from, to)
        this.link(from, to).clogUntilUs = 0
      }
  }

  clog(from: string, to: string, untilUs: number): void {
    const link = this.link(from, to)
    if (from !== to) link.clogUntilUs = Math.max(link.clogUntilUs, untilUs)
  }

  breakStreams(a: string, b: string): void {
    for (const connection of this.connections) if (connection.joins(a, b)) connection.break()
  }

  power(name: string, on: boolean): void {
    const host = this.host(name)
    if (host.on === on) return
    host.on = on
    if (!on) return
    for (const dial of host.dialling.splice(0)) dial()
    for (const connection of this.connections) connection.rebooted(host)
  }

  // For the ends of the network.

  host(name: string): Host {
    let host = this.hosts.get(name)
    if (host === undefined) this.hosts.set(name, (host = new Host(name)))
    return host
  }

  link(from: string, to: string): Link {
    let links = this.links.get(from)
    if (links === undefined) this.links.set(from, (links = new Map()))
    let link = links.get(to)
    if (link !== undefined) return link
    const random = this.random.fork(`${from}>${to}`)
    link = new Link(from, to, { schedule: this.schedule, random, faults: () => this.faults })
    links.set(to, link)
    return link
  }

  forget(connection: Connection): void {
    this.connections.delete(connection)
    for (const process of connection.processes) process.connections.delete(connection)
  }

  dial(process: Process, dial: Dial): void {
    const connection = new Connection(`s${++this.dials}`, this, process, dial)
    // Code of a life that is over may still run to the end of its turn; nothing leaves its machine any more.
    if (process.life.over) return
    this.connections.add(connection)
    connection.begin()
    if (dial.kind === 'peer') this.watch()
  }

  listen(process: Process, at: Address, what: { kind: Kind; answer: Answer }, done: Done<Listener>): void {
    const { host, life } = process
    if (life.over) return
    const later = (error: IoError | null, listener: Listener): void =>
      void this.schedule.post(1, life, () => done(error, listener))
    const place = `${at.host}:${at.port}`
    if (at.host !== host.name && at.host !== '' && !OWN_NAMES.includes(at.host))
      return later(new IoError('EIO', place, `${at.host} is no address of ${host.name}`), NO_LISTENER)
    const port = at.port === 0 ? host.freePort() : at.port
    if (host.ports.has(port)) return later(new IoError('EADDRINUSE', place, 'the address is taken'), NO_LISTENER)
    const listening: Listening = { ...what, process, open: true }
    host.ports.set(port, listening)
    const close = (closed: Done<void>): void => {
      if (listening.open) host.ports.delete(port)
      listening.open = false
      this.schedule.post(1, life, () => closed(null))
    }
    later(null, { address: { host: at.host, port }, close })
  }

  probe(process: Process, to: Address, done: (seen: Seen) => void): void {
    const { host, life } = process
    const name = OWN_NAMES.includes(to.host) ? host.name : to.host
    const [there, back] = [this.link(host.name, name), this.link(name, host.name)]
    let answered = false
    const answer = (seen: Seen): void => {
      if (answered) return
      answered = true
      timeout.cancel()
      done(seen)
    }
    const timeout = this.schedule.post(PROBE_TIMEOUT_US, life, () => answer('unknown'))
    there.carry(this.wire, () => {
      const found = this.host(name)
      if (found.on) back.carry(life, () => answer(found.ports.has(to.port) ? 'alive' : 'refused'))
    })
  }

  private process(name: string, life: Life): Process {
    let process = this.processes.get(life)
    if (process !== undefined) return process
    process = new Process(this.host(name), life)
    this.processes.set(life, process)
    life.atEnd(() => this.died(process))
    return process
  }

  private died(process: Process): void {
    this.processes.delete(process.life)
    const { ports } = process.host
    for (const [port, listening] of ports) {
      if (listening.process !== process) continue
      listening.open = false
      ports.delete(port)
    }
    for (const connection of process.connections) connection.died(process)
  }

  /** Keepalive of all streams between nodes, while there are any. */
  private watch(): void {
    if (this.watching) return
    this.watching = true
    this.schedule.post(SECOND_US, this.wire, () => {
      this.watching = false
      let any = false
      for (const connection of this.connections) {
        if (connection.dial.kind !== 'peer') continue
        any = true
        connection.keepAlive()
      }
      if (any) this.watch()
    })
  }
}
