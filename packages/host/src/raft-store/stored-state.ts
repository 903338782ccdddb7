import { crc32c } from '@millrace/records'
import type { HardState } from '@millrace/base'

/** What a store knows of itself. It is written twice with every change: in the log's own batch, and in the quorum-state file. */
export interface StoredState {
  /** Which of the store's log folders is the current one. */
  readonly generation: number
  /** Rises by one with every synced batch. */
  readonly sequence: number
  readonly hardState: HardState | null
  readonly firstIndex: number
  readonly lastIndex: number
  readonly lastTerm: number
  /** Why the log was emptied, until the node wrote that it is healed. */
  readonly damage: string | null
}

const VERSION = 1

/** One line of text, for people to read: the CRC-32C in hexadecimal, then JSON. */
export function encodeState(state: StoredState): Buffer {
  const json = JSON.stringify({ version: VERSION, ...state })
  return Buffer.from(`${checksum(json)} ${json}\n`)
}

/** The state of an encoded line, or null when it is not one. What follows the line is ignored. */
export function decodeState(bytes: Uint8Array): StoredState | null {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
  const end = text.indexOf('\n')
  const json = text.slice(9, end)
  if (end < 0 || text.slice(0, 9) !== `${checksum(json)} `) return null
  const { version, ...state } = JSON.parse(json) as StoredState & { readonly version: number }
  return version === VERSION ? state : null
}

/** Whether two copies say the same. */
export function sameState(a: StoredState, b: StoredState): boolean {
  return encodeState(a).equals(encodeState(b))
}

function checksum(json: string): string {
  return crc32c(Buffer.from(json)).toString(16).padStart(8, '0')
}
