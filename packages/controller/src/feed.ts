import type { PeerStream, Timer, Timers } from '@millrace/base'
import { ControllerFrame } from '@millrace/rpc'
import type { Committed } from './committed.ts'

/** What one frame carries, and how much may wait in a stream: heartbeats share it and must not stand behind much. */
const FRAME_BYTES = 128 * 1024
const QUEUED_BYTES = 256 * 1024
/** A stream tells when it drained only after it was full, which is much later: so it is looked at. */
const LOOK_AGAIN_US = 2000

/**
 * Brings one broker's image up to date and keeps it so: a snapshot where the entries it lacks are gone, then committed entries in
 * order, as fast as the stream takes them.
 */
export class Feed {
  private readonly stream: PeerStream
  private readonly committed: Committed
  /** The last entry that was sent; null before the broker registered. */
  private sent: number | null = null
  private snapshot: { readonly bytes: Uint8Array; readonly index: number; readonly term: number; at: number } | null =
    null
  private told = -1
  private readonly timers: Timers
  private again: Timer | null = null

  constructor(stream: PeerStream, committed: Committed, timers: Timers) {
    this.stream = stream
    this.committed = committed
    this.timers = timers
  }

  /** -1 until something was sent. A snapshot counts once all of it was sent. */
  get sentIndex(): number {
    return this.snapshot === null ? (this.sent ?? -1) : -1
  }

  /** The broker holds the state of `appliedIndex`, or none when it is negative. */
  start(appliedIndex: number): void {
    // Nobody can have applied what is not committed: such a broker holds another cluster's state.
    const known = appliedIndex >= 0 && appliedIndex <= this.committed.index
    this.sent = known ? appliedIndex : -1
    this.pump()
  }

  /** Sends what there is to send while the stream takes it. */
  pump(): void {
    if (this.sent === null) return
    while (this.stream.queuedBytes < QUEUED_BYTES) if (!this.step()) return
    this.again ??= this.timers.after(LOOK_AGAIN_US, () => {
      this.again = null
      this.pump()
    })
  }

  /** The stream ended. */
  stop(): void {
    this.sent = null
    this.snapshot = null
    this.again?.cancel()
    this.again = null
  }

  private step(): boolean {
    if (this.snapshot === null && (this.sent === -1 || !this.committed.history.continues(this.sent as number)))
      this.snapshot = {
        bytes: this.committed.snapshot(),
        index: this.committed.index,
        term: this.committed.term,
        at: 0,
      }
    return this.snapshot === null ? this.sendEntries() : this.sendChunk(this.snapshot)
  }

  private sendChunk(snapshot: NonNullable<Feed['snapshot']>): boolean {
    const { bytes, index, term, at } = snapshot
    const end = Math.min(bytes.length, at + FRAME_BYTES)
    const last = end === bytes.length
    this.stream.send(ControllerFrame.encode({ kind: 'snapshot', index, term, data: bytes.subarray(at, end), last }))
    snapshot.at = end
    if (last) {
      this.snapshot = null
      this.sent = index
      this.told = index
    }
    return true
  }

  private sendEntries(): boolean {
    const sent = this.sent as number
    const entries = this.committed.history.after(sent, FRAME_BYTES)
    // A broker that has everything is still told once where the log ends.
    if (entries.length === 0 && this.told === this.committed.index) return false
    this.stream.send(ControllerFrame.encode({ kind: 'records', entries, committedIndex: this.committed.index }))
    this.sent = entries.at(-1)?.index ?? sent
    this.told = this.committed.index
    return entries.length > 0
  }
}
