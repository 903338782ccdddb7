import { Violation } from '../seams.ts'

const LENGTH_BYTES = 4
const MAX_FRAME_BYTES = 64 * 1024 * 1024

/** Cuts a stream of chunks into frames, each with an int32 of its length before it. */
export class FrameReader {
  private readonly deliver: (frame: Uint8Array) => void
  /** What came and is no whole frame yet. */
  private held: Uint8Array[] = []
  private heldBytes = 0
  /** Bytes that are needed before there is anything to do. */
  private wanted = LENGTH_BYTES

  constructor(deliver: (frame: Uint8Array) => void) {
    this.deliver = deliver
  }

  push(chunk: Uint8Array): void {
    this.held.push(chunk)
    this.heldBytes += chunk.length
    if (this.heldBytes < this.wanted) return
    const bytes = this.held.length === 1 ? chunk : Buffer.concat(this.held, this.heldBytes)
    let at = 0
    for (;;) {
      const left = bytes.length - at
      this.wanted = left < LENGTH_BYTES ? LENGTH_BYTES : LENGTH_BYTES + lengthAt(bytes, at)
      if (left < this.wanted) break
      this.deliver(bytes.subarray(at + LENGTH_BYTES, at + this.wanted))
      at += this.wanted
    }
    this.held = at === bytes.length ? [] : [bytes.subarray(at)]
    this.heldBytes = bytes.length - at
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset + at, LENGTH_BYTES).getInt32(0)
  if (length < LENGTH_BYTES || length > MAX_FRAME_BYTES)
    throw new Violation('wire-format', `a broker sent a frame of ${length} bytes`)
  return length
}
