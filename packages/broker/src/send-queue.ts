import type { Clock, Logger, Timers } from '@millrace/base'
import type { LogSlice } from '@millrace/storage'
import { FRAME_BYTES, type OutgoingFrame } from './leader-frame.ts'
import type { BrokerCounters } from './metrics.ts'
import type { SendSession } from './send-session.ts'

/** Bytes that a follower may have unacknowledged. */
export const WINDOW_BYTES = 8 << 20
/** Catch-up gets at most half of the window, so that replicas in sync stay in sync. */
export const CATCH_UP_WINDOW_BYTES = WINDOW_BYTES / 2
/** What one partition sends before it is the next one's turn. */
const SHARE_BYTES = FRAME_BYTES / 4
const READ_RETRY_US = 1_000_000
/** Who is slowed down is looked at again so soon at the latest: a rate may change meanwhile. */
const SLOW_LOOK_US = 100_000

/** Who may be slowed down, and for how long. */
export interface SendThrottle {
  /** How long the session must not be sent anything; 0: not at all. */
  waitUs(session: SendSession): number
  /** Returns whether the bytes counted. */
  sent(session: SendSession, bytes: number): boolean
}

export interface SendQueueHost {
  readonly throttle: SendThrottle
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Logger
  readonly counters: BrokerCounters
  /** There is something to send. */
  wake(): void
  /** The log no longer holds what the session needs next. */
  belowLog(session: SendSession): void
}

/**
 * Decides whose batches go to one follower next: first what the tail cache holds, because it costs no read and keeps replicas in sync; then
 * catch-up from disk within half of the window. Each partition in its turn.
 */
export class SendQueue {
  private readonly host: SendQueueHost
  private tails: SendSession[] = []
  private catchUps: SendSession[] = []
  /** Not before its time: they come back to the queue by a timer. */
  private slowed: SendSession[] = []
  private inFlight = 0
  private catchUpInFlight = 0

  constructor(host: SendQueueHost) {
    this.host = host
  }

  get inFlightBytes(): number {
    return this.inFlight
  }

  /** The session's log holds more than was sent. */
  add(session: SendSession): void {
    if (session.queued || session.reading || session.slice !== null || session.ended) return
    session.queued = true
    this.tails.push(session)
    this.host.wake()
  }

  acked(session: SendSession, durableEnd: number): void {
    const before = this.inFlight
    session.acked(durableEnd, this.release)
    if (this.inFlight < before) this.wakeIfWaiting()
  }

  end(session: SendSession): void {
    session.end(this.release)
    this.wakeIfWaiting()
  }

  /**
   * Adds what may be sent now, until the frame is full. The batches lie where the log keeps them: the frame is to be sent before anything
   * else happens.
   */
  fill(frame: OutgoingFrame): void {
    while (this.tails.length > 0 && this.inFlight < WINDOW_BYTES) {
      if (!this.fillTail(this.tails[0] as SendSession, frame)) return
      this.tails.shift()
    }
    this.fillCatchUp(frame)
  }

  private wakeIfWaiting(): void {
    if (this.tails.length > 0 || this.catchUps.length > 0) this.host.wake()
  }

  /** False when the frame is full. A session that has more to send stands at the end of the queue again, so partitions take turns. */
  private fillTail(session: SendSession, frame: OutgoingFrame): boolean {
    if (session.ended || this.slow(session)) return true
    const { log } = session.replica
    const { room } = frame
    const slice = log.peek(session.next, Math.min(room, SHARE_BYTES), log.endOffset)
    if (slice === null) {
      this.catchUps.push(session)
      return true
    }
    if (frame.hasBatches && slice.bytes > room) return false
    session.queued = false
    if (slice.bytes > 0) this.addAppend(session, slice, frame, false)
    return true
  }

  private fillCatchUp(frame: OutgoingFrame): void {
    while (this.catchUps.length > 0 && (!frame.hasBatches || frame.room >= SHARE_BYTES)) {
      if (this.inFlight >= WINDOW_BYTES || this.catchUpInFlight >= CATCH_UP_WINDOW_BYTES) return
      const session = this.catchUps.shift() as SendSession
      if (session.ended || (session.slice === null && this.slow(session))) continue
      session.queued = false
      const slice = session.slice ?? this.read(session)
      session.slice = null
      if (slice !== null) this.addAppend(session, slice, frame, true)
    }
  }

  /** Whether the session has to wait, and then waits. */
  private slow(session: SendSession): boolean {
    const waitUs = this.host.throttle.waitUs(session)
    if (waitUs === 0) return false
    this.slowed.push(session)
    if (this.slowed.length > 1) return true
    this.host.timers.after(Math.min(waitUs, SLOW_LOOK_US), () => {
      const { slowed } = this
      this.slowed = []
      for (const one of slowed) {
        one.queued = false
        this.add(one)
      }
    })
    return true
  }

  /** The slice where the log has it at once; else null, and the session is queued again once it is read. */
  private read(session: SendSession): LogSlice | null {
    const { log } = session.replica
    if (session.next >= log.endOffset || session.pausedUntilUs > this.host.clock.monotonicUs()) return null
    if (session.next < log.logStart) {
      this.host.belowLog(session)
      return null
    }
    session.reading = true
    // A follower would store what rotted here, or refuse it for ever.
    const slice = log.readProven(session.next, SHARE_BYTES, log.endOffset, (error, late) => {
      session.reading = false
      this.release(SHARE_BYTES, true)
      if (session.ended) return
      if (error !== null || late.bytes === 0) this.pause(session, error)
      else this.wasRead(session, late)
    })
    if (slice === null) {
      this.hold(SHARE_BYTES, true)
      return null
    }
    session.reading = false
    if (slice.bytes > 0) return slice
    this.pause(session, null)
    return null
  }

  private wasRead(session: SendSession, slice: LogSlice): void {
    session.slice = slice
    session.queued = true
    this.catchUps.push(session)
    this.host.wake()
  }

  private pause(session: SendSession, error: unknown): void {
    const { topic, partition } = session.replica
    this.host.log.warn(
      { topic, partition, follower: session.brokerId, offset: session.next, error },
      'catch-up read failed',
    )
    session.pausedUntilUs = this.host.clock.monotonicUs() + READ_RETRY_US
    this.host.timers.after(READ_RETRY_US, () => {
      session.pausedUntilUs = 0
      this.add(session)
    })
  }

  private addAppend(session: SendSession, slice: LogSlice, frame: OutgoingFrame, catchUp: boolean): void {
    const { machine, log } = session.replica
    const { highWatermark, logStart } = machine
    machine.carried(session.session)
    frame.addAppend(
      {
        session: session.session,
        baseOffset: session.next,
        highWatermark,
        logStart,
        batches: slice.parts,
        more: false,
      },
      slice.bytes,
    )
    session.next = slice.nextOffset
    session.record(slice.nextOffset, slice.bytes, catchUp)
    this.hold(slice.bytes, catchUp)
    if (this.host.throttle.sent(session, slice.bytes)) this.host.counters.throttledBytes += slice.bytes
    if (catchUp) this.host.counters.catchUpBytes += slice.bytes
    else this.host.counters.tailBytes += slice.bytes
    if (session.next < log.endOffset) this.add(session)
  }

  private hold(bytes: number, catchUp: boolean): void {
    this.inFlight += bytes
    if (catchUp) this.catchUpInFlight += bytes
  }

  private readonly release = (bytes: number, catchUp: boolean): void => {
    this.inFlight -= bytes
    if (catchUp) this.catchUpInFlight -= bytes
  }
}
