/** Between the name of a value, the number of its padding bytes, and the padding. No name holds it. */
const MARK = 0x7e

/** What a reader gets when the bytes of a value are not those of its name: no client ever sent that. */
export const DAMAGED = '!damaged'

/**
 * The bytes of a value: its name, which is unique in a run, and after it so many bytes that follow from the name. So a reader can tell that it got the
 * whole of what was sent.
 */
export function encodeValue(name: string, padding: number): Uint8Array {
  if (padding === 0) return Buffer.from(name, 'latin1')
  const head = `${name}~${padding}~`
  const bytes = Buffer.allocUnsafeSlow(head.length + padding)
  bytes.write(head, 0, 'latin1')
  const seed = name.charCodeAt(name.length - 1)
  for (let at = 0; at < padding; at++) bytes[head.length + at] = (seed + at) & 0x3f
  return bytes
}

/** The name of the value with these bytes, or a text that begins with {@link DAMAGED}. */
export function decodeValue(bytes: Uint8Array | null): string {
  if (bytes === null) return `${DAMAGED}: null`
  const nameEnd = bytes.indexOf(MARK)
  if (nameEnd < 0) return latin1(bytes, 0, bytes.length)
  const sizeEnd = bytes.indexOf(MARK, nameEnd + 1)
  const name = latin1(bytes, 0, nameEnd)
  if (sizeEnd < 0 || Number(latin1(bytes, nameEnd + 1, sizeEnd)) !== bytes.length - sizeEnd - 1)
    return `${DAMAGED}: ${name} with padding of another length`
  const seed = name.charCodeAt(nameEnd - 1)
  for (let at = sizeEnd + 1; at < bytes.length; at++)
    if (bytes[at] !== ((seed + at - sizeEnd - 1) & 0x3f)) return `${DAMAGED}: ${name} at byte ${at}`
  return name
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1')
}
