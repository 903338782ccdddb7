import type { Address, Lane } from '@millrace/base'
import type { Life, Schedule } from '../seams.ts'
import type { Host, Kind, Process } from './host.ts'
import type { Link } from './link.ts'
import { Pipe } from './pipe.ts'
import type { Farewell } from './parcel.ts'
import type { PipeEnd } from './pipe.ts'
import type { Slab } from './slab.ts'

/** One end of a stream, as its connection sees it. */
export interface ConnectionEnd extends PipeEnd {
  /** Nothing is told to its handler any more. */
  readonly over: boolean
  /** The handshake is done. For the end that dials. */
  connected(): void
}

/** What a connection asks of its network. */
export interface Wires {
  readonly schedule: Schedule
  /** The life of what no process does: of kernels and cables. */
  readonly wire: Life
  readonly slab: Slab
  link(from: string, to: string): Link
  host(name: string): Host
  forget(connection: Connection): void
}

/** What is dialled. */
export interface Dial {
  readonly kind: Kind
  readonly to: Address
  /** For a stream between nodes. */
  readonly lane: Lane
  /** Makes the dialler's end. */
  near(connection: Connection, out: Pipe): ConnectionEnd
}

/** A socket and whose it is. */
interface Side {
  readonly process: Process
  readonly end: ConnectionEnd
  readonly out: Pipe
  /** The process let go of it, or died. */
  gone: boolean
  /** Keepalive ends it. */
  forsaken: boolean
}

/** Names under which every machine finds itself. */
export const OWN_NAMES: readonly string[] = ['localhost', '127.0.0.1', '0.0.0.0', '::', '::1']
const GONE: Farewell = { why: 'broken', detail: 'the connection to the other side is gone' }
const BROKEN: Farewell = { why: 'broken', detail: 'the connection broke' }
const RESET: Farewell = { why: 'broken', detail: 'the other side was restarted (ECONNRESET)' }
const SILENT: Farewell = { why: 'broken', detail: 'no sign of life from the other side' }
/** How long a connection between nodes may be without a sign of life: keepalive finds out within these bounds. */
const PATIENCE_LEAST_S = 3
const PATIENCE_MOST_S = 8

/** A stream between two processes, from the dial until both of its sides are gone. */
export class Connection {
  /** The dialler, as the other side sees it. */
  readonly remote: string
  readonly dial: Dial
  private readonly there: Link
  private readonly back: Link
  private readonly near: Side
  private far: Side | null = null
  private readonly name: string
  private readonly wires: Wires
  private broken = false
  /** The machine of one side lost its memory of the connection and resets it when it is sent something. */
  private resets = false
  private silentS = 0
  private readonly patienceS: number

  constructor(name: string, wires: Wires, process: Process, dial: Dial) {
    const own = process.host.name
    const target = OWN_NAMES.includes(dial.to.host) ? own : dial.to.host
    this.name = name
    this.wires = wires
    this.dial = dial
    this.remote = `${own}:${process.host.freePort()}`
    this.there = wires.link(own, target)
    this.back = wires.link(target, own)
    this.patienceS = PATIENCE_LEAST_S + this.there.random.below(PATIENCE_MOST_S - PATIENCE_LEAST_S + 1)
    this.near = this.side(process, '>', (out) => dial.near(this, out))
  }

  joins(a: string, b: string): boolean {
    const { from, to } = this.there
    return (from === a && to === b) || (from === b && to === a)
  }

  /** Whose sockets its ends are. */
  get processes(): readonly Process[] {
    return this.far === null ? [this.near.process] : [this.near.process, this.far.process]
  }

  /** An end takes things again. */
  ready(end: ConnectionEnd): void {
    const carries = this.near.end === end ? this.far?.out : this.near.out
    carries?.release(0)
  }

  /** Sends the first packet of the handshake. */
  begin(): void {
    this.there.carry(this.wires.wire, this.synArrives)
  }

  /** An end is over: it decided so, or was told. What it sent before goes on. */
  over(end: ConnectionEnd): void {
    const side = this.near.end === end ? this.near : this.far
    if (side === null || side.gone) return
    side.gone = true
    if (this.near.gone && this.far?.gone !== false) this.wires.forget(this)
  }

  /** A process closes its socket without regard for what it has not sent. */
  abort(end: ConnectionEnd): void {
    this.letGo(this.near.end === end ? this.near : this.far, GONE)
  }

