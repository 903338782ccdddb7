import { crc32c as native } from '@node-rs/crc32'

/** CRC-32C (Castagnoli) of `bytes[from, to)`, without copying. */
export function crc32c(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
  return native(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to))
}

/** The CRC-32C of what `crc` is of, followed by `bytes`: for a batch that is read in pieces. */
export function continueCrc32c(crc: number, bytes: Uint8Array): number {
  return native(bytes, crc)
}
