import { assert } from '@millrace/base'
import { MAX_FRAME_BYTES } from './peer-service.ts'

/** Above this many queued bytes a sender is told to stop. */
export const HIGH_WATER_BYTES = 4 * 1024 * 1024
/** At or below this many it may go on. */
export const LOW_WATER_BYTES = 1024 * 1024

/** Where frames go: a gRPC call of either side. */
export interface FrameSink {
  write(frame: Uint8Array, written: () => void): boolean
}

/** The frames that a stream has taken and not yet handed to the network. */
export class FrameQueue {
  queuedBytes = 0
  private readonly call: FrameSink
  private readonly drained: () => void
  /** The lengths of the queued frames, oldest first from `head` on. */
  private lengths: number[] = []
  private head = 0
  private full = false

  constructor(call: FrameSink, drained: () => void) {
    this.call = call
    this.drained = drained
  }

  /** Queues a frame; false when the sender must wait for `drained`. */
  send(frame: Uint8Array): boolean {
    assert(frame.length <= MAX_FRAME_BYTES, `a frame of ${frame.length} bytes is larger than ${MAX_FRAME_BYTES}`)
    this.queuedBytes += frame.length
    this.lengths.push(frame.length)
    this.call.write(frame, this.written)
    if (this.queuedBytes >= HIGH_WATER_BYTES) this.full = true
    return !this.full
  }

  private readonly written = (): void => {
    this.queuedBytes -= this.lengths[this.head++] ?? 0
    if (this.head === this.lengths.length) {
      this.lengths = []
      this.head = 0
    }
    if (!this.full || this.queuedBytes > LOW_WATER_BYTES) return
    this.full = false
    this.drained()
  }
}