  /** The stream breaks for both; a first part of what is on its way may arrive. */
  break(): void {
    if (this.broken) return
    this.broken = true
    const survives = this.there.faults.deliverAfterBreakPercent
    this.near.out.snap(BROKEN, survives)
    if (this.far !== null) this.far.out.snap(BROKEN, survives)
    else this.there.carry(this.near.process.life, () => this.near.end.told(BROKEN))
  }

  /** A process died. Its machine closes its sockets for it, if it has power. */
  died(process: Process): void {
    for (const side of [this.near, this.far]) {
      if (side?.process !== process) continue
      const { out, gone } = side
      this.other(side)?.out.discard()
      if (!process.host.on) out.silence()
      else if (gone) out.giveUp(GONE)
      // What a dead one had not read makes its machine answer with a reset, which overtakes.
      else if (this.there.random.below(2) === 0) out.snap(GONE, this.there.faults.deliverAfterBreakPercent)
      else out.hangUp(GONE)
      this.over(side.end)
    }
  }

  /** The machine of a side that died without a word has power again. */
  rebooted(host: Host): void {
    for (const side of [this.near, this.far]) {
      if (side === null || side.process.host !== host || !side.process.life.over) continue
      this.resets = true
      if (this.other(side)?.out.isWaiting === true) this.unheard()
    }
  }

  healed(link: Link): void {
    const { near, far } = this
    const [carries, acknowledges] = link === this.there ? [near.out, far?.out] : [far?.out, near.out]
    if (link !== this.there && link !== this.back) return
    carries?.release(link.resendUs())
    acknowledges?.acknowledge()
  }

  /** Once a second: an end that has heard nothing for too long takes the connection for dead. */
  keepAlive(): void {
    const { near, far } = this
    if (far === null) return
    const silent = this.there.isSilent || this.back.isSilent || !speaks(near) || !speaks(far)
    this.silentS = silent ? this.silentS + 1 : 0
    if (this.silentS >= this.patienceS) for (const side of [near, far]) this.forsake(side)
  }

  private forsake(side: Side): void {
    if (side.gone || side.forsaken || !speaks(side)) return
    side.forsaken = true
    this.wires.schedule.post(this.there.random.below(1_000_000), side.process.life, () => {
      if (side.end.over) return
      this.letGo(side, GONE)
      side.end.told(SILENT)
    })
  }

  private letGo(side: Side | null, farewell: Farewell): void {
    if (side === null) return
    side.out.hangUp(farewell)
    this.other(side)?.out.discard()
    this.over(side.end)
  }

  private readonly synArrives = (): void => {
    const { there, back, dial, near } = this
    const host = this.wires.host(there.to)
    if (near.gone || this.broken) return
    if (!host.on) return void host.dialling.push(() => there.carry(this.wires.wire, this.synArrives, there.resendUs()))
    const listening = host.ports.get(dial.to.port)
    if (listening === undefined || listening.kind !== dial.kind) return back.carry(near.process.life, this.refused)
    this.far = this.side(listening.process, '<', (out) => listening.answer(listening, this, out))
    this.far.out.to = near.end
    near.out.to = this.far.end
    this.far.out.connect()
    back.carry(near.process.life, this.established)
  }

  private readonly established = (): void => {
    if (this.near.gone || this.broken) return
    this.near.end.connected()
    this.near.out.connect()
  }

  private readonly refused = (): void => {
    const { host, port } = this.dial.to
    this.near.end.told({ why: 'broken', detail: `nobody listens at ${host}:${port} (ECONNREFUSED)` })
  }

  /** Something was sent to a side that is gone without a word. */
  private unheard(): void {
    if (!this.resets || this.broken) return
    this.broken = true
    const side = this.near.process.life.over ? this.near : this.far
    side?.out.hangUp(RESET)
  }

  private side(process: Process, way: '>' | '<', make: (out: Pipe) => ConnectionEnd): Side {
    const [link, back] = way === '>' ? [this.there, this.back] : [this.back, this.there]
    const out = new Pipe({
      schedule: this.wires.schedule,
      link,
      back,
      lane: this.name + way,
      slab: this.wires.slab,
      chunked: this.dial.kind === 'bytes',
      lost: () => this.break(),
      unheard: () => this.unheard(),
    })
    const end = make(out)
    out.from = end
    process.connections.add(this)
    return { process, end, out, gone: false, forsaken: false }
  }

  private other(side: Side): Side | null {
    return side === this.near ? this.far : this.near
  }
}

/** Its process could give a sign of life. */
function speaks({ process: { life } }: Side): boolean {
  return !life.over && !life.paused
}
