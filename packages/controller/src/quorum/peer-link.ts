import type { Accepted, Address, PeerHandler, PeerStream, Refusal, Timer, VoterId, World } from '@millrace/base'
import { Hello, RaftFrame, RpcDecodeError } from '@millrace/rpc'

/** What a link asks of its node. */
export interface PeerLinkHooks {
  /** This node's hello, as of now. */
  hello(): Hello
  /** Why this peer is not talked to; null when it is. */
  objection(hello: Hello): string | null
  up(link: PeerLink): void
  frame(link: PeerLink, frame: RaftFrame): void
  /** The connection to this peer ended. */
  down(peer: VoterId): void
}

/** A refusal that passes by itself: no reason to worry anybody. */
export const NOT_OPEN_YET = 'the quorum is not open yet'

const FIRST_DELAY_US = 50_000
const LONGEST_DELAY_US = 1_000_000

/**
 * The control stream to one other member. Of a pair the node with the lower id dials, so there is one stream and no race of
 * two; it dials again after 50 ms, later up to every second. A new stream from the same node replaces the old one, which is
 * then known to be dead.
 */
export class PeerLink {
  readonly id: number
  readonly address: Address
  readonly #world: World
  readonly #hooks: PeerLinkHooks
  readonly #dials: boolean
  #stream: PeerStream | null = null
  #hello: Hello | null = null
  #failures = 0
  #retry: Timer | null = null
  #stopped = false
  #lastComplaint = ''

  constructor(
    world: World,
    self: number,
    peer: { readonly id: number; readonly address: Address },
    hooks: PeerLinkHooks,
  ) {
    this.#world = world
    this.#hooks = hooks
    this.id = peer.id
    this.address = peer.address
    this.#dials = self < peer.id
  }

  /** Who is on the other side; null while the link is down. */
  get hello(): Hello | null {
    return this.#hello
  }

  get peer(): VoterId | null {
    return this.#hello === null ? null : identityOf(this.#hello)
  }

  /** The peer's hello is as old as the connection: it has begun since. */
  noLongerBlank(): void {
    if (this.#hello !== null) this.#hello = { ...this.#hello, blank: false }
  }

  start(): void {
    if (this.#dials) this.#dial()
  }

  /** The peer opened a stream. */
  accept(hello: Hello, stream: PeerStream): Accepted | Refusal {
    const objection = this.#stopped ? 'this node stops' : this.#hooks.objection(hello)
    if (objection !== null) {
      this.#complain(objection)
      return { refused: objection }
    }
    this.#drop('a newer stream of this node replaces it')
    this.#stream = stream
    // The hello goes out before any frame; the link counts as up when this call has returned.
    this.#world.timers.endOfTurn(() => {
      if (this.#stream === stream) this.#becomeUp(hello)
    })
    return { hello: Hello.encode(this.#hooks.hello()), handler: this.#handler(stream) }
  }

  /** Lost when the link is down: Raft sends again what matters. */
  send(frame: RaftFrame): void {
    if (this.#hello !== null) this.#stream?.send(RaftFrame.encode(frame))
  }

  stop(): void {
    this.#stopped = true
    this.#retry?.cancel()
    this.#stream?.close('this node stops')
    this.#stream = null
    this.#hello = null
  }

  #dial(): void {
    this.#retry = null
    if (this.#stopped) return
    let stream: PeerStream | null = null
    const handler: PeerHandler = {
      opened: (bytes) => this.#opened(stream as PeerStream, bytes),
      frame: (bytes) => this.#frame(stream as PeerStream, bytes),
      drained: () => {},
      closed: (why, detail) => this.#closed(stream as PeerStream, why, detail),
    }
    stream = this.#world.peers.open(this.address, 'control', Hello.encode(this.#hooks.hello()), handler)
    this.#stream = stream
  }

  #handler(stream: PeerStream): PeerHandler {
    return {
      opened: () => {},
      frame: (bytes) => this.#frame(stream, bytes),
      drained: () => {},
      closed: (why, detail) => this.#closed(stream, why, detail),
    }
  }

  #opened(stream: PeerStream, bytes: Uint8Array): void {
    if (stream !== this.#stream) return
    const hello = decodeHello(bytes)
    const objection = hello === null ? 'its hello does not decode' : this.#hooks.objection(hello)
    if (hello === null || objection !== null) {
      this.#complain(objection ?? '')
      stream.close(objection ?? '')
      return
    }
    this.#becomeUp(hello)
  }

  #becomeUp(hello: Hello): void {
    this.#hello = hello
    this.#failures = 0
    this.#lastComplaint = ''
    this.#hooks.up(this)
  }

  #frame(stream: PeerStream, bytes: Uint8Array): void {
    if (stream !== this.#stream) return
    let frame: RaftFrame
    try {
      frame = RaftFrame.decode(bytes)
    } catch (error) {
      if (!(error instanceof RpcDecodeError)) throw error
      this.#complain(`a frame of it does not decode: ${error.message}`)
      stream.close('a frame does not decode')
      return
    }
    if (this.#hello === null) this.#world.timers.endOfTurn(() => this.#later(stream, frame))
    else this.#hooks.frame(this, frame)
  }

  /** A frame that came in the very turn in which the stream was accepted. */
  #later(stream: PeerStream, frame: RaftFrame): void {
    if (stream === this.#stream && this.#hello !== null) this.#hooks.frame(this, frame)
  }

  #closed(stream: PeerStream, why: string, detail: string): void {
    if (why === 'refused' && detail !== NOT_OPEN_YET) this.#complain(`it refused this node: ${detail}`)
    if (stream !== this.#stream) return
    this.#drop('')
    if (this.#dials && !this.#stopped) this.#retryLater()
  }

  #drop(reason: string): void {
    const { peer } = this
    const stream = this.#stream
    this.#stream = null
    this.#hello = null
    if (reason !== '') stream?.close(reason)
    if (peer !== null) this.#hooks.down(peer)
  }

  #retryLater(): void {
    const delay = Math.min(LONGEST_DELAY_US, FIRST_DELAY_US * 2 ** Math.min(this.#failures, 10))
    this.#failures++
    // Half of the delay is chance, so that nodes that lost each other do not all come back at once.
    const jittered = delay / 2 + this.#world.random.below(delay / 2)
    this.#retry = this.#world.timers.after(jittered, () => this.#dial())
  }

  /** One line per reason, however often it comes back. */
  #complain(reason: string): void {
    if (reason === this.#lastComplaint) return
    this.#lastComplaint = reason
    this.#world.log.warn({ peer: this.id, reason }, 'a quorum peer cannot be talked to')
  }
}

export function identityOf(hello: Hello): VoterId {
  return { id: hello.nodeId, directoryId: hello.incarnationId }
}

export function decodeHello(bytes: Uint8Array): Hello | null {
  try {
    return Hello.decode(bytes)
  } catch (error) {
    if (error instanceof RpcDecodeError) return null
    throw error
  }
}
