import { ProtocolError } from './errors.ts'

/** Cuts a stream of chunks into frames with an int32 length before each. A frame that spans chunks is copied once. */
export class FrameAssembler {
  private readonly maxFrameBytes: number
  private readonly deliver: (frame: Uint8Array) => void
  private readonly head = Buffer.alloc(4)
  private headBytes = 0
  private body: Buffer | null = null
  private bodyBytes = 0

  constructor(maxFrameBytes: number, deliver: (frame: Uint8Array) => void) {
    this.maxFrameBytes = maxFrameBytes
    this.deliver = deliver
  }

  /** Throws `ProtocolError` at a length that no frame has; what `deliver` throws passes through. */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) at = this.body === null ? this.takeHead(chunk, at) : this.takeBody(chunk, at, this.body)
  }

  private takeHead(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.head, this.headBytes, at, at + 4 - this.headBytes)
    this.headBytes += taken
    if (this.headBytes < 4) return at + taken
    const length = this.head.readInt32BE(0)
    if (length < 4 || length > this.maxFrameBytes)
      throw new ProtocolError(`a frame of ${length} bytes is not an answer (at most ${this.maxFrameBytes})`)
    this.headBytes = 0
    const start = at + taken
    if (chunk.length - start >= length) {
      this.deliver(chunk.subarray(start, start + length))
      return start + length
    }
    this.body = Buffer.allocUnsafeSlow(length)
    this.bodyBytes = 0
    return start
  }

  private takeBody(chunk: Buffer, at: number, body: Buffer): number {
    const taken = chunk.copy(body, this.bodyBytes, at, at + body.length - this.bodyBytes)
    this.bodyBytes += taken
    if (this.bodyBytes === body.length) {
      this.body = null
      this.deliver(body)
    }
    return at + taken
  }
}
