import type { Lane, PeerHandler, PeerStream } from '@millrace/base'
import type { LaterTurns } from '../turns.ts'
import type { Accept } from './accepted-stream.ts'
import { DirectEnd } from './direct-end.ts'
import type { Ending, EndTurns } from './direct-end.ts'

/** What a connection asks its network. */
export interface DirectLink {
  readonly turns: LaterTurns
  readonly opener: string
  /** Who listens where the opener dials, now. */
  acceptor(): { readonly node: string; readonly accept: Accept } | undefined
  /** How the link to this node is cut, if it is. */
  cut(other: string): 'broken' | 'silent' | undefined
  /** Both ends are over, and know it. */
  over(): void
}

/** A stream between two nodes of a process, with both its ends. */
export class DirectConnection implements EndTurns {
  private readonly link: DirectLink
  private readonly near: DirectEnd
  private readonly far: DirectEnd
  private acceptor: string | null = null
  private lane: Lane = 'control'

  constructor(link: DirectLink) {
    this.link = link
    this.near = new DirectEnd(this)
    this.far = new DirectEnd(this)
  }

  /** The opener's dial; its outcome comes in a later turn. */
  open(lane: Lane, hello: Uint8Array, handler: PeerHandler): PeerStream {
    this.lane = lane
    this.near.handler = handler
    this.near.send(hello)
    return this.near
  }

  joins(one: string, other: string): boolean {
    const { opener } = this.link
    return (opener === one && this.acceptor === other) || (opener === other && this.acceptor === one)
  }

  /** Delivers what was held back while the link was silent. */
  wake(): void {
    this.near.schedule()
    this.far.schedule()
  }

  /** The connection breaks for both ends; what is under way is lost. */
  break(detail: string): void {
    this.endBoth({ why: 'broken', detail })
  }

  /** One of the nodes is dead: it is told nothing, the other sees a broken stream. */
  killed(node: string): void {
    if (this.link.opener === node) this.near.kill()
    if (this.acceptor === node) this.far.kill()
    if (this.link.opener === node || this.acceptor === node) this.break('the connection to the peer is gone')
  }

  later(task: () => void): void {
    this.link.turns.later(task)
  }

  move(from: DirectEnd): void {
    if (this.acceptor === null && !this.dial()) return
    if (this.link.cut(this.acceptor ?? '') === 'silent') return
    const to = from === this.near ? this.far : this.near
    for (const frame of from.take()) {
      if (to === this.far && to.handler === null) this.greet(frame)
      else to.receive(frame)
    }
    from.relax()
    if (from.farewell === null) return
    to.end(from.farewell)
    from.farewell = null
    this.link.over()
  }

  private dial(): boolean {
    const found = this.link.acceptor()
    if (found !== undefined && this.link.cut(found.node) !== 'broken') {
      this.acceptor = found.node
      return true
    }
    this.break(found === undefined ? 'nobody listens there' : 'the link is cut')
    return false
  }

  private greet(hello: Uint8Array): void {
    const listening = this.link.acceptor()
    if (listening === undefined) return this.break('nobody listens there')
    const answer = listening.accept(hello, this.lane, this.far)
    if ('refused' in answer) return this.endBoth({ why: 'refused', detail: answer.refused })
    this.far.handler = answer.handler
    this.far.greet(answer.hello)
  }

  private endBoth(ending: Ending): void {
    for (const end of [this.near, this.far]) {
      end.take()
      end.farewell = null
      end.end(ending)
    }
    this.link.over()
  }
}
