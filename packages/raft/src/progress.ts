import type { VoterId } from '@millrace/base'

/**
 * What a leader knows of one peer's log.
 *
 *   probe      `next` is a guess: one append at a time until an answer confirms it
 *   replicate  `next` is right: appends are pipelined, `next` runs ahead of `match`
 *   snapshot   the entries it needs are gone: the snapshot is offered with every heartbeat
 */
export class Progress {
  readonly peer: VoterId
  /** Everything up to here is durable on the peer, as it said on this connection. */
  match = 0
  next: number
  state: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** Ticks since it answered last. */
  silentTicks = 0
  /** Held everything that was in the log at the last heartbeat. */
  caughtUp = false
  ackedRound = 0
  /** It said that its store forgot promises: it counts for nothing. */
  forgetful = false
  /** The commit index that it was told last. */
  toldCommit = 0
  heartbeatDue = true
  /** A probe is on its way: the next one waits for the answer or a heartbeat. */
  probed = false
  /** The read under way for this peer; 0 without one. */
  reading = 0
  /** Last index of each append under way, in order. */
  inflight: number[] = []

  constructor(peer: VoterId, next: number) {
    this.peer = peer
    this.next = next
  }

  /** How far this peer counts toward a commit. */
  get counted(): number {
    return this.forgetful ? 0 : this.match
  }

  /** The connection broke: what was on its way is lost, and who comes back may have less than who went. */
  reconnect(): void {
    const next = this.match + 1
    this.match = 0
    if (this.state === 'snapshot') return
    this.becomeProbe(next)
  }

  becomeProbe(next: number): void {
    this.state = 'probe'
    this.next = Math.max(next, this.match + 1)
    this.#forgetSent()
  }

  becomeSnapshot(): void {
    this.state = 'snapshot'
    this.heartbeatDue = true
    this.#forgetSent()
  }

  /** An answer confirms that the peer's log matches up to `index`. */
  confirm(index: number): void {
    this.match = Math.max(this.match, index)
    this.next = Math.max(this.next, this.match + 1)
    while (this.inflight.length > 0 && (this.inflight[0] as number) <= index) this.inflight.shift()
    this.probed = false
    if (this.state !== 'replicate' && index >= this.match) {
      this.#forgetSent()
      this.state = 'replicate'
      this.next = this.match + 1
    }
  }

  sent(lastIndex: number): void {
    if (this.state === 'probe') this.probed = true
    else {
      this.inflight.push(lastIndex)
      this.next = lastIndex + 1
    }
  }

  #forgetSent(): void {
    this.probed = false
    this.reading = 0
    this.inflight = []
  }
}
