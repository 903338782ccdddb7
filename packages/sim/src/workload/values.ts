import { assert } from '@millrace/base'

/** Between the name of a value, the number of its padding bytes, and the padding. No name holds it. */
const MARK = 0x7e
/** The most padding that a value can have. */
export const MAX_PADDING = 65_536
/** All padding is a piece of this, from a place that follows from the name. */
const PATTERN = Buffer.alloc(MAX_PADDING + 64, Buffer.from(Array.from({ length: 64 }, (_, at) => at)))

/** What a reader gets when the bytes of a value are not those of its name: no client ever sent that. */
export const DAMAGED = '!damaged'

/**
 * The bytes of a value: its name, which is unique in a run, and after it so many bytes that follow from the name. So a reader can tell that it got the
 * whole of what was sent.
 */
export function encodeValue(name: string, padding: number): Uint8Array {
  if (padding === 0) return Buffer.from(name, 'latin1')
  assert(padding <= MAX_PADDING, `no value has ${padding} bytes of padding`)
  return Buffer.concat([Buffer.from(`${name}~${padding}~`, 'latin1'), paddingOf(name, padding)])
}

/** The name of the value with these bytes, or a text that begins with {@link DAMAGED}. */
export function decodeValue(bytes: Uint8Array | null): string {
  if (bytes === null) return `${DAMAGED}: null`
  const nameEnd = bytes.indexOf(MARK)
  if (nameEnd < 0) return latin1(bytes, 0, bytes.length)
  const name = latin1(bytes, 0, nameEnd)
  const sizeEnd = bytes.indexOf(MARK, nameEnd + 1)
  const padding = bytes.length - sizeEnd - 1
  if (sizeEnd < 0 || Number(latin1(bytes, nameEnd + 1, sizeEnd)) !== padding || padding > MAX_PADDING)
    return `${DAMAGED}: ${name} with padding of another length`
  return paddingOf(name, padding).equals(bytes.subarray(sizeEnd + 1)) ? name : `${DAMAGED}: the padding of ${name}`
}

function paddingOf(name: string, length: number): Buffer {
  const from = name.charCodeAt(name.length - 1) & 0x3f
  return PATTERN.subarray(from, from + length)
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1')
}
