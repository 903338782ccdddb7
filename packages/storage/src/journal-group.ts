import type { Done } from '@millrace/base'
import { encodeGroupHeader, type GroupHead, headerBytes, type JournalEntry, paddedBytes } from './journal-format.ts'
import type { Slab } from './tail-cache.ts'
import type { Generation } from './types.ts'

/** A group takes at most so many bytes and entries, so that nobody waits for too many others; what is left over is the next group. */
const MAX_GROUP_BYTES = 4 * 1024 * 1024
export const MAX_GROUP_ENTRIES = 1024

/** A log as the journal sees it. */
export interface JournaledLog {
  readonly journalKey: Uint8Array
  readonly endOffset: number
  readonly generation: Generation
  readonly closed: boolean
  /** Everything below `end` is in the journal, which is on disk. */
  becameDurable(end: number): void
}

/** What waits to be written. */
export interface Pending extends JournalEntry {
  readonly log: JournaledLog | null
  readonly generation: Generation
  /** Its batches: `bytes` bytes of a pinned slab from `at` on, or the appender's own buffers. */
  readonly slab: Slab | null
  readonly at: number
  readonly batches: readonly Uint8Array[]
  readonly done: Done<void> | null
}

/** What one write carries. */
export interface Group {
  readonly entries: readonly Pending[]
  readonly number: number
  readonly firstNeeded: number
  /** In the file, with the padding. */
  readonly bytes: number
  /** The header, and the batches as they lie. */
  readonly parts: readonly Uint8Array[]
}

/** How many of those that wait the next group takes; at least one. */
export function groupCount(pending: readonly Pending[]): number {
  let count = 0
  let total = 0
  for (const { bytes } of pending) {
    if (count === MAX_GROUP_ENTRIES || (count > 0 && total + bytes > MAX_GROUP_BYTES)) break
    count++
    total += bytes
  }
  return count
}

/** The header is written into `into`, which must stay as it is until the group is on disk. */
export function groupOf(head: GroupHead, entries: readonly Pending[], into: Uint8Array): Group {
  const payload = payloadOf(entries)
  const header = into.subarray(0, headerBytes(entries.length))
  encodeGroupHeader(header, head, entries, payload)
  const { number, firstNeeded } = head
  let bytes = header.length
  for (const entry of entries) bytes += entry.bytes
  return { entries, number, firstNeeded, bytes: paddedBytes(bytes), parts: [header, ...payload] }
}

/** The batches of the entries, in as few parts as they lie in. */
function payloadOf(entries: readonly Pending[]): Uint8Array[] {
  const parts: Uint8Array[] = []
  let open: { readonly slab: Slab; readonly from: number; to: number } | null = null
  const close = (): void => {
    if (open !== null) parts.push(open.slab.bytes.subarray(open.from, open.to))
    open = null
  }
  for (const { slab, at, bytes, batches } of entries) {
    if (bytes === 0) continue
    if (slab === null) {
      close()
      parts.push(...batches)
    } else if (open !== null && open.slab === slab && open.to === at) open.to += bytes
    else {
      close()
      open = { slab, from: at, to: at + bytes }
    }
  }
  close()
  return parts
}
