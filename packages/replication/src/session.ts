import type { Random } from '@millrace/base'
import { Backoff } from './tick-clock.ts'
import type { FollowerProgress } from './types.ts'

const FIRST_JOIN_RETRY_US = 200_000
const LONGEST_JOIN_RETRY_US = 5_000_000

/** A number that no other session of this node has: 53 random bits, never 0. */
export function newSession(random: Random): number {
  return (random.uint32() & 0x1f_ffff) * 2 ** 32 + random.uint32() || 1
}

/**
 * What the leader knows of one follower in the present leader epoch. The record outlives a broken stream: what the follower
 * acknowledged stays true of its log for as long as the same incarnation lives, and a broken stream alone shrinks nothing.
 */
export class FollowerSession implements FollowerProgress {
  readonly brokerId: number
  brokerEpoch = -1
  session = 0
  acceptedEnd = 0
  durableEnd = -1
  logStart = 0
  /** Member of the committed ISR. */
  inSync = false
  /** Member of the maximal ISR: the watermark needs its promise. */
  counted = false
  /** Messages of the session can travel. */
  connected = false
  /** The follower asked to leave: it is shrunk without waiting, and not taken back before it follows again. */
  leaving = false
  /** It is about to join, so the watermark waits for it: else a busy log would always be a step ahead of its acks. */
  joining = false
  caughtUpUs: number
  toldHighWatermark = -1
  toldLogStart = -1
  readonly joinBackoff = new Backoff(FIRST_JOIN_RETRY_US, LONGEST_JOIN_RETRY_US)

  constructor(brokerId: number, caughtUpUs: number) {
    this.brokerId = brokerId
    this.caughtUpUs = caughtUpUs
  }

  begin(session: number, brokerEpoch: number, endOffset: number, logStart: number): void {
    this.session = session
    this.brokerEpoch = brokerEpoch
    this.acceptedEnd = endOffset
    this.logStart = logStart
    // What it promises it will say itself: its log may end above what it holds on disk.
    this.durableEnd = -1
    this.connected = true
    this.leaving = false
    this.joining = false
  }

  end(): void {
    this.connected = false
    this.joining = false
  }

  /** Its incarnation is gone: what that one promised is void. */
  forget(): void {
    this.end()
    this.session = 0
    this.brokerEpoch = -1
    this.durableEnd = -1
    if (!this.inSync) this.caughtUpUs = -Infinity
  }

  told(highWatermark: number, logStart: number): void {
    this.toldHighWatermark = highWatermark
    this.toldLogStart = logStart
  }
}
