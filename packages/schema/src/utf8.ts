import { DecodeError, EncodeError } from './errors.ts'

// The language's library knows no text codecs and this package takes no types of a host, so the two that every host has are
// declared here, as narrow as they are used.
declare const TextDecoder: new (
  label: 'utf-8',
  options: { fatal: true; ignoreBOM: true },
) => { decode(bytes: Uint8Array): string }
declare const TextEncoder: new () => { encode(text: string): Uint8Array }

// Fatal, because otherwise two byte strings decode to the same text; a byte order mark is text like any other.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/** Below this a loop over ASCII beats the call into the host; measured on Node 24, the two meet near 20 bytes. */
const SHORT = 20

/** The text of bytes [from, to), which must be well-formed UTF-8. */
export function decodeUtf8(bytes: Uint8Array, from: number, to: number): string {
  if (to - from <= SHORT && isAscii(bytes, from, to)) return asciiText(bytes, from, to)
  try {
    return decoder.decode(bytes.subarray(from, to))
  } catch {
    throw new DecodeError('text that is not UTF-8')
  }
}

function isAscii(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if ((bytes[at] as number) > 0x7f) return false
  return true
}

/** Eight characters a call, because every concatenation makes a rope that a later lookup has to flatten. */
function asciiText(bytes: Uint8Array, from: number, to: number): string {
  const b = bytes as readonly number[] & Uint8Array
  let text = ''
  let i = from
  for (; i + 8 <= to; i += 8) {
    const head = String.fromCharCode(b[i]!, b[i + 1]!, b[i + 2]!, b[i + 3]!, b[i + 4]!, b[i + 5]!, b[i + 6]!, b[i + 7]!)
    text = text === '' ? head : text + head
  }
  if (i + 4 <= to) {
    text += String.fromCharCode(b[i]!, b[i + 1]!, b[i + 2]!, b[i + 3]!)
    i += 4
  }
  if (i + 2 <= to) {
    text += String.fromCharCode(b[i]!, b[i + 1]!)
    i += 2
  }
  return i < to ? text + String.fromCharCode(b[i]!) : text
}

/** Whether every character is ASCII, so that the text has as many bytes as characters. */
export function isAsciiText(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

/** The UTF-8 of `text`. A lone surrogate is an error, because it would be replaced and two texts would become one. */
export function encodeUtf8(text: string): Uint8Array {
  if (!text.isWellFormed()) throw new EncodeError('text with half a surrogate pair has no UTF-8')
  return encoder.encode(text)
}
