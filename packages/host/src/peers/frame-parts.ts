import { gatherInto } from '@millrace/base'

/**
 * A frame in pieces, for a transport that copies what it sends behind a prefix of its own: gRPC takes it for a `Buffer`, asks for its
 * length and has it copied to where it belongs, so that the pieces are copied once. What gRPC did not copy at once is copied by `settle`.
 */
export class FrameParts {
  readonly byteLength: number
  private parts: readonly Uint8Array[]
  private read = false

  constructor(parts: readonly Uint8Array[]) {
    this.parts = parts
    this.byteLength = parts.reduce((sum, part) => sum + part.length, 0)
  }

  get length(): number {
    return this.byteLength
  }

  /** As `Buffer.copy`. */
  copy(target: Uint8Array, targetStart: number): number {
    gatherInto(target, this.parts, targetStart)
    this.parts = []
    this.read = true
    return this.byteLength
  }

  /** The pieces are their owner's again: a frame that still has to wait gets memory of its own. */
  settle(): void {
    if (!this.read) this.parts = [Buffer.concat(this.parts, this.byteLength)]
  }
}
