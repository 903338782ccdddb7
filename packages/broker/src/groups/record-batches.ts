import type { GroupLogRecord } from '@millrace/groups'
import { BATCH_HEADER_BYTES, encodeBatch, type NewRecord, recordBytes } from '@millrace/records'

/** A record may be this large whatever the topic says: see {@link recordBatches}. */
export const LARGEST_BATCH_BYTES = 16 * 1024 * 1024

/**
 * The records of one decision as batches of at most `maxBytes` (`max.message.bytes` of the topic): one, unless there are very many. All are
 * appended in one write. A single record that is larger gets a batch of its own up to {@link LARGEST_BATCH_BYTES}: Kafka refuses the
 * generation of a group whose members say so much, for ever, while followers and readers take a large batch as any other. Null when a
 * record is larger even than that.
 */
export function recordBatches(
  records: readonly GroupLogRecord[],
  timestamp: number,
  maxBytes: number,
): Uint8Array[] | null {
  const batches: Uint8Array[] = []
  let gathered: NewRecord[] = []
  let bytes = BATCH_HEADER_BYTES
  for (const { key, value } of records) {
    const record: NewRecord = { timestamp, key, value }
    const size = recordBytes(record, 0, gathered.length)
    if (BATCH_HEADER_BYTES + size > Math.max(maxBytes, LARGEST_BATCH_BYTES)) return null
    if (gathered.length > 0 && bytes + size > maxBytes) {
      batches.push(encodeBatch(gathered))
      gathered = []
      bytes = BATCH_HEADER_BYTES
    }
    gathered.push(record)
    bytes += size
  }
  if (gathered.length > 0) batches.push(encodeBatch(gathered))
  return batches
}
