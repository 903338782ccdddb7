import { assert } from '@millrace/base'
import { FrameParts } from './frame-parts.ts'
import { MAX_FRAME_BYTES } from './peer-service.ts'

/**
 * From this many queued bytes on a sender is told to stop. Little, so that frames are made when they can go: those that wait are memory,
 * the longer they wait the dearer to collect, and what comes meanwhile makes the next frame larger instead.
 */
export const HIGH_WATER_BYTES = 256 * 1024
/** At or below this many it may go on. */
export const LOW_WATER_BYTES = 32 * 1024

/** Where frames go: a gRPC call of either side. */
export interface FrameSink {
  write(frame: Uint8Array | FrameParts, written: () => void): boolean
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
  send(frame: Uint8Array | FrameParts): boolean {
    assert(frame.length <= MAX_FRAME_BYTES, `a frame of ${frame.length} bytes is larger than ${MAX_FRAME_BYTES}`)
    this.queuedBytes += frame.length
    this.lengths.push(frame.length)
    this.call.write(frame, this.written)
    if (this.queuedBytes >= HIGH_WATER_BYTES) this.full = true
    return !this.full
  }

  /** The same for a frame in pieces, whose memory is the sender's again when this returns. */
  sendParts(parts: readonly Uint8Array[]): boolean {
    const frame = new FrameParts(parts)
    const goOn = this.send(frame)
    frame.settle()
    return goOn
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
