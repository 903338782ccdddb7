import { crc32 } from 'node:zlib'
import type { Uuid, VoterId } from '@millrace/base'
import { RaftSnapshotHeader, RpcDecodeError } from '@millrace/rpc'

/**
 * A snapshot file:
 *
 *   "mrsnap"  version u16  CRC-32 of these, u32  header length u32  header (RaftSnapshotHeader)  content  CRC-32 of all before, u32
 *
 * Numbers are big-endian. The file travels as it is, so a receiver checks what the holder's disk gave. The version has a
 * checksum of its own, because what follows it may be different in a later version: only so a later version is told from a
 * flipped bit.
 */
export interface Snapshot {
  readonly index: number
  readonly term: number
  readonly clusterId: Uuid
  readonly voters: readonly VoterId[]
  readonly content: Uint8Array
}

export type SnapshotReading =
  | { readonly kind: 'valid'; readonly snapshot: Snapshot }
  | { readonly kind: 'damaged'; readonly reason: string }
  | { readonly kind: 'future'; readonly version: number }

const MAGIC = new TextEncoder().encode('mrsnap')
const VERSION = 1
const CHECKSUM_BYTES = 4
const VERSION_BYTES = MAGIC.length + 2
const PROLOGUE_BYTES = VERSION_BYTES + CHECKSUM_BYTES
const FIXED_BYTES = PROLOGUE_BYTES + 4

export function encodeSnapshot({ content, ...rest }: Snapshot): readonly Uint8Array[] {
  const header = RaftSnapshotHeader.encode({ ...rest, contentBytes: content.length })
  const head = new Uint8Array(FIXED_BYTES + header.length)
  const view = new DataView(head.buffer)
  head.set(MAGIC)
  view.setUint16(MAGIC.length, VERSION)
  view.setUint32(VERSION_BYTES, crc32(head.subarray(0, VERSION_BYTES)))
  view.setUint32(PROLOGUE_BYTES, header.length)
  head.set(header, FIXED_BYTES)
  const tail = new Uint8Array(CHECKSUM_BYTES)
  new DataView(tail.buffer).setUint32(0, crc32(content, crc32(head)))
  return [head, content, tail]
}

export function decodeSnapshot(file: Uint8Array): SnapshotReading {
  if (file.length < FIXED_BYTES + CHECKSUM_BYTES) return { kind: 'damaged', reason: 'it is too short' }
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const prologue = file.subarray(0, VERSION_BYTES)
  if (MAGIC.some((byte, at) => file[at] !== byte) || crc32(prologue) !== view.getUint32(VERSION_BYTES))
    return { kind: 'damaged', reason: 'it does not begin like a snapshot' }
  const version = view.getUint16(MAGIC.length)
  if (version > VERSION) return { kind: 'future', version }
  const end = file.length - CHECKSUM_BYTES
  if (crc32(file.subarray(0, end)) !== view.getUint32(end)) return { kind: 'damaged', reason: 'its checksum differs' }
  const headerBytes = view.getUint32(PROLOGUE_BYTES)
  try {
    const { contentBytes, ...header } = RaftSnapshotHeader.decode(
      file.subarray(FIXED_BYTES, Math.min(FIXED_BYTES + headerBytes, end)),
    )
    const content = file.subarray(FIXED_BYTES + headerBytes, end)
    if (content.length !== contentBytes) return { kind: 'damaged', reason: 'its length differs' }
    return { kind: 'valid', snapshot: { ...header, content } }
  } catch (error) {
    if (!(error instanceof RpcDecodeError)) throw error
    return { kind: 'damaged', reason: error.message }
  }
}
