import type { LogSlice } from '@millrace/storage'
import type { BrokerReplica } from './replica.ts'

interface Sent {
  readonly endOffset: number
  readonly bytes: number
  readonly catchUp: boolean
}

/** Who carries the frames of a session. */
export interface SessionCarrier {
  /** The log holds more than was sent. */
  wants(session: SendSession): void
  ended(session: SendSession): void
}

/**
 * What one follower of one partition is sent: a cursor that only moves forward from the end that the follower was accepted with. It
 * moves from catch-up to tail where the two meet, without a gap and without sending anything twice.
 */
export class SendSession {
  readonly replica: BrokerReplica
  readonly carrier: SessionCarrier
  readonly brokerId: number
  /** The number on the stream. */
  readonly session: number
  /** The offset to send next. */
  next: number
  /** Waiting in one of its stream's queues. */
  queued = false
  /** A read of the log is under way; `slice` is its outcome until it is sent. */
  reading = false
  slice: LogSlice | null = null
  /** Not before this time after a read that failed. */
  pausedUntilUs = 0
  ended = false
  private sent: Sent[] = []
  private head = 0

  constructor(replica: BrokerReplica, carrier: SessionCarrier, brokerId: number, session: number, next: number) {
    this.replica = replica
    this.carrier = carrier
    this.brokerId = brokerId
    this.session = session
    this.next = next
  }

  record(endOffset: number, bytes: number, catchUp: boolean): void {
    this.sent.push({ endOffset, bytes, catchUp })
  }

  /** Calls `release` for everything that the follower now holds. */
  acked(durableEnd: number, release: (bytes: number, catchUp: boolean) => void): void {
    for (let sent = this.sent[this.head]; sent !== undefined; sent = this.sent[this.head]) {
      if (sent.endOffset > durableEnd) break
      this.head++
      release(sent.bytes, sent.catchUp)
    }
    if (this.head === this.sent.length) {
      this.sent.length = 0
      this.head = 0
    } else if (this.head > 256 && this.head * 2 > this.sent.length) {
      this.sent = this.sent.slice(this.head)
      this.head = 0
    }
  }

  end(release: (bytes: number, catchUp: boolean) => void): void {
    this.ended = true
    this.slice = null
    this.acked(Number.MAX_SAFE_INTEGER, release)
  }
}
