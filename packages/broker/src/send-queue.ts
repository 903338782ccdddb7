import type { Clock, Logger, Timers } from '@millrace/base'
import { nextOffset } from '@millrace/records'
import type { LogSlice } from '@millrace/storage'
import { FRAME_BYTES, type OutgoingFrame } from './leader-frame.ts'
import type { BrokerCounters } from './metrics.ts'
import type { SendSession } from './send-session.ts'

/** Bytes that a follower may have unacknowledged. */
export const WINDOW_BYTES = 8 << 20
/** Catch-up gets at most half of the window, so that replicas in sync stay in sync. */
export const CATCH_UP_WINDOW_BYTES = WINDOW_BYTES / 2
/** What one partition reads before it is the next one's turn. */
const CATCH_UP_READ_BYTES = FRAME_BYTES / 4
const READ_RETRY_US = 1_000_000

export interface SendQueueHost {
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
 * Decides whose batches go to one follower next: tails first, because they cost no read and keep replicas in sync; then catch-up, each
 * partition in its turn, within half of the window.
 */
export class SendQueue {
  private readonly host: SendQueueHost
  private tails: SendSession[] = []
  private catchUps: SendSession[] = []
  private inFlight = 0
  private catchUpInFlight = 0

  constructor(host: SendQueueHost) {
    this.host = host
  }

  get inFlightBytes(): number {
    return this.inFlight
  }

  addTail(session: SendSession): void {
    if (session.queued || session.reading || session.slice !== null) return
    this.tails.push(session)
    this.host.wake()
  }

  addCatchUp(session: SendSession): void {
    if (session.queued || session.reading || session.ended) return
    session.queued = true
    this.catchUps.push(session)
    this.host.wake()
  }

  acked(session: SendSession, durableEnd: number): void {
    const before = this.inFlight
    session.acked(durableEnd, this.release)
    if (this.inFlight < before && this.catchUps.length > 0) this.host.wake()
  }

  end(session: SendSession): void {
    session.end(this.release)
    if (this.catchUps.length > 0) this.host.wake()
  }

  /** Adds what may be sent now, until the frame is full. */
  fill(frame: OutgoingFrame): void {
    while (this.tails.length > 0 && this.inFlight < WINDOW_BYTES) {
      const session = this.tails[0] as SendSession
      if (!this.fillTail(session, frame)) return
      this.tails.shift()
    }
    this.fillCatchUp(frame)
  }

  /** The buffers of this turn are about to be forgotten: what is not sent yet is read from the log later. */
  endTurn(): void {
    if (this.tails.length === 0) return
    const tails = this.tails
    this.tails = []
    for (const session of tails) this.addCatchUp(session)
  }

  /** False when the frame or the window is full before the session is done. */
  private fillTail(session: SendSession, frame: OutgoingFrame): boolean {
    const { recent } = session.replica
    if (session.ended || recent === null) return true
    const parts: Uint8Array[] = []
    const from = session.next
    let bytes = 0
    let offset = recent.baseOffset
    for (const batch of recent.batches) {
      const begins = offset
      offset = nextOffset(batch, 0)
      if (begins < from) continue
      if (!frame.fits(bytes, batch.length) || this.inFlight + bytes >= WINDOW_BYTES) break
      parts.push(batch)
      bytes += batch.length
      session.next = offset
    }
    if (bytes > 0) this.addAppend(session, { parts, bytes, nextOffset: session.next }, from, frame, false)
    return session.next === recent.endOffset
  }

  /** A session that has more to send stands at the end of the queue again, so partitions take turns within a frame, too. */
  private fillCatchUp(frame: OutgoingFrame): void {
    while (this.catchUps.length > 0 && frame.fits(0, CATCH_UP_READ_BYTES)) {
      if (this.inFlight >= WINDOW_BYTES || this.catchUpInFlight >= CATCH_UP_WINDOW_BYTES) return
      const session = this.catchUps.shift() as SendSession
      session.queued = false
      if (!session.ended) this.sendNext(session, frame)
    }
  }

  private sendNext(session: SendSession, frame: OutgoingFrame): void {
    const slice = session.slice ?? this.read(session)
    if (slice === null) return
    session.slice = null
    const from = session.next
    session.next = slice.nextOffset
    this.addAppend(session, slice, from, frame, true)
    if (session.next < session.replica.log.endOffset) this.addCatchUp(session)
  }

  /** The slice at once when the log's tail cache holds it; else null, and the session is queued again once it is read. */
  private read(session: SendSession): LogSlice | null {
    const { log } = session.replica
    if (session.next >= log.endOffset || session.pausedUntilUs > this.host.clock.monotonicUs()) return null
    if (session.next < log.logStart) {
      this.host.belowLog(session)
      return null
    }
    session.reading = true
    const slice = log.read(session.next, CATCH_UP_READ_BYTES, log.endOffset, (error, late) => {
      session.reading = false
      this.release(CATCH_UP_READ_BYTES, true)
      if (session.ended) return
      if (error !== null || late.bytes === 0) this.pause(session, error)
      else {
        session.slice = late
        this.addCatchUp(session)
      }
    })
    if (slice === null) {
      this.hold(CATCH_UP_READ_BYTES, true)
      return null
    }
    session.reading = false
    if (slice.bytes > 0) return slice
    this.pause(session, null)
    return null
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
      this.addCatchUp(session)
    })
  }

  private addAppend(session: SendSession, slice: LogSlice, from: number, frame: OutgoingFrame, catchUp: boolean): void {
    const { highWatermark, logStart } = session.replica.machine
    session.replica.machine.carried(session.session)
    frame.addAppend(
      { session: session.session, baseOffset: from, highWatermark, logStart, batches: slice.parts, more: false },
      slice.bytes,
    )
    session.record(slice.nextOffset, slice.bytes, catchUp)
    this.hold(slice.bytes, catchUp)
    if (catchUp) this.host.counters.catchUpBytes += slice.bytes
    else this.host.counters.tailBytes += slice.bytes
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
