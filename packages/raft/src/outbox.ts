import type { VoterId } from '@millrace/base'
import type { RaftLog } from './log.ts'
import type { RaftMessage, RaftOutput, RaftSend } from './types.ts'

interface Queued {
  readonly to: VoterId
  readonly message: RaftMessage
  /** The entry that must be durable first; 0: the hard state is enough. */
  readonly durable: number
}

/**
 * Messages and reads until the next `ready`. Every message waits for the hard state of its term; one that vouches for
 * entries waits for them too.
 */
export class Outbox {
  #queued: Queued[] = []
  #reads: { request: number; from: number; to: number }[] = []
  #lastRequest = 0

  send(to: VoterId, message: RaftMessage, durable = 0): void {
    this.#queued.push({ to, message, durable })
  }

  read(from: number, to: number): number {
    this.#lastRequest++
    this.#reads.push({ request: this.#lastRequest, from, to })
    return this.#lastRequest
  }

  takeReads(): RaftOutput['read'] {
    const reads = this.#reads
    this.#reads = []
    return reads
  }

  /** `hardStateToken` is 0 when the hard state is durable. */
  takeSends(log: RaftLog, term: number, hardStateToken: number): readonly RaftSend[] {
    const queued = this.#queued
    if (queued.length === 0) return []
    this.#queued = []
    const sends: RaftSend[] = []
    for (const { to, message, durable } of queued) {
      if (durable > 0 && message.term < term) continue // It vouches for entries that a newer term may have replaced.
      const token = log.tokenOf(durable)
      if (token !== null) sends.push({ to, message, after: Math.max(token, hardStateToken) })
    }
    return sends
  }
}
