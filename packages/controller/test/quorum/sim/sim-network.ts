import type { Accepted, Lane, PeerHandler, PeerStream, Peers, Refusal } from '@millrace/base'
import type { Later } from './sim-disk.ts'
import type { Schedule } from './schedule.ts'

type Accept = (hello: Uint8Array, lane: Lane, stream: PeerStream) => Accepted | Refusal

/** One incarnation of a node, as the network knows it. */
export interface Host {
  readonly node: number
  /** In the time of this incarnation, or never once it ended. */
  readonly later: Later
  accept: Accept | null
}

/** Ordered streams with delays. A cut link holds everything back, or breaks its streams; which one is up to who cuts. */
export class SimNetwork {
  readonly #schedule: Schedule
  readonly #random: (n: number) => number
  readonly #listening = new Map<number, Host>()
  #streams: SimStream[] = []
  readonly cuts = new Set<string>()

  constructor(schedule: Schedule, random: (n: number) => number) {
    this.#schedule = schedule
    this.#random = random
  }

  delayUs(): number {
    return 100 + this.#random(this.#random(50) === 0 ? 30_000 : 1500)
  }

  schedule(delayUs: number, run: () => void): void {
    this.#schedule.after(delayUs, run)
  }

  isCut(from: number, to: number): boolean {
    return this.cuts.has(`${from}>${to}`)
  }

  heal(): void {
    this.cuts.clear()
    for (const stream of this.#streams) stream.wake()
  }

  break(a: number, b: number): void {
    for (const stream of this.#streams.slice())
      if ((stream.near === a && stream.far === b) || (stream.near === b && stream.far === a)) stream.break('broken')
  }

  /** The process of a node is gone. */
  down(node: number): void {
    this.#listening.delete(node)
    for (const stream of this.#streams.slice()) if (stream.near === node || stream.far === node) stream.break('broken')
  }

  forget(stream: SimStream): void {
    this.#streams = this.#streams.filter((other) => other !== stream)
  }

  host(node: number): Host | undefined {
    return this.#listening.get(node)
  }

  peers(host: Host): Peers {
    return {
      listen: (at, accept, done) => {
        host.accept = accept
        this.#listening.set(host.node, host)
        host.later(10, () => done(null, { address: at, close: (closed) => host.later(10, () => closed(null)) }))
      },
      open: (to, lane, hello, handler) => {
        const stream = new SimStream(this, host, to.port, { lane, hello, handler })
        this.#streams.push(stream)
        return stream.nearEnd
      },
      probe: (_to, done) => host.later(1000, () => done('unknown')),
    }
  }
}

interface Side {
  readonly host: Host | null
  handler: PeerHandler | null
  /** Frames on their way to this side. */
  readonly inbox: Uint8Array[]
  closed: boolean
  arriving: boolean
}

/** Both ends of a stream. Frames arrive in order, each after a delay of its own. */
class SimStream {
  readonly near: number
  readonly far: number
  readonly nearEnd: PeerStream
  readonly #network: SimNetwork
  readonly #sides: { near: Side; far: Side }
  readonly #dial: { readonly lane: Lane; readonly hello: Uint8Array }
  #accepted = false

  constructor(
    network: SimNetwork,
    opener: Host,
    to: number,
    dial: { readonly lane: Lane; readonly hello: Uint8Array; readonly handler: PeerHandler },
  ) {
    this.#network = network
    this.near = opener.node
    this.far = to
    this.#dial = dial
    this.#sides = { near: side(opener, dial.handler), far: side(network.host(to) ?? null, null) }
    this.nearEnd = this.#end('near')
    network.schedule(network.delayUs(), () => this.#knock())
  }

  break(why: 'broken' | 'refused', detail = 'the link is gone'): void {
    this.#tell('near', why, detail)
    this.#tell('far', why, detail)
    this.#network.forget(this)
  }

  /** Goes on after a cut. */
  wake(): void {
    if (!this.#accepted && !this.#sides.near.closed) this.#knock()
    for (const name of ['near', 'far'] as const) this.#arrive(name)
  }

  #knock(): void {
    if (this.#accepted || this.#sides.near.closed) return
    if (this.#network.isCut(this.near, this.far) || this.#network.isCut(this.far, this.near)) return
    const host = this.#network.host(this.far)
    if (host === undefined || host.accept === null) return this.break('broken', 'nobody listens there')
    this.#accepted = true
    const far = (this.#sides.far = side(host, null))
    host.later(0, () => {
      const answer = host.accept?.(this.#dial.hello.slice(), this.#dial.lane, this.#end('far')) ?? { refused: 'gone' }
      if ('refused' in answer) return this.break('refused', answer.refused)
      far.handler = answer.handler
      this.#sides.near.inbox.unshift(answer.hello.slice())
      this.#arrive('near')
      this.#arrive('far')
    })
  }

  #end(name: 'near' | 'far'): PeerStream {
    const other = name === 'near' ? 'far' : 'near'
    const sides = this.#sides
    return {
      sendParts(parts) {
        return this.send(Buffer.concat(parts))
      },
      get queuedBytes() {
        return sides[other].inbox.reduce((sum, frame) => sum + frame.length, 0)
      },
      send: (frame) => {
        if (sides[name].closed) return false
        sides[other].inbox.push(frame.slice())
        this.#arrive(other)
        return true
      },
      close: (reason) => {
        if (sides[name].closed) return
        this.#tell(name, 'local', reason)
        this.#network.schedule(this.#network.delayUs(), () => this.#tell(other, 'remote', reason))
        this.#network.forget(this)
      },
    }
  }

  #arrive(name: 'near' | 'far'): void {
    const at = this.#sides[name]
    if (at.arriving || at.closed || at.inbox.length === 0 || !this.#accepted || at.handler === null) return
    at.arriving = true
    this.#network.schedule(this.#network.delayUs(), () => {
      at.arriving = false
      if (at.closed) return
      const [from, to] = name === 'far' ? [this.near, this.far] : [this.far, this.near]
      if (this.#network.isCut(from, to)) return
      const frame = at.inbox.shift()
      if (frame !== undefined) at.host?.later(0, () => this.#hand(name, at, frame))
      this.#arrive(name)
    })
  }

  #greeted = false

  #hand(name: 'near' | 'far', at: Side, frame: Uint8Array): void {
    if (at.closed) return
    if (name === 'near' && !this.#greeted) {
      this.#greeted = true
      at.handler?.opened(frame)
    } else at.handler?.frame(frame)
  }

  #tell(name: 'near' | 'far', why: 'local' | 'remote' | 'broken' | 'refused', detail: string): void {
    const at = this.#sides[name]
    if (at.closed) return
    at.closed = true
    at.host?.later(0, () => at.handler?.closed(why, detail))
  }
}

function side(host: Host | null, handler: PeerHandler | null): Side {
  return { host, handler, inbox: [], closed: false, arriving: false }
}
