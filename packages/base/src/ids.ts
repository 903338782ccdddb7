import type { Random } from './world.ts'

/**
 * A 16-byte id in Kafka's text form: URL-safe base64 without padding, 22 characters. Compared and used as a key as it is.
 */
export type Uuid = string

/** "None" on the wire: sixteen zero bytes. */
export const ZERO_UUID: Uuid = 'AAAAAAAAAAAAAAAAAAAAAA'
/** Kafka's reserved id of the metadata topic. */
export const METADATA_TOPIC_UUID: Uuid = 'AAAAAAAAAAAAAAAAAAAAAQ'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The text form of the sixteen bytes at `at`. */
export function uuidFromBytes(bytes: Uint8Array, at = 0): Uuid {
  let text = ''
  for (let i = 0; i < 15; i += 3) {
    const word =
      ((bytes[at + i] as number) << 16) | ((bytes[at + i + 1] as number) << 8) | (bytes[at + i + 2] as number)
    text += digit(word >> 18) + digit(word >> 12) + digit(word >> 6) + digit(word)
  }
  const last = bytes[at + 15] as number
  return text + digit(last >> 2) + digit(last << 4)
}

function digit(word: number): string {
  return ALPHABET[word & 63] as string
}

/** Writes the sixteen bytes of `id` at `at`. Throws `RangeError` when `id` is not an id's text form. */
export function uuidToBytes(id: Uuid, into: Uint8Array, at = 0): void {
  if (!isUuid(id)) throw new RangeError(`not an id: ${JSON.stringify(id)}; an id is 22 characters of URL-safe base64`)
  let bits = 0
  let word = 0
  let to = at
  for (const character of id) {
    word = ((word << 6) | ALPHABET.indexOf(character)) & 0xffff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    into[to++] = (word >> bits) & 0xff
  }
}

/** Whether `text` is the text form of exactly sixteen bytes. */
export function isUuid(text: string): boolean {
  return /^[A-Za-z0-9_-]{21}[AQgw]$/.test(text)
}

/** A fresh random id (UUID version 4 bits). Its text never starts with `-`, which command lines would take for a flag. */
export function randomUuid(random: Random): Uuid {
  const bytes = new Uint8Array(16)
  for (;;) {
    random.fill(bytes)
    bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
    bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
    const id = uuidFromBytes(bytes)
    if (!id.startsWith('-')) return id
  }
}
