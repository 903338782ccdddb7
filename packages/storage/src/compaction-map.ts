import { hash } from 'node:crypto'

/** Four words of digest and an offset. */
const SLOT_BYTES = 24
const LOAD = 0.75
const LEAST_SLOTS = 16

/**
 * The latest offset of every key of a part of a log, in memory of a fixed size. Keys are known by 128 bits of SHA-256: two keys that nobody
 * can make collide, or a record would be taken for an older one of another key.
 */
export class OffsetMap {
  /** Everything up to here is in the map; -1 for nothing. */
  latest = -1
  count = 0
  private readonly slots: number
  private readonly digests: Uint32Array
  /** Offset + 1; 0 where the slot is free. */
  private readonly offsets: Float64Array
  private readonly digest = new Uint32Array(4)

  /** Room for as many as `expected` keys, in at most `limitBytes`. */
  constructor(limitBytes: number, expected: number) {
    const wanted = Math.ceil(expected / LOAD) + 1
    this.slots = Math.max(LEAST_SLOTS, Math.min(wanted, Math.floor(limitBytes / SLOT_BYTES)))
    this.digests = new Uint32Array(this.slots * 4)
    this.offsets = new Float64Array(this.slots)
  }

  /** Offsets of a key rise. False, and nothing has changed, where the map is full. */
  put(key: Uint8Array, offset: number): boolean {
    const slot = this.find(key)
    if (this.offsets[slot] === 0) {
      if (this.count >= this.slots * LOAD) return false
      this.count++
      this.digests.set(this.digest, slot * 4)
    }
    this.offsets[slot] = offset + 1
    return true
  }

  /** The latest offset of the key; -1 where it is not in the map. */
  get(key: Uint8Array): number {
    return (this.offsets[this.find(key)] as number) - 1
  }

  /** The key's slot, or the free one where it belongs. */
  private find(key: Uint8Array): number {
    const { digests, offsets, digest, slots } = this
    const bytes = hash('sha256', key, 'buffer')
    for (let word = 0; word < 4; word++) digest[word] = bytes.readUint32LE(word * 4)
    for (let slot = (digest[0] as number) % slots; ; slot = slot + 1 === slots ? 0 : slot + 1) {
      if (offsets[slot] === 0) return slot
      const at = slot * 4
      if (
        digests[at] === digest[0] &&
        digests[at + 1] === digest[1] &&
        digests[at + 2] === digest[2] &&
        digests[at + 3] === digest[3]
      )
        return slot
    }
  }
}
