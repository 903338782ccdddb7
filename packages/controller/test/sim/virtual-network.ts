import type {
  Accepted,
  Address,
  Done,
  Lane,
  Listener,
  PeerHandler,
  Peers,
  PeerStream,
  Random,
  Refusal,
} from '@millrace/base'
import type { VirtualTime } from '../virtual-world.ts'

type Accept = (hello: Uint8Array, lane: Lane, stream: PeerStream) => Accepted | Refusal

interface Listening {
  readonly node: string
  readonly accept: Accept
}

/** Links between nodes in virtual time: ordered, delayed by chance, cut and broken by a test. */
export class VirtualNetwork {
  private readonly time: VirtualTime
  private readonly random: Random
  private readonly listening = new Map<string, Listening>()
  private readonly links = new Set<Link>()
  private readonly silent = new Set<string>()

  constructor(time: VirtualTime, random: Random) {
    this.time = time
    this.random = random
  }

  peers(node: string): Peers {
    return {
      listen: (at, accept, done) => this.listen(node, at, accept, done),
      open: (to, lane, hello, handler) => this.open(node, to, { lane, hello, handler }),
      probe: (to, done) => {
        const there = this.listening.get(place(to))
        const cut = there !== undefined && this.isSilent(node, there.node)
        this.after(cut ? 500_000 : 1000, () =>
          done(cut ? 'unknown' : this.listening.has(place(to)) ? 'alive' : 'refused'),
        )
      },
    }
  }

  kill(node: string): void {
    for (const [at, { node: owner }] of this.listening) if (owner === node) this.listening.delete(at)
    for (const link of this.links) if (link.joins(node)) link.break(node)
  }

  /** Breaks the streams between two nodes. */
  break(one: string, other: string): void {
    for (const link of this.links) if (link.joins(one) && link.joins(other)) link.break(null)
  }

  /** Nothing gets through, and nobody is told. */
  cut(one: string, other: string): void {
    this.silent.add(pair(one, other))
  }

  heal(): void {
    this.silent.clear()
    for (const link of this.links) link.flow()
  }

  isSilent(one: string, other: string): boolean {
    return this.silent.has(pair(one, other))
  }

  after(us: number, run: () => void): void {
    this.time.after(us, run)
  }

  delayUs(): number {
    return 50 + this.random.below(3000)
  }

  forget(link: Link): void {
    this.links.delete(link)
  }

  private listen(node: string, at: Address, accept: Accept, done: Done<Listener>): void {
    this.listening.set(place(at), { node, accept })
    this.after(0, () => done(null, { address: at, close: (closed) => this.after(0, () => closed(null)) }))
  }

  private open(
    node: string,
    to: Address,
    { lane, hello, handler }: { readonly lane: Lane; readonly hello: Uint8Array; readonly handler: PeerHandler },
  ): PeerStream {
    const there = this.listening.get(place(to))
    const link = new Link(this, node, there?.node ?? '', handler)
    this.links.add(link)
    this.after(this.delayUs(), () => {
      const now = this.listening.get(place(to))
      if (now === undefined || now.node !== link.far.node) return link.break(null)
      const answer = now.accept(hello.slice(), lane, link.far)
      if ('refused' in answer) return link.refuse(answer.refused)
      link.accepted(answer)
    })
    return link.near
  }
}

function place({ host, port }: Address): string {
  return `${host}:${port}`
}

function pair(one: string, other: string): string {
  return [one, other].sort((a, b) => (a < b ? -1 : 1)).join('|')
}

/** One end: what it sends arrives at the other in order. */
class End implements PeerStream {
  readonly node: string
  handler: PeerHandler | null
  other!: End
  queuedBytes = 0
  private readonly network: VirtualNetwork
  private queue: (() => void)[] = []
  private moving = false
  over = false

  constructor(network: VirtualNetwork, node: string, handler: PeerHandler | null) {
    this.network = network
    this.node = node
    this.handler = handler
  }

  send(frame: Uint8Array): boolean {
    if (this.over) return false
    const copy = frame.slice()
    this.queuedBytes += copy.length
    this.push(() => {
      this.queuedBytes -= copy.length
      this.other.handler?.frame(copy)
    })
    return true
  }

  sendParts(parts: readonly Uint8Array[]): boolean {
    return this.send(Buffer.concat(parts))
  }

  close(reason: string): void {
    if (this.over) return
    this.push(() => this.other.end('remote', reason))
    this.end('local', reason)
  }

  push(deliver: () => void): void {
    this.queue.push(deliver)
    this.flow()
  }

  flow(): void {
    if (this.moving || this.queue.length === 0 || this.network.isSilent(this.node, this.other.node)) return
    this.moving = true
    this.network.after(this.network.delayUs(), () => {
      this.moving = false
      if (this.network.isSilent(this.node, this.other.node)) return
      const deliver = this.queue.shift()
      if (!this.other.over) deliver?.()
      this.flow()
    })
  }

  end(why: 'local' | 'remote' | 'broken' | 'refused', detail: string): void {
    if (this.over) return
    this.over = true
    this.network.after(0, () => this.handler?.closed(why, detail))
  }
}

class Link {
  readonly near: End
  readonly far: End
  private readonly network: VirtualNetwork

  constructor(network: VirtualNetwork, opener: string, acceptor: string, handler: PeerHandler) {
    this.network = network
    this.near = new End(network, opener, handler)
    this.far = new End(network, acceptor, null)
    this.near.other = this.far
    this.far.other = this.near
  }

  joins(node: string): boolean {
    return this.near.node === node || this.far.node === node
  }

  accepted({ hello, handler }: Accepted): void {
    this.far.handler = handler
    this.network.after(this.network.delayUs(), () => {
      if (!this.near.over) this.near.handler?.opened(hello)
    })
  }

  refuse(reason: string): void {
    this.near.end('refused', reason)
    this.network.forget(this)
  }

  /** The node that died, if that is why, hears nothing. */
  break(dead: string | null): void {
    for (const end of [this.near, this.far])
      if (end.node === dead) end.over = true
      else end.end('broken', 'connection reset')
    this.network.forget(this)
  }

  flow(): void {
    this.near.flow()
    this.far.flow()
  }
}
