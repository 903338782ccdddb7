import type { Random } from '@millrace/base'

/** A name may be as long as a string of the protocol; the id that is made of it must fit into one too. */
const MAX_PREFIX = 255

/** An id that nobody else has: `prefix-` and a random UUID. */
export function newMemberId(prefix: string, random: Random): string {
  return `${shortened(prefix)}-${uuidText(random)}`
}

function shortened(prefix: string): string {
  const short = prefix.slice(0, MAX_PREFIX)
  // Half of a pair of surrogates is no text.
  return /[\uD800-\uDBFF]$/.test(short) ? short.slice(0, -1) : short
}

function uuidText(random: Random): string {
  const bytes = new Uint8Array(16)
  random.fill(bytes)
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
