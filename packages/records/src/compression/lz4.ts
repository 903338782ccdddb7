import { ErrorCode } from '@millrace/base'
import { compressSync, decompressFrameSync } from 'lz4-napi'
import { InvalidBatch } from '../errors.ts'

const FRAME_MAGIC = 0x184d2204
const BLOCK_BYTES = 64 * 1024
const UNCOMPRESSED_BIT = 0x80000000
/**
 * Magic, flags (version 1, independent blocks), block size (64 KiB), and the header's checksum, which is constant for them.
 * What Kafka's own clients write: their readers hold one block in memory, so it is kept small.
 */
const FRAME_HEADER = Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82)
const END_MARK_BYTES = 4

/** Compresses to one LZ4 frame of independent blocks, without checksums, as Kafka's own clients do. */
export function compressLz4(bytes: Uint8Array): Uint8Array {
  const blocks: Uint8Array[] = []
  let size = FRAME_HEADER.length + END_MARK_BYTES
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const raw = asBuffer(bytes.subarray(at, at + BLOCK_BYTES))
    // The library puts the inflated length before the block.
    const packed = compressSync(raw).subarray(4)
    const block = packed.length < raw.length ? packed : raw
    blocks.push(block)
    size += 4 + block.length
  }
  const frame = new Uint8Array(size)
  frame.set(FRAME_HEADER)
  let at = FRAME_HEADER.length
  let left = bytes.length
  for (const block of blocks) {
    const raw = Math.min(left, BLOCK_BYTES)
    writeUint32Le(frame, at, block.length === raw ? block.length + UNCOMPRESSED_BIT : block.length)
    frame.set(block, at + 4)
    at += 4 + block.length
    left -= raw
  }
  return frame
}

/**
 * Inflates one LZ4 frame, linked or independent blocks, with or without checksums. The library has no limit of its own, so the
 * size is bounded by walking the frame before anything is inflated. Throws {@link InvalidBatch}.
 */
export function inflateLz4(bytes: Uint8Array, limit: number): Uint8Array {
  const frame = parseFrame(bytes)
  let bound = frame.blocks.reduce((sum, block) => sum + (block.stored ? block.end - block.from : frame.blockBytes), 0)
  if (bound > limit)
    bound = frame.blocks.reduce(
      (sum, block) => sum + (block.stored ? block.end - block.from : inflatedBlockBytes(bytes, block)),
      0,
    )
  if (bound > limit)
    throw new InvalidBatch(ErrorCode.MESSAGE_TOO_LARGE, `an LZ4 frame holds ${bound} bytes, the limit is ${limit}`)
  try {
    return decompressFrameSync(asBuffer(bytes))
  } catch (error) {
    throw corrupt('the library can not read the frame', error)
  }
}

interface Frame {
  /** The most that one block may hold. */
  readonly blockBytes: number
  readonly blocks: readonly Block[]
}

interface Block {
  readonly from: number
  readonly end: number
  readonly stored: boolean
}

function parseFrame(bytes: Uint8Array): Frame {
  if (bytes.length < 7 || readUint32Le(bytes, 0) !== FRAME_MAGIC) throw corrupt('no frame begins here')
  const flags = bytes[4] as number
  if (flags >>> 6 !== 1) throw corrupt(`version ${flags >>> 6} of the frame format is unknown`)
  if ((flags & 1) !== 0) throw corrupt('dictionaries are not supported')
  const sizeCode = ((bytes[5] as number) >>> 4) & 7
  if (sizeCode < 4) throw corrupt(`block size ${sizeCode} is unknown`)
  const checksumBytes = (flags & 0x10) === 0 ? 0 : 4
  const blocks: Block[] = []
  for (let at = (flags & 8) === 0 ? 7 : 15; ;) {
    if (at + 4 > bytes.length) throw corrupt('the frame has no end')
    const word = readUint32Le(bytes, at)
    if (word === 0) return { blockBytes: 4 ** (sizeCode + 4), blocks }
    const length = word % UNCOMPRESSED_BIT
    if (length > bytes.length - at - 4) throw corrupt('a block reaches past the end')
    blocks.push({ from: at + 4, end: at + 4 + length, stored: word >= UNCOMPRESSED_BIT })
    at += 4 + length + checksumBytes
  }
}

/** The exact inflated size of a block, from its tokens alone; the bytes are inflated by the library afterwards. */
function inflatedBlockBytes(bytes: Uint8Array, block: Block): number {
  let size = 0
  for (let at = block.from; at < block.end;) {
    const token = bytes[at++] as number
    let literals = token >>> 4
    if (literals === 15)
      for (let more = 255; more === 255 && at < block.end; literals += more) more = bytes[at++] as number
    at += literals
    size += literals
    if (at >= block.end) break
    at += 2
    let match = (token & 15) + 4
    if (match === 19) for (let more = 255; more === 255 && at < block.end; match += more) more = bytes[at++] as number
    size += match
  }
  return size
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

function readUint32Le(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at + 3] as number) << 24) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 1] as number) << 8) |
      (bytes[at] as number)) >>>
    0
  )
}

function writeUint32Le(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

function corrupt(message: string, cause?: unknown): InvalidBatch {
  return new InvalidBatch(ErrorCode.INVALID_RECORD, `lz4: ${message}`, cause)
}
