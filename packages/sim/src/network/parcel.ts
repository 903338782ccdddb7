/** How a stream ends, as the receiver is told behind what was sent before. */
export interface Farewell {
  readonly why: 'remote' | 'broken' | 'refused'
  readonly detail: string
}

/** Something on its way through a pipe. */
export interface Parcel {
  /** The sender's memory until the kernel takes it, the receiver's from then on. */
  parts: readonly Uint8Array[]
  /** All parts together, once the kernel took them. */
  bytes: Uint8Array
  readonly length: number
  readonly written: (() => void) | undefined
  readonly farewell: Farewell | null
  atUs: number
}

export const NOTHING = new Uint8Array(0)

/** Nothing but the end. */
export function endParcel(farewell: Farewell): Parcel {
  return { parts: [], bytes: NOTHING, length: 0, written: undefined, farewell, atUs: 0 }
}

/** The parts up to so many bytes, and the others. */
export function split(parts: readonly Uint8Array[], bytes: number): [Uint8Array[], Uint8Array[]] {
  const head: Uint8Array[] = []
  const rest: Uint8Array[] = []
  let room = bytes
  for (const part of parts) {
    if (room > 0) head.push(part.subarray(0, room))
    if (room < part.length) rest.push(part.subarray(Math.max(0, room)))
    room -= part.length
  }
  return [head, rest]
}
