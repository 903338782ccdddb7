import { gatherInto } from '@millrace/base'

const SLAB_BYTES = 64 * 1024
/** From this size on bytes get memory of their own. */
const OWN_BYTES = 8 * 1024
/** Bytes between two chunks: nothing begins where it would if it were alone. */
const GAP_BYTES = 3

/** Memory for what is received, as a socket's: each chunk a `Buffer` in the middle of more memory, at any place. */
export class Slab {
  private memory = new ArrayBuffer(SLAB_BYTES)
  private used = 0

  /** A copy of all parts: what was sent belongs to its receiver. */
  copy(parts: readonly Uint8Array[], length: number): Uint8Array {
    return gatherInto(this.take(length), parts)
  }

  private take(length: number): Buffer {
    if (length >= OWN_BYTES) return Buffer.from(new ArrayBuffer(length + 2 * GAP_BYTES), GAP_BYTES, length)
    if (this.used + length + GAP_BYTES > SLAB_BYTES) {
      this.memory = new ArrayBuffer(SLAB_BYTES)
      this.used = 0
    }
    this.used += GAP_BYTES
    const bytes = Buffer.from(this.memory, this.used, length)
    this.used += length
    return bytes
  }
}
